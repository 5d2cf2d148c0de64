#include <algorithm>
#include <cmath>

#include "assay/quant/group_rounding.h"
#include "assay/score/fold_rows.h"
#include "assay/score/input_score.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

constexpr int kSteps = 20, kBits = 4;
constexpr size_t kGroup = 128;

class Awq : public InputScore {
 public:
  explicit Awq(bool gain) : gain_(gain) {}

  ScoreInfo info() const override {
    return {.name = gain_ ? "awq_gain" : "awq_loss",
            .what = gain_ ? "share of the output's error that activation-aware scaling takes away, 4 bits in groups of 128"
                          : "relative error of the output after activation-aware scaling, 4 bits in groups of 128",
            .pooling = Pooling::kMean,
            .needs_text = true,
            .source = "AWQ's scale search on each matrix; methods.md 3.16, 4.3"};
  }
  Result<double> value(const MatrixView& matrix, const at::Tensor& inputs, const ScoreContext& context) const override {
    const std::vector<double> losses = awq_search(matrix, inputs, context.threads);
    const double least = *std::min_element(losses.begin(), losses.end());
    if (!gain_) return least;
    return losses[0] > 0 ? 1 - least / losses[0] : 0;
  }

 private:
  bool gain_;
};

}  // namespace

std::vector<double> awq_search(const MatrixView& matrix, const at::Tensor& inputs, int threads) {
  at::NoGradGuard no_grad;
  const at::Tensor weight = as_tensor(matrix.values, matrix.rows, matrix.columns);
  const double output = inputs.matmul(weight.t()).square().sum(at::kDouble).item<double>();
  const at::Tensor mean = inputs.abs().mean(0);
  std::vector<double> losses;
  for (int step = 0; step < kSteps; ++step) {
    const at::Tensor raw = mean.pow(static_cast<double>(step) / kSteps).clamp_min(1e-4);
    const at::Tensor scales = (raw / (raw.max() * raw.min()).sqrt()).contiguous();
    const float* s = scales.const_data_ptr<float>();
    at::Tensor change = at::empty_like(weight);
    float* out = change.mutable_data_ptr<float>();
    parallel_for(matrix.rows, threads, [&](size_t r) {
      const std::span<const float> row = matrix.row(r);
      const std::span<float> scaled(out + r * matrix.columns, matrix.columns);
      for (size_t c = 0; c < row.size(); ++c) scaled[c] = row[c] * s[c];
      round_asymmetric(scaled, kGroup, kBits);
      for (size_t c = 0; c < row.size(); ++c) scaled[c] = scaled[c] / s[c] - row[c];
    });
    const double error = inputs.matmul(change.t()).square().sum(at::kDouble).item<double>();
    losses.push_back(output > 0 ? error / output : 0);
  }
  return losses;
}

std::unique_ptr<Score> awq_loss_score() { return std::make_unique<Awq>(false); }
std::unique_ptr<Score> awq_gain_score() { return std::make_unique<Awq>(true); }

}  // namespace assay
