// Where the documents of a text end. Internal to text/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

// Byte offsets at which documents end, ascending; the last is text.size(). `text` is valid UTF-8. `separator`: regular expression of a
// whole line that stands between documents; empty: lines that hold only <|endoftext|>, else WikiText's level-1 headings (" = Title = "
// between blank lines), else the whole text is one document.
Result<std::vector<uint64_t>> document_ends(std::string_view text, const std::string& separator);

}  // namespace assay
