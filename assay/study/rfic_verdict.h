// What the full model says about zeroing chosen weights before quantization: the source's rule and ours (methods.md 7.3, 1.9). Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "assay/probe/statistics.h"

namespace assay {

// The source's perplexity: mean over windows of the window's own, and its error from 200 resamples of windows, unpaired.
struct UnpairedPpl {
  double value = 0, error = 0;
};
// base: of the unedited model, which is in every observation.
UnpairedPpl unpaired_ppl(std::span<const WindowSums> windows, bool base, uint64_t seed);

// "improvement": PPL(zero, then quantize) + se < PPL(quantize) - se; "safe": both pairs within the sum of their errors; "failure": zeroing
// alone changes more than that; else "unclear". Called "> 2 sigma" there, it is bars of one sigma, unpaired, that do not overlap.
std::string source_verdict(const UnpairedPpl& plain, const UnpairedPpl& quantized, const UnpairedPpl& zero_quantized,
                           const UnpairedPpl& zero_only);

// Ours, on paired differences of nats per token with 95 % intervals over documents: "improvement": quantized after zeroing is better, the
// interval below 0; "failure": either change lies above kSafeMargin; "safe": both intervals lie within +-kSafeMargin; else "unclear".
inline constexpr double kSafeMargin = 1e-3;  // nats: a relative change of perplexity of 0.1 % (methods.md 7.2)
std::string paired_verdict(const Interval& zero_quantized_less_quantized, const Interval& zero_only_less_plain);

// a less b in nats per token, paired by window.
Interval nll_difference(std::span<const WindowSums> a, std::span<const WindowSums> b, uint64_t seed);
// The same of the model less the unedited one.
Interval nll_difference(std::span<const WindowSums> a, uint64_t seed);

}  // namespace assay
