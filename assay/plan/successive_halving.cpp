#include "assay/plan/successive_halving.h"

#include <algorithm>
#include <numeric>

namespace assay {

Result<HalvingResult> halve(size_t candidates, size_t windows, const HalvingMeasure& measure) {
  HalvingResult result;
  result.places.resize(candidates);
  result.order.resize(candidates);
  std::iota(result.order.begin(), result.order.end(), size_t{0});
  size_t rounds = 0;
  for (size_t left = candidates; left > 1; left = (left + 1) / 2) ++rounds;
  std::vector<size_t> open = result.order;
  for (size_t round = 0; round < rounds; ++round) {
    const size_t of_round = std::max<size_t>(1, windows >> (rounds - 1 - round));
    ASSAY_ASSIGN(const std::vector<double> means, measure(open, of_round));
    if (means.size() != open.size()) return fail(ErrorCode::kInternal, "halving: a round came back with another number of values");
    for (size_t i = 0; i < open.size(); ++i) {
      result.evaluations += of_round - result.places[open[i]].windows;
      result.places[open[i]].windows = of_round;
      result.places[open[i]].mean = means[i];
    }
    std::stable_sort(open.begin(), open.end(), [&](size_t a, size_t b) { return result.places[a].mean < result.places[b].mean; });
    open.resize((open.size() + 1) / 2);
    std::sort(open.begin(), open.end());
    for (const size_t one : open) ++result.places[one].rounds;
  }
  std::stable_sort(result.order.begin(), result.order.end(), [&](size_t a, size_t b) {
    const HalvingPlace &x = result.places[a], &y = result.places[b];
    return x.rounds != y.rounds ? x.rounds > y.rounds : x.mean < y.mean;
  });
  return result;
}

}  // namespace assay
