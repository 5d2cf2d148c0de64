// Where bytes come from: a mapped file, a memory block, or a callback. Readers take a source, never a path.
// Thread-safe: read() may be called from several threads at once. Non-goals: writing, caching, network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"

namespace assay {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Fills `out` with the bytes at `offset`; an error (kBadInput: past the end; kIo: the system refused, the file shrank).
  virtual Status read(uint64_t offset, std::span<std::byte> out) const = 0;
  // What messages call it: a path or "memory".
  virtual const std::string& name() const = 0;
  // The bytes in place, or an empty span where the source is not addressable. Valid while the source lives.
  // A mapped file that shrinks afterwards would raise SIGBUS: check still_intact() at the start of long work; read() never faults.
  virtual std::span<const std::byte> view(uint64_t offset, uint64_t length) const {
    (void)offset, (void)length;
    return {};
  }
  // kIo if the file behind the source was replaced, truncated or changed since it was opened.
  virtual Status still_intact() const { return {}; }
};

// Reads with pread (never faults); view() maps the file read-only on first use.
Result<std::shared_ptr<ByteSource>> open_file(const std::string& path);
std::shared_ptr<ByteSource> memory_source(std::vector<std::byte> bytes, std::string name = "memory");
// `reader(offset, out)` is called with pieces of at most `piece` bytes.
std::shared_ptr<ByteSource> callback_source(uint64_t size, std::function<Status(uint64_t, std::span<std::byte>)> reader,
                                            std::string name = "callback", size_t piece = 4096);

}  // namespace assay
