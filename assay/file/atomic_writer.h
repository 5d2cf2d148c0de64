// Files appear whole or not at all: a temporary file "<target>.tmp-assay-<pid>-<n>" beside the target, fsync, rename, fsync of
// the directory. A killed writer leaves only its temporary file; the next writer of the same target removes it.
// Non-goals: appending to or patching a file that exists, several writers of one file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct OutputOptions {
  bool force = false;                    // an existing file may be replaced
  std::vector<std::string> inputs = {};  // the output must not be one of these (compared by device and inode)
  uint64_t expected_bytes = 0;           // free space required before starting; 0: unknown
};

class AtomicWriter {
 public:
  // Errors: kUsage (exists without force, equals an input), kNoSpace, kIo.
  static Result<AtomicWriter> create(const std::string& path, const OutputOptions& options);
  AtomicWriter(AtomicWriter&&) noexcept;
  AtomicWriter& operator=(AtomicWriter&&) noexcept;
  ~AtomicWriter();  // without commit(): the temporary file is removed, the target untouched

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  // At a place of its own, in any order; what lies between is 0. No write() after it. Not thread-safe.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t written() const;  // up to the end of what is furthest behind
  // Hands buffered bytes to the system and names the temporary file, so that it can be read back before commit().
  Result<std::string> flushed_path();
  // fsync, rename to the final name, fsync of the directory.
  Status commit();

 private:
  struct State;
  explicit AtomicWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The failure of a system call (errno's `code`) while doing something with a file: kNoSpace where the disk, a quota or a limit is full.
tl::unexpected<Error> system_error(const std::string& path, const std::string& doing, int code);

// A small text file in one call.
Status write_text_file(const std::string& path, std::string_view text, const OutputOptions& options);
Result<std::string> read_text_file(const std::string& path, uint64_t limit_bytes = uint64_t{1} << 32);

}  // namespace assay
