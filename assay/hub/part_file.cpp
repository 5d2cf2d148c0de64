#include "assay/hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"

namespace assay {
namespace {

// The record: this, then one count of bytes per part. Machine's byte order: it never leaves the machine.
struct RecordHead {
  std::array<char, 16> magic;
  uint64_t size = 0, part_bytes = 0;
  std::array<char, 256> validator;  // ends with 0
};
constexpr std::array<char, 16> kMagic = {'a', 's', 's', 'a', 'y', ' ', 'p', 'a', 'r', 't', 's', ' ', '1', '\n', 0, 0};

Status write_at(int descriptor, const std::string& path, const void* data, size_t bytes, uint64_t offset) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(descriptor, at, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path, "writing", errno);
    at += written, offset += static_cast<uint64_t>(written), bytes -= static_cast<size_t>(written);
  }
  return {};
}

std::string path_for(const std::string& target) { return target + ".assay-part"; }

}  // namespace

PartFile::PartFile(const std::string& target, uint64_t size, uint64_t part_bytes)
    : target_(target),
      path_(path_for(target)),
      record_path_(target + ".assay-parts"),
      size_(size),
      part_bytes_(std::max<uint64_t>(1, part_bytes)),
      done_(static_cast<size_t>((size + part_bytes_ - 1) / part_bytes_)) {}

PartFile::~PartFile() {
  if (bytes_ >= 0) ::close(bytes_);
  if (record_ >= 0) ::close(record_);
}

Result<std::unique_ptr<PartFile>> PartFile::open(const std::string& target, uint64_t size, uint64_t part_bytes) {
  std::unique_ptr<PartFile> file(new PartFile(target, size, part_bytes));
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(target).parent_path(), error);
  if (error) return system_error(target, "creating its directory", error.value());
  ASSAY_TRY(file->open_files(O_RDWR | O_CREAT));
  if (!file->read_record()) ASSAY_TRY(file->restart());
  return file;
}

uint64_t PartFile::done_before(const std::string& target, uint64_t size, uint64_t part_bytes) {
  if (bytes_on_disk(target) == 0) return 0;
  PartFile file(target, size, part_bytes);
  return file.open_files(O_RDONLY) && file.read_record() ? file.done() : 0;
}

Status PartFile::open_files(int flags) {
  for (auto& [descriptor, path] : {std::pair<int&, const std::string&>(bytes_, path_), {record_, record_path_}}) {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) return system_error(path, "opening", errno);
  }
  return {};
}

uint64_t PartFile::end(size_t part) const { return std::min(size_, begin(part) + part_bytes_); }

uint64_t PartFile::done() const {
  return std::accumulate(done_.begin(), done_.end(), uint64_t{0}, [](uint64_t sum, const auto& part) { return sum + part.load(); });
}

bool PartFile::read_record() {
  RecordHead head{};
  struct stat info{};
  if (::pread(record_, &head, sizeof head, 0) != sizeof head || head.magic != kMagic || head.size != size_ ||
      head.part_bytes != part_bytes_)
    return false;
  if (::fstat(bytes_, &info) != 0 || static_cast<uint64_t>(info.st_size) != size_ || head.validator.back() != 0) return false;
  std::vector<uint64_t> counts(parts());
  const auto length = static_cast<ssize_t>(counts.size() * sizeof(uint64_t));
  if (::pread(record_, counts.data(), static_cast<size_t>(length), sizeof head) != length) return false;
  for (size_t part = 0; part < counts.size(); ++part) {
    if (counts[part] > end(part) - begin(part)) return false;
    done_[part] = counts[part];
  }
  validator_ = head.validator.data();
  return true;
}

Status PartFile::record_head() {
  RecordHead head{kMagic, size_, part_bytes_, {}};
  std::copy(validator_.begin(), validator_.end(), head.validator.begin());
  return write_at(record_, record_path_, &head, sizeof head, 0);
}

Status PartFile::record(size_t part) {
  const uint64_t count = done_[part].load();
  return write_at(record_, record_path_, &count, sizeof count, sizeof(RecordHead) + part * sizeof count);
}

Status PartFile::write(size_t part, std::span<const std::byte> bytes) {
  ASSAY_TRY(write_at(bytes_, path_, bytes.data(), bytes.size(), begin(part) + done(part)));
  done_[part] += bytes.size();
  return record(part);
}

Status PartFile::rewind(size_t part) {
  done_[part] = 0;
  return record(part);
}

Status PartFile::set_validator(const std::string& validator) {
  if (validator.size() + 1 > sizeof(RecordHead::validator)) return {};  // too long to keep: parts are fetched without a condition
  validator_ = validator;
  return record_head();
}

Status PartFile::restart() {
  if (::ftruncate(record_, 0) != 0 || ::ftruncate(bytes_, 0) != 0) return system_error(path_, "emptying", errno);
  // Space is taken at once where the file system can, so that a full disk is seen before the first byte is fetched.
  if (size_ > 0 && ::fallocate(bytes_, 0, 0, static_cast<off_t>(size_)) != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    return system_error(path_, "reserving " + format_bytes(size_), errno);
  if (::ftruncate(bytes_, static_cast<off_t>(size_)) != 0) return system_error(path_, "sizing", errno);
  validator_.clear();
  for (size_t part = 0; part < parts(); ++part) ASSAY_TRY(rewind(part));
  return record_head();
}

Status PartFile::sync() {
  if (::fsync(bytes_) != 0) return system_error(path_, "syncing to disk", errno);
  return {};
}

Status PartFile::move_to_target() {
  if (::rename(path_.c_str(), target_.c_str()) != 0) return system_error(target_, "renaming", errno);
  ::unlink(record_path_.c_str());
  return {};
}

void PartFile::remove() {
  ::unlink(path_.c_str());
  ::unlink(record_path_.c_str());
}

uint64_t PartFile::bytes_on_disk(const std::string& target) {
  struct stat info{};
  if (::stat(path_for(target).c_str(), &info) != 0) return 0;
  return std::min(static_cast<uint64_t>(info.st_size), static_cast<uint64_t>(info.st_blocks) * 512);
}

}  // namespace assay
