// A file that is being fetched in parts, any of them first: TARGET.assay-part holds its bytes, TARGET.assay-parts how far each part is.
// After kill -9 both say the same; after a power cut they may not, which the checksum of the whole file shows.
// Non-goals: checking bytes, two processes at one file (HubCache::lock).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"

namespace assay {

class PartFile {
 public:
  // Goes on with what an earlier process left for the same target, size and part_bytes; else begins anew.
  static Result<std::unique_ptr<PartFile>> open(const std::string& target, uint64_t size, uint64_t part_bytes);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();

  size_t parts() const { return done_.size(); }
  uint64_t begin(size_t part) const { return part * part_bytes_; }
  uint64_t end(size_t part) const;
  uint64_t done(size_t part) const { return done_[part].load(); }  // bytes from begin()
  bool complete(size_t part) const { return begin(part) + done(part) == end(part); }
  uint64_t done() const;
  // Appends to a part. Parts may be written at once, each by one thread.
  Status write(size_t part, std::span<const std::byte> bytes);
  Status rewind(size_t part);
  // The entity tag under which the bytes were fetched; empty: none yet.
  std::string validator() const { return validator_; }
  Status set_validator(const std::string& validator);
  // Forgets every byte and the validator.
  Status restart();

  const std::string& path() const { return path_; }
  Status sync();
  // To the final name; the record of parts goes away. After sync() and whatever check the caller makes.
  Status move_to_target();
  void remove();
  // What open() would go on with, without making anything.
  static uint64_t done_before(const std::string& target, uint64_t size, uint64_t part_bytes);
  // Bytes on disk that an earlier process left for a target: they need no further space.
  static uint64_t bytes_on_disk(const std::string& target);

 private:
  PartFile(const std::string& target, uint64_t size, uint64_t part_bytes);
  Status open_files(int flags);
  bool read_record();
  Status record_head();
  Status record(size_t part);

  std::string target_, path_, record_path_;
  uint64_t size_, part_bytes_;
  int bytes_ = -1, record_ = -1;
  std::string validator_;
  std::vector<std::atomic<uint64_t>> done_;
};

}  // namespace assay
