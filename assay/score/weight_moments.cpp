#include "assay/score/weight_moments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "assay/score/fold_rows.h"

namespace assay {
namespace {

using Lanes = std::array<double, kLanes>;
double sum_of(const Lanes& lanes) { return std::accumulate(lanes.begin(), lanes.end(), 0.0); }

struct PowerSums {
  double first = 0, second = 0, fourth = 0;
  float largest = 0;
  void merge(const PowerSums& other) {
    first += other.first;
    second += other.second;
    fourth += other.fourth;
    largest = std::max(largest, other.largest);
  }
};

}  // namespace

WeightMoments weight_moments(std::span<const float> values, int threads) {
  WeightMoments moments;
  moments.count = values.size();
  if (values.empty()) return moments;
  const auto count = static_cast<double>(values.size());
  const PowerSums raw = fold_values(values, threads, PowerSums{}, [](PowerSums& sums, std::span<const float> some) {
    Lanes first{}, second{};
    std::array<float, kLanes> largest{};
    by_lanes(some, [&](size_t lane, float w) {
      const double wide = static_cast<double>(w);
      first[lane] += wide;
      second[lane] += wide * wide;
      largest[lane] = std::max(largest[lane], std::fabs(w));
    });
    sums = {sum_of(first), sum_of(second), 0, *std::ranges::max_element(largest)};
  });
  moments.mean = raw.first / count;
  moments.sum_squares = raw.second;
  moments.largest = raw.largest;
  const double mean = moments.mean;
  const PowerSums central = fold_values(values, threads, PowerSums{}, [mean](PowerSums& sums, std::span<const float> some) {
    Lanes second{}, fourth{};
    by_lanes(some, [&](size_t lane, float w) {
      const double d = static_cast<double>(w) - mean, square = d * d;
      second[lane] += square;
      fourth[lane] += square * square;
    });
    sums = {0, sum_of(second), sum_of(fourth), 0};
  });
  moments.m2 = central.second / count;
  moments.m4 = central.fourth / count;
  return moments;
}

double excess_kurtosis(const WeightMoments& moments) { return moments.m2 > 0 ? moments.m4 / (moments.m2 * moments.m2) - 3 : 0; }

double unbiased_kurtosis(const WeightMoments& moments) {
  const auto n = static_cast<double>(moments.count);
  if (moments.count < 4 || moments.m2 <= 0) return 0;
  return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess_kurtosis(moments) + 6);
}

}  // namespace assay
