#include "assay/plan/contradiction.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>

namespace assay {
namespace {

constexpr size_t kExact = 16;

bool leaves_none(std::span<const std::vector<bool>> allows, std::span<const size_t> chosen) {
  for (size_t i = 0; i < allows[0].size(); ++i)
    if (std::all_of(chosen.begin(), chosen.end(), [&](size_t c) { return allows[c][i]; })) return false;
  return true;
}

}  // namespace

std::vector<size_t> smallest_contradiction(std::span<const std::vector<bool>> allows) {
  if (allows.empty() || allows[0].empty()) return {};
  std::vector<size_t> all(allows.size());
  std::iota(all.begin(), all.end(), size_t{0});
  if (!leaves_none(allows, all)) return {};
  if (allows.size() > kExact) {
    for (size_t c = 0; c < allows.size(); ++c) {
      std::vector<size_t> fewer = all;
      std::erase(fewer, c);
      if (leaves_none(allows, fewer)) all = std::move(fewer);
    }
    return all;
  }
  std::vector<size_t> best = all;
  for (uint32_t set = 1; set < uint32_t{1} << allows.size(); ++set) {
    const auto size = static_cast<size_t>(std::popcount(set));
    if (size > best.size()) continue;
    std::vector<size_t> chosen;
    for (size_t c = 0; c < allows.size(); ++c)
      if ((set >> c & 1) != 0) chosen.push_back(c);
    if ((size < best.size() || chosen < best) && leaves_none(allows, chosen)) best = std::move(chosen);
  }
  return best;
}

}  // namespace assay
