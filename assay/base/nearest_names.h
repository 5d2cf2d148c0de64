// "Did you mean": names that are near to one by edit distance. nearest_name in text.h gives the nearest alone.
// Non-goals: ranking by what a name means.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

// At most `most` of `known`, the nearest first, among equals the first; none is farther than a third of the length given, or 2.
std::vector<std::string> nearest_names(std::string_view given, const std::vector<std::string>& known, size_t most);

}  // namespace assay
