// The two checksums a listing gives: SHA-256 of large files, git's id (SHA-1 of a blob) of small ones.
#pragma once

#include <string>

#include "assay/base/result.h"

namespace assay {

// Of the file's bytes as they are on disk now. `digits`: 64 (SHA-256) or 40 (git's id: SHA-1 of "blob SIZE\0" and the bytes).
Result<std::string> checksum_of_file(const std::string& path, size_t digits);

}  // namespace assay
