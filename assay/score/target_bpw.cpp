// The error that llama.cpp's PR 15550 (--target-bpw) plans by, as its description has it: a peer to beat (peers: docs/scores.md).
//   row error   (sum_j w_j e_j^2 + (sum_j a_j e_j)^2) / sum_j w_j x_j^2,  e = what the type changes, w = mean squared inputs, winsorised,
//               a = mean inputs where the imatrix has them, else 0; attn_q, attn_k and attn_qkv: 1 - weighted cosine of the row before and
//               after
//   value       1 % trimmed mean of up to 4096 rows, evenly spaced, x rows of the matrix x 6 (ffn_down), 3 (output), 2.5 (tied embedding),
//               1.25 (attn_v)
// Open in the description, and chosen here: w is limited to its 1 % and 99 % quantiles; the trimmed mean leaves out 1 % at either end; the
// row's energy has the same w. Left out, because the description gives no numbers: the factor for few bits per weight, the factor made of
// concentration, density and fragility, the singular values, the caps on outliers of ffn_down and on experts. A matrix without an entry in
// the importance matrix has w = 1. Experts share the first one's w, as for the other scores.
#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/score/data_free_scores.h"

namespace assay {
namespace {

constexpr uint64_t kMostRows = 4096;
constexpr double kTrimmed = 0.01;

// The value at a share of the sorted values, the nearest below.
size_t place_of(double share, size_t count) { return static_cast<size_t>(share * static_cast<double>(count - 1)); }

std::vector<double> winsorised(std::span<const float> importance, uint64_t columns) {
  std::vector<double> weights(columns, 1.0);
  if (importance.size() < columns) return weights;
  std::copy_n(importance.begin(), columns, weights.begin());
  std::vector<double> sorted = weights;
  std::sort(sorted.begin(), sorted.end());
  const double low = sorted[place_of(kTrimmed, columns)], high = sorted[columns - 1 - place_of(kTrimmed, columns)];
  for (double& weight : weights) weight = std::clamp(weight, low, high);
  return weights;
}

struct RowSums {
  double before = 0, after = 0, product = 0;  // weighted squares of the row and of the changed row, and their product
  double error = 0, shift = 0;                // weighted squares of the change; its product with the mean inputs
};

RowSums sums_of(std::span<const float> row, const float* change, std::span<const double> weights, std::span<const float> means) {
  RowSums sums;
  for (size_t j = 0; j < row.size(); ++j) {
    const double x = static_cast<double>(row[j]), e = static_cast<double>(change[j]), y = x + e;
    sums.before += weights[j] * x * x;
    sums.after += weights[j] * y * y;
    sums.product += weights[j] * x * y;
    sums.error += weights[j] * e * e;
    if (!means.empty()) sums.shift += static_cast<double>(means[j]) * e;
  }
  return sums;
}

// 0 for a row of zeros.
double relative_error(const RowSums& sums) { return sums.before > 0 ? (sums.error + sums.shift * sums.shift) / sums.before : 0; }
double angle_error(const RowSums& sums) {
  const double sizes = std::sqrt(sums.before) * std::sqrt(sums.after);
  return sums.before > 0 ? 1 - (sizes > 0 ? sums.product / sizes : 0) : 0;
}

double trimmed_mean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto trimmed = static_cast<size_t>(kTrimmed * static_cast<double>(values.size()));
  double sum = 0;
  for (size_t i = trimmed; i < values.size() - trimmed; ++i) sum += values[i];
  return sum / static_cast<double>(values.size() - 2 * trimmed);
}

double multiplier(Role role, bool tied) {
  switch (role) {
    case Role::kFfnDown:
    case Role::kFfnDownExps:
      return 6.0;
    case Role::kOutput:
      return 3.0;
    case Role::kTokenEmbd:
      return tied ? 2.5 : 1.0;
    case Role::kAttnV:
      return 1.25;
    default:
      return 1.0;
  }
}

class TargetBpw : public ChangeScore {
 public:
  ScoreInfo info() const override {
    return {.name = "target_bpw",
            .what = "relative error of rows at the type, by role, that PR 15550 of llama.cpp plans by",
            .unit = "rows",
            .by_type = true,
            .needs_text = true,
            .source = "llama.cpp PR 15550 as described; score/target_bpw.cpp"};
  }
  bool needs_importance() const override { return true; }
  bool needs_entry() const override { return false; }

  Result<double> value(const MatrixView& matrix, GgmlType, std::span<const float> change, const ScoreContext& context) const override {
    if (matrix.elements() == 0) return 0.0;
    const std::vector<double> weights = winsorised(matrix.importance, matrix.columns);
    const auto means = matrix.mean_inputs.size() < matrix.columns ? std::span<const float>() : matrix.mean_inputs.first(matrix.columns);
    const Role role = matrix.role.role;
    const bool angle = role == Role::kAttnQ || role == Role::kAttnK || role == Role::kAttnQkv;
    std::vector<double> errors(std::min(matrix.rows, kMostRows));
    parallel_for(errors.size(), context.threads, [&](size_t i) {
      const uint64_t r = i * matrix.rows / errors.size();
      const RowSums sums = sums_of(matrix.row(r), change.data() + r * matrix.columns, weights, means);
      errors[i] = angle ? angle_error(sums) : relative_error(sums);
    });
    return trimmed_mean(std::move(errors)) * static_cast<double>(matrix.rows) * multiplier(role, context.hyper.tied);
  }
};

}  // namespace

std::unique_ptr<Score> target_bpw_score() { return std::make_unique<TargetBpw>(); }

}  // namespace assay
