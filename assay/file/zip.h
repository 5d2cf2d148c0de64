// One entry of a zip archive, read. Archives are untrusted: every offset is checked, the bytes against the entry's CRC-32.
// Non-goals: writing, zip64, encryption, compression other than deflate (all refused by name).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"

namespace assay {

// kNotFound: no such entry; kBadInput: a broken archive, or more than `limit` bytes; kUnsupported.
Result<std::string> read_zip_entry(const ByteSource& source, std::string_view name, uint64_t limit);

}  // namespace assay
