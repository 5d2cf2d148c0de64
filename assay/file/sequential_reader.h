// Reads an untrusted source from front to back in large pieces, and words the complaints of the formats built on it.
// Works alike for files, memory and callbacks; never asks for more bytes than are left, so memory is bounded by the source.
// Little-endian hosts only, as the formats are. Non-goals: seeking, writing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"

namespace assay {

class SequentialReader {
 public:
  // `format` opens every message: "gguf".
  SequentialReader(const ByteSource& source, std::string format) : source_(source), format_(std::move(format)) {}

  // What is being read, for messages: "key 'general.name'", "tensor 'output.weight'". Empty: the file's own header.
  void about(std::string subject) { subject_ = std::move(subject); }

  uint64_t offset() const { return buffer_offset_ + used_; }
  uint64_t remaining() const { return source_.size() - offset(); }

  // The next `length` bytes, valid until the next call. Past the end: kBadInput naming `field` and the byte.
  Result<std::string_view> take(uint64_t length, const char* field);
  template <class T>
  Result<T> number(const char* field) {
    ASSAY_ASSIGN(const std::string_view bytes, take(sizeof(T), field));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  // `gguf: model.gguf: key 'a.b': array length at byte 96 is 7; needed ... (cause)`.
  tl::unexpected<Error> broken(ErrorCode code, uint64_t at, std::string_view field, std::string found, std::string needed,
                               std::string cause = {}) const;

 private:
  Status refill(uint64_t length);

  const ByteSource& source_;
  std::string format_;
  std::string subject_;
  std::vector<std::byte> buffer_;  // source bytes from buffer_offset_ on
  uint64_t buffer_offset_ = 0;
  size_t used_ = 0;  // bytes of the buffer already taken
};

}  // namespace assay
