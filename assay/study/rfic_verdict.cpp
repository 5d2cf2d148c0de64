#include "assay/study/rfic_verdict.h"

#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr uint32_t kSourceResamples = 200;

BootstrapOptions seeded(uint64_t seed) {
  BootstrapOptions options;
  options.seed = seed;
  return options;
}

}  // namespace

UnpairedPpl unpaired_ppl(std::span<const WindowSums> windows, bool base, uint64_t seed) {
  std::vector<double> ppl;
  for (const WindowSums& window : windows)
    ppl.push_back(std::exp((base ? window.nll_base : window.nll) / static_cast<double>(window.count)));
  const auto n = static_cast<double>(ppl.size());
  UnpairedPpl result;
  for (const double one : ppl) result.value += one / n;
  if (ppl.size() < 2) return result;
  std::vector<double> means;
  double mean = 0, squares = 0;
  for (uint32_t b = 0; b < kSourceResamples; ++b) {
    CounterRandom random(seed, b);
    double sum = 0;
    for (size_t i = 0; i < ppl.size(); ++i) sum += ppl[random.next_below(ppl.size())];
    means.push_back(sum / n);
    mean += means.back() / kSourceResamples;
  }
  for (const double one : means) squares += (one - mean) * (one - mean);
  result.error = std::sqrt(squares / (kSourceResamples - 1));
  return result;
}

std::string source_verdict(const UnpairedPpl& plain, const UnpairedPpl& quantized, const UnpairedPpl& zero_quantized,
                           const UnpairedPpl& zero_only) {
  if (zero_quantized.value + zero_quantized.error < quantized.value - quantized.error) return "improvement";
  const bool quantized_same = std::fabs(zero_quantized.value - quantized.value) <= zero_quantized.error + quantized.error;
  const bool plain_same = std::fabs(zero_only.value - plain.value) <= zero_only.error + plain.error;
  if (!plain_same) return "failure";
  return quantized_same ? "safe" : "unclear";
}

std::string paired_verdict(const Interval& quantized, const Interval& plain) {
  if (plain.low > kSafeMargin || quantized.low > kSafeMargin) return "failure";
  if (quantized.high < 0) return "improvement";
  const auto within = [](const Interval& interval) { return interval.low >= -kSafeMargin && interval.high <= kSafeMargin; };
  return within(quantized) && within(plain) ? "safe" : "unclear";
}

Interval nll_difference(std::span<const WindowSums> a, std::span<const WindowSums> b, uint64_t seed) {
  return bootstrap_pair(
      a, b, [](const WindowSums& x, const WindowSums& y) { return (x.nll_difference - y.nll_difference) / static_cast<double>(x.count); },
      seeded(seed));
}

Interval nll_difference(std::span<const WindowSums> a, uint64_t seed) {
  return bootstrap(a, [](const WindowSums& x) { return x.nll_difference / static_cast<double>(x.count); }, seeded(seed));
}

}  // namespace assay
