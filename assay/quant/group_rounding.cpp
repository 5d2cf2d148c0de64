#include "assay/quant/group_rounding.h"

#include <algorithm>
#include <cmath>

namespace assay {

void round_asymmetric(std::span<float> row, size_t group, int bits) {
  const auto most = static_cast<float>((1 << bits) - 1);
  for (size_t begin = 0; begin < row.size(); begin += group) {
    const std::span<float> some = row.subspan(begin, std::min(group, row.size() - begin));
    float low = some[0], high = some[0];
    for (const float w : some) {
      low = std::min(low, w);
      high = std::max(high, w);
    }
    const float scale = high > low ? (high - low) / most : 1.0F;
    const float zero = std::clamp(std::nearbyint(-low / scale), 0.0F, most);
    for (float& w : some) w = (std::clamp(std::nearbyint(w / scale) + zero, 0.0F, most) - zero) * scale;
  }
}

void round_symmetric(std::span<float> row, size_t group, int bits) {
  const auto most = static_cast<float>((1 << (bits - 1)) - 1);
  for (size_t begin = 0; begin < row.size(); begin += group) {
    const std::span<float> some = row.subspan(begin, std::min(group, row.size() - begin));
    float largest = 0;
    for (const float w : some) largest = std::max(largest, std::fabs(w));
    const float scale = largest > 0 ? largest / most : 1.0F;
    for (float& w : some) w = std::clamp(std::nearbyint(w / scale), -most, most) * scale;
  }
}

void round_to_grid(std::span<float> row, const GroupGrid& grid) {
  grid.zero_point ? round_asymmetric(row, grid.group, grid.bits) : round_symmetric(row, grid.group, grid.bits);
}

}  // namespace assay
