#include "assay/store/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace assay {

Result<std::optional<FileLock>> FileLock::take(const std::string& path) {
  FileLock lock;
  lock.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (lock.descriptor_ < 0)
    return fail(ErrorCode::kIo, {"journal " + path, "cannot be locked", "a writable directory", std::strerror(errno)});
  if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) == 0) {
    (void)::futimens(lock.descriptor_, nullptr);  // when it was used last
    return std::optional<FileLock>(std::move(lock));
  }
  if (errno == EWOULDBLOCK) return std::optional<FileLock>();
  return fail(ErrorCode::kIo, {"journal " + path, "cannot be locked", "", std::strerror(errno)});
}

bool FileLock::is_held(const std::string& path) {
  FileLock probe;
  probe.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  return probe.descriptor_ >= 0 && ::flock(probe.descriptor_, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace assay
