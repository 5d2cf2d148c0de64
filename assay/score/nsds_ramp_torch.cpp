#include <algorithm>
#include <cmath>

#include "assay/base/random.h"
#include "assay/base/sha256.h"
#include "assay/score/nsds_ramp.h"
#include "assay/score/spectrum.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

constexpr uint64_t kSample = 1'000'000, kLargest = 10'000'000;
constexpr double kCap = 0.999;

// Unbiased kurtosis of at most a million weights, clipped as published. The published sample hangs on a salted hash; ours on the seed.
double vulnerability(const MatrixView& matrix, const ScoreContext& context) {
  std::vector<float> sample;
  std::span<const float> values = matrix.values;
  if (values.size() > kSample) {
    CounterRandom random(context.seed, name_stream(matrix.tensor));
    for (uint64_t i = 0; i < kSample; ++i) sample.push_back(values[random.next_below(values.size())]);
    values = sample;
  }
  return std::clamp(unbiased_kurtosis(weight_moments(values, context.threads)), -3.0, 1000.0);
}

// Sum of the top singular values times e^entropy; 0 for tensors beyond ten million weights, as published.
double expressiveness(const MatrixView& matrix, int threads) {
  if (matrix.elements() > kLargest) return 0;
  at::Tensor s = singular_values(as_tensor(matrix.values, matrix.rows, matrix.columns), threads);
  const int64_t shorter = s.size(0), top = shorter <= 69 ? shorter : std::min<int64_t>(64, shorter - 1);
  s = s.narrow(0, 0, top);
  s = s.masked_select(s > 1e-12);
  const double sum = s.sum().item<double>();
  if (!(sum > 0)) return 0;
  const at::Tensor p = s / sum;
  return sum * std::exp(-(p * p.log()).sum().item<double>());
}

double role_multiplier(Role role) {
  switch (role) {
    case Role::kAttnQ:
      return 1.3;
    case Role::kAttnK:
      return 1.2;
    case Role::kAttnV:
      return 1.0;
    case Role::kAttnOutput:
      return 1.1;
    case Role::kFfnGateExps:
      return 0.8;
    case Role::kFfnUpExps:
      return 0.7;
    case Role::kFfnDownExps:
      return 0.9;
    case Role::kFfnGateInp:
      return 2.0;
    case Role::kTokenEmbd:
      return 1.3;
    case Role::kOutput:
      return 1.5;
    default:
      return 1.0;
  }
}

enum class Form : uint8_t { kFixed, kFaithful, kEnhanced };

class NsdsRamp : public WeightScore {
 public:
  explicit NsdsRamp(Form form) : form_(form) {}

  ScoreInfo info() const override {
    constexpr std::string_view kNames[] = {"nsds_ramp", "nsds_ramp_faithful", "nsds_ramp_enhanced"};
    constexpr std::string_view kWhat[] = {"kurtosis and spectrum of a tensor, joined as probabilities",
                                          "the same, spectra of square matrices only",
                                          "the same times role multipliers, min-max over groups"};
    return {.name = kNames[static_cast<size_t>(form_)],
            .what = kWhat[static_cast<size_t>(form_)],
            .pooling = Pooling::kMean,
            .source = "RAMP's nsds_sensitivity; methods.md 3.10"};
  }

  // The forms differ in what they make of the numbers.
  std::string_view numbers_name() const override { return "nsds_ramp"; }

  // Per matrix: NV raw, SE raw.
  Result<std::vector<double>> numbers(const LayerView& layer, const ScoreContext& context) const override {
    at::NoGradGuard no_grad;
    std::vector<double> raw;
    for (const MatrixView& matrix : layer.matrices) {
      raw.push_back(vulnerability(matrix, context));
      raw.push_back(expressiveness(matrix, context.threads));
    }
    return raw;
  }

  std::vector<ScoreRow> finish(std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    std::vector<double> nv, se;
    for (const LayerNumbers& layer : layers)
      for (size_t m = 0; m < layer.matrices.size(); ++m) {
        const bool left_out = form_ == Form::kFaithful && layer.matrices[m].rows != layer.matrices[m].columns;
        nv.push_back(layer.numbers[2 * m]);
        se.push_back(left_out ? 0 : layer.numbers[2 * m + 1]);
      }
    nv = mad_sigmoid(nv);
    se = mad_sigmoid(se);
    std::vector<ScoreRow> rows;
    for (const LayerNumbers& layer : layers)
      for (const MatrixShape& matrix : layer.matrices) {
        const size_t at = rows.size();
        double value = 1 - (1 - std::min(nv[at], kCap)) * (1 - std::min(se[at], kCap));
        if (form_ == Form::kEnhanced) value *= role_multiplier(matrix.role.role);
        rows.push_back(matrix_row(matrix, value));
      }
    return form_ == Form::kEnhanced ? stretched(std::move(rows)) : rows;
  }

 private:
  // Min-max over all rows; all alike: 0.5.
  static std::vector<ScoreRow> stretched(std::vector<ScoreRow> rows) {
    double low = INFINITY, high = -INFINITY;
    for (const ScoreRow& row : rows) low = std::min(low, row.cells[0].value), high = std::max(high, row.cells[0].value);
    for (ScoreRow& row : rows) row.cells[0].value = high > low ? (row.cells[0].value - low) / (high - low) : 0.5;
    return rows;
  }

  Form form_;
};

}  // namespace

std::unique_ptr<Score> nsds_ramp_score() { return std::make_unique<NsdsRamp>(Form::kFixed); }
std::unique_ptr<Score> nsds_ramp_faithful_score() { return std::make_unique<NsdsRamp>(Form::kFaithful); }
std::unique_ptr<Score> nsds_ramp_enhanced_score() { return std::make_unique<NsdsRamp>(Form::kEnhanced); }

}  // namespace assay
