#include "assay/quant/grid_index.h"

#include <algorithm>
#include <vector>

namespace assay {

GridIndex index_grid(const int8_t* grid, int points, int width, std::span<const float> values) {
  const auto pattern = [&](const int8_t* half) {
    int number = 0;
    for (int j = width / 2 - 1; j >= 0; --j) {
      const auto level = std::ranges::find(values, static_cast<float>(half[j])) - values.begin();
      number = number * static_cast<int>(values.size()) + static_cast<int>(level);
    }
    return static_cast<uint8_t>(number);
  };
  struct Entry {
    uint8_t low;
    uint16_t point;
  };
  std::vector<std::pair<uint8_t, std::vector<Entry>>> buckets;
  for (int p = 0; p < points; ++p) {
    const int8_t* point = grid + p * width;
    const uint8_t high = pattern(point + width / 2);
    auto bucket = std::ranges::find(buckets, high, &std::pair<uint8_t, std::vector<Entry>>::first);
    if (bucket == buckets.end()) bucket = buckets.insert(buckets.end(), {high, {}});
    bucket->second.push_back({pattern(point), static_cast<uint16_t>(p)});
  }
  std::ranges::stable_sort(buckets, {}, [](const auto& bucket) { return bucket.second.size(); });
  GridIndex index;
  uint16_t at = 0;
  for (auto& [high, entries] : buckets) {
    std::ranges::sort(entries, {}, &Entry::low);
    while (entries.size() % GridIndex::kStride != 0) entries.push_back(entries.back());
    for (const Entry& entry : entries) {
      index.low[at] = entry.low;
      index.point[at++] = entry.point;
    }
    const int part = width == 8 ? static_cast<int>(values.size() * values.size()) : static_cast<int>(values.size());
    index.high[index.buckets][0] = static_cast<uint8_t>(high % part);
    index.high[index.buckets][1] = static_cast<uint8_t>(high / part);
    index.end[index.buckets++] = at;
  }
  return index;
}

}  // namespace assay
