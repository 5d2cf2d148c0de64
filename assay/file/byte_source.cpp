#include "assay/file/byte_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"

namespace assay {
namespace {

Status check_range(const ByteSource& source, uint64_t offset, uint64_t length) {
  if ((CheckedSize(offset) + length).fits(source.size())) return {};
  return fail(ErrorCode::kBadInput, {source.name() + ": a read of " + group_digits(length) + " bytes at byte " + group_digits(offset),
                                     "passes the end", "there are " + group_digits(source.size()) + " bytes", "truncated?"});
}

class FileSource final : public ByteSource {
 public:
  FileSource(int descriptor, const struct stat& status, std::string path)
      : descriptor_(descriptor), opened_(status), path_(std::move(path)) {}
  ~FileSource() override {
    if (mapping_ != nullptr) ::munmap(mapping_, size());
    ::close(descriptor_);
  }

  uint64_t size() const override { return static_cast<uint64_t>(opened_.st_size); }
  const std::string& name() const override { return path_; }

  Status read(uint64_t offset, std::span<std::byte> out) const override {
    ASSAY_TRY(check_range(*this, offset, out.size()));
    while (!out.empty()) {
      const ssize_t got = ::pread(descriptor_, out.data(), std::min<size_t>(out.size(), size_t{1} << 30), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        return fail(ErrorCode::kIo,
                    {path_ + ": reading at byte " + group_digits(offset), std::string("failed: ") + std::strerror(errno), "", ""});
      if (got == 0) {
        return fail(ErrorCode::kIo, {path_, "ends at byte " + group_digits(offset),
                                     "it had " + group_digits(size()) + " bytes when it was opened", "truncated while in use?"});
      }
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return {};
  }

  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override {
    if (length == 0 || !(CheckedSize(offset) + length).fits(size())) return {};
    std::call_once(map_once_, [this] {
      void* address = ::mmap(nullptr, size(), PROT_READ, MAP_SHARED, descriptor_, 0);
      if (address != MAP_FAILED) mapping_ = address;
    });
    if (mapping_ == nullptr) return {};
    return {static_cast<const std::byte*>(mapping_) + offset, static_cast<size_t>(length)};
  }

  Status still_intact() const override {
    struct stat now{};
    struct stat at_path{};
    if (::fstat(descriptor_, &now) != 0) return changed(std::string("cannot be examined: ") + std::strerror(errno));
    if (now.st_size != opened_.st_size) return changed("has " + group_digits(static_cast<uint64_t>(now.st_size)) + " bytes now");
    if (now.st_mtim.tv_sec != opened_.st_mtim.tv_sec || now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec) return changed("was written to");
    if (::stat(path_.c_str(), &at_path) != 0) return changed("was removed");
    if (at_path.st_ino != opened_.st_ino || at_path.st_dev != opened_.st_dev) return changed("was replaced by another file");
    return {};
  }

 private:
  Status changed(std::string found) const {
    return fail(ErrorCode::kIo, {path_, std::move(found), "it must stay as it was when opened (" + group_digits(size()) + " bytes)",
                                 "another program writing to it?"});
  }

  int descriptor_;
  struct stat opened_;
  std::string path_;
  mutable std::once_flag map_once_;
  mutable void* mapping_ = nullptr;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::vector<std::byte> bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name)) {}
  uint64_t size() const override { return bytes_.size(); }
  const std::string& name() const override { return name_; }
  Status read(uint64_t offset, std::span<std::byte> out) const override {
    ASSAY_TRY(check_range(*this, offset, out.size()));
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override {
    if (!(CheckedSize(offset) + length).fits(size())) return {};
    return std::span(bytes_).subspan(offset, length);
  }

 private:
  std::vector<std::byte> bytes_;
  std::string name_;
};

class CallbackSource final : public ByteSource {
 public:
  using Reader = std::function<Status(uint64_t, std::span<std::byte>)>;
  CallbackSource(uint64_t size, Reader reader, std::string name, size_t piece)
      : size_(size), reader_(std::move(reader)), name_(std::move(name)), piece_(std::max<size_t>(piece, 1)) {}
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }
  Status read(uint64_t offset, std::span<std::byte> out) const override {
    ASSAY_TRY(check_range(*this, offset, out.size()));
    while (!out.empty()) {
      const auto part = out.first(std::min(out.size(), piece_));
      ASSAY_TRY(reader_(offset, part));
      out = out.subspan(part.size());
      offset += part.size();
    }
    return {};
  }

 private:
  uint64_t size_;
  Reader reader_;
  std::string name_;
  size_t piece_;
};

}  // namespace

Result<std::shared_ptr<ByteSource>> open_file(const std::string& path) {
  // O_NONBLOCK: a FIFO without a writer is refused below instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const bool absent = errno == ENOENT || errno == ENOTDIR;
    return fail(absent ? ErrorCode::kNotFound : ErrorCode::kIo, {path, std::string("cannot be opened: ") + std::strerror(errno), "", ""});
  }
  struct stat status{};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return fail(ErrorCode::kBadInput, {path, S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file", "a file is needed", ""});
  }
  return std::make_shared<FileSource>(descriptor, status, path);
}

std::shared_ptr<ByteSource> memory_source(std::vector<std::byte> bytes, std::string name) {
  return std::make_shared<MemorySource>(std::move(bytes), std::move(name));
}

std::shared_ptr<ByteSource> callback_source(uint64_t size, std::function<Status(uint64_t, std::span<std::byte>)> reader, std::string name,
                                            size_t piece) {
  return std::make_shared<CallbackSource>(size, std::move(reader), std::move(name), piece);
}

}  // namespace assay
