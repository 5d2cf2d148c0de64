#include "assay/score/weight_moments.h"

#include <cmath>

#include "assay/score/fold_rows.h"

namespace assay {
namespace {

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
    double first = 0, second = 0;
    float largest = 0;
    for (const float w : some) {
      first += static_cast<double>(w);
      second += static_cast<double>(w) * static_cast<double>(w);
      largest = std::max(largest, std::fabs(w));
    }
    sums = {first, second, 0, largest};
  });
  moments.mean = raw.first / count;
  moments.sum_squares = raw.second;
  moments.largest = raw.largest;
  const double mean = moments.mean;
  const PowerSums central = fold_values(values, threads, PowerSums{}, [mean](PowerSums& sums, std::span<const float> some) {
    double second = 0, fourth = 0;
    for (const float w : some) {
      const double d = static_cast<double>(w) - mean, square = d * d;
      second += square;
      fourth += square * square;
    }
    sums = {0, second, fourth, 0};
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
