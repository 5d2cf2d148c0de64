// A safetensors file of float32 tensors, written as they come: names and shapes are known before the first value, the file has its full
// size from the start, and tensors are taken in any order. It appears whole or not at all (atomic_writer.h).
// Memory: the header. Non-goals: other dtypes, shards.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"

namespace assay {

struct SafetensorShape {
  std::string name;
  std::vector<uint64_t> shape;  // row-major, outermost first
};

class SafetensorsWriter {
 public:
  // Tensors lie in the order given; names are unique. Errors: those of AtomicWriter::create; kInternal (a name twice, a size that
  // overflows).
  static Result<SafetensorsWriter> create(const std::string& path, std::span<const SafetensorShape> tensors,
                                          const std::map<std::string, std::string>& metadata, const OutputOptions& options);
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();  // without commit(): nothing stays

  // Each tensor once. Not thread-safe. Errors: kIo, kNoSpace; kInternal (unknown, a second time, another size).
  Status write(std::string_view name, std::span<const float> values);
  uint64_t bytes() const;  // of the whole file
  // kInternal: a tensor was not written.
  Status commit();

 private:
  struct State;
  explicit SafetensorsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace assay
