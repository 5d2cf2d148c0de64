#include "assay/codes/codes.h"

namespace assay {
namespace {
constexpr std::string_view kNames[] = {"nearest", "feedback", "best"};
}  // namespace

std::string_view name_of(Codes codes) { return kNames[static_cast<size_t>(codes)]; }

std::optional<Codes> find_codes(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return static_cast<Codes>(i);
  return std::nullopt;
}

}  // namespace assay
