// The two file formats of importance matrices. Internal to file/: users call imatrix.h.
#pragma once

#include <memory>
#include <string>

#include "assay/base/result.h"
#include "assay/file/imatrix.h"

namespace assay {

Result<Imatrix> parse_gguf_imatrix(std::shared_ptr<ByteSource> source);
Status write_gguf_imatrix(const std::string& path, const Imatrix& imatrix, const OutputOptions& options);

Result<Imatrix> parse_dat_imatrix(const ByteSource& source);
Status write_dat_imatrix(const std::string& path, const Imatrix& imatrix, const OutputOptions& options);

// Sums are sums of squares and counts are counts: finite and not negative. `who` opens the message.
Status check_imatrix_entry(const std::string& who, const ImatrixEntry& entry);

}  // namespace assay
