// Kurtosis: how heavy the tails of the weights are. KurtBoost: a layer whose kurtosis jumps counts twice (methods.md 3.9, as the NSDS
// authors' program has it).
#include <cmath>
#include <numeric>

#include "assay/score/data_free_scores.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

constexpr double kJump = 2;  // standard deviations of the differences between neighbours

class Kurtosis : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "kurtosis",
            .what = "excess kurtosis of the weights",
            .pooling = Pooling::kMean,
            .source = "Fisher, biased estimator; methods.md 3.9"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    return excess_kurtosis(weight_moments(matrix.values, context.threads));
  }
};

class KurtBoost : public WeightScore {
 public:
  ScoreInfo info() const override {
    return {.name = "kurt_boost",
            .what = "mean kurtosis of a layer's matrices, doubled where it jumps from the layer before",
            .finest = Grouping::kLayer,
            .pooling = Pooling::kMean,
            .source = "KurtBoost, in the NSDS program; methods.md 3.9"};
  }
  Result<std::vector<double>> numbers(const LayerView& layer, const ScoreContext& context) const override {
    double sum = 0;
    for (const MatrixView& matrix : layer.matrices) sum += excess_kurtosis(weight_moments(matrix.values, context.threads));
    return std::vector<double>{layer.matrices.empty() ? 0 : sum / static_cast<double>(layer.matrices.size())};
  }
  std::vector<ScoreRow> finish(std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    std::vector<ScoreRow> rows;
    std::vector<double> values, steps;
    for (const LayerNumbers& layer : layers)
      if (layer.layer >= 0) values.push_back(layer.numbers[0]);
    for (size_t l = 1; l < values.size(); ++l) steps.push_back(values[l] - values[l - 1]);
    const auto count = static_cast<double>(steps.size());
    const double mean = count > 0 ? std::accumulate(steps.begin(), steps.end(), 0.0) / count : 0;
    double square = 0;
    for (const double step : steps) square += (step - mean) * (step - mean);
    const double deviation = (count > 0 ? std::sqrt(square / count) : 0) + 1e-12;
    size_t l = 0;
    for (const LayerNumbers& layer : layers) {
      if (layer.layer < 0) continue;
      const bool jumps = l > 0 && std::fabs((steps[l - 1] - mean) / deviation) > kJump;
      rows.push_back(layer_row(layer, jumps ? 2 * values[l] : values[l]));
      ++l;
    }
    return rows;
  }
};

}  // namespace

std::unique_ptr<Score> kurtosis_score() { return std::make_unique<Kurtosis>(); }
std::unique_ptr<Score> kurt_boost_score() { return std::make_unique<KurtBoost>(); }

}  // namespace assay
