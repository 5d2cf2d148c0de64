// What a file really is when it is not what its name says: the downloads that go wrong most often, told by their first bytes.
#pragma once

#include <string>
#include <string_view>

namespace assay {

// "an HTML page", "a Git LFS pointer", ...; empty when nothing is recognised. 64 bytes are enough.
std::string foreign_format(std::string_view first_bytes);

}  // namespace assay
