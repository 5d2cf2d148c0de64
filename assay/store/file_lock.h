// A lock that its process holds as long as the object lives, and that is gone with the process: kill -9 leaves none behind.
// Internal to store/.
#pragma once

#include <optional>
#include <string>

#include "assay/base/result.h"

namespace assay {

class FileLock {
 public:
  // The lock file is made if absent, and its modification time set to now. Nothing if another process holds it; kIo where the file
  // cannot be made.
  static Result<std::optional<FileLock>> take(const std::string& path);
  // Another process holds it now. False where there is no such file.
  static bool is_held(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  FileLock() = default;
  int descriptor_ = -1;
};

}  // namespace assay
