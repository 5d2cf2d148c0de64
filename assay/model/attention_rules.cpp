#include "assay/model/attention_rules.h"

#include <algorithm>
#include <numeric>

namespace assay {
namespace {

constexpr size_t kListed = 64;  // a longer list is sorted instead

}  // namespace

void find_largest(const float* weights, int64_t n, int k, std::vector<int64_t>& places) {
  const auto most = static_cast<size_t>(std::min<int64_t>(k, n));
  places.clear();
  if (most > kListed) {
    places.resize(static_cast<size_t>(n));
    std::iota(places.begin(), places.end(), int64_t{0});
    const auto larger = [&](int64_t a, int64_t b) { return weights[a] != weights[b] ? weights[a] > weights[b] : a < b; };
    std::partial_sort(places.begin(), places.begin() + static_cast<ptrdiff_t>(most), places.end(), larger);
    places.resize(most);
    return;
  }
  // Few weights stay: a sorted list of those seen so far, whose last one says what is worth inserting.
  for (int64_t i = 0; i < n; ++i) {
    const float weight = weights[i];
    if (places.size() == most && weight <= weights[places.back()]) continue;
    if (places.size() == most) places.pop_back();
    const auto at = std::find_if(places.begin(), places.end(), [&](int64_t place) { return weights[place] < weight; });
    places.insert(at, i);
  }
}

int64_t index_of_largest(const float* weights, int64_t n) { return std::max_element(weights, weights + n) - weights; }

}  // namespace assay
