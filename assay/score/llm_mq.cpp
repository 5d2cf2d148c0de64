// LLM-MQ: |mean(g (W - Q(W)))| of a matrix with a quantizer of its own (methods.md 3.9). Which rounding its source uses is not stated
// there; here: lowest to highest value of a group in even steps.
#include <algorithm>
#include <cmath>

#include "assay/score/gradient_kernels.h"
#include "assay/score/gradient_scores.h"

namespace assay {
namespace {

constexpr size_t kGroup = 128;
constexpr double kExactShare = 0.005;
constexpr float kRounder = 12582912.0f;  // x + this - this: nearest integer, ties to even, for |x| < 2^22

class LlmMq : public GradientScore {
 public:
  explicit LlmMq(int bits) : bits_(bits) {}
  ScoreInfo info() const override {
    return {.name = bits_ == 2 ? "llm_mq_2" : "llm_mq_4",
            .what = bits_ == 2 ? "first-order change of the loss by 2-bit groups of 128, mean over weights"
                               : "first-order change of the loss by 4-bit groups of 128, mean over weights",
            .unit = "nats per token and weight",
            .pooling = Pooling::kMean,
            .needs_text = true,
            .needs_gradients = true,
            .source = "LLM-MQ as in NSDS's code; methods.md 3.9"};
  }
  GradientNeeds needs() const override { return {.mean = true}; }
  Result<double> value(const MatrixView& matrix, const GradientView& gradient, std::optional<GgmlType>, std::span<const float>,
                       const ScoreContext& context) const override {
    const std::vector<float> error = llm_mq_error(matrix.values, bits_);
    return std::fabs(dot_sums(gradient.mean, error, context.threads).signed_sum) / static_cast<double>(error.size());
  }

 private:
  int bits_;
};

}  // namespace

std::vector<float> llm_mq_error(std::span<const float> weights, int bits) {
  const auto exact = static_cast<size_t>(kExactShare * static_cast<double>(weights.size()));
  // A weight is exact above this magnitude, and at it as long as there is room.
  float limit = HUGE_VALF;
  size_t at_limit = 0;
  if (exact > 0) {
    std::vector<float> sizes(weights.size());
    std::ranges::transform(weights, sizes.begin(), [](float w) { return std::fabs(w); });
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(exact - 1), sizes.end(), std::greater<>());
    limit = sizes[exact - 1];
    at_limit = exact - static_cast<size_t>(std::count_if(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(exact),
                                                         [limit](float size) { return size > limit; }));
  }
  std::vector<float> errors(weights.size());
  const float levels = static_cast<float>((1 << bits) - 1);
  for (size_t begin = 0; begin < weights.size(); begin += kGroup) {
    const std::span<const float> group = weights.subspan(begin, std::min(kGroup, weights.size() - begin));
    bool kept[kGroup] = {};
    float low = HUGE_VALF, high = -HUGE_VALF;
    for (size_t i = 0; i < group.size(); ++i) {
      const float size = std::fabs(group[i]);
      kept[i] = size > limit || (size == limit && at_limit > 0);
      if (kept[i]) {
        if (size == limit) --at_limit;
        continue;
      }
      low = std::min(low, group[i]);
      high = std::max(high, group[i]);
    }
    const float step = (high - low) / levels;
    for (size_t i = 0; i < group.size(); ++i)
      if (!kept[i] && step > 0) errors[begin + i] = group[i] - (low + step * ((group[i] - low) / step + kRounder - kRounder));
  }
  return errors;
}

std::unique_ptr<GradientScore> llm_mq_score(int bits) { return std::make_unique<LlmMq>(bits); }

}  // namespace assay
