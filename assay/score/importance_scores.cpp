// What llama.cpp's imatrix tool says of a matrix's inputs, as scores (methods.md 3.12).
#include <map>

#include "assay/file/imatrix_statistics.h"
#include "assay/score/importance_score.h"

namespace assay {
namespace {

class StatisticScore : public ImportanceScore {
 public:
  using Read = std::optional<double> (*)(const ImatrixStatistics&);
  StatisticScore(ScoreInfo info, Read read) : info_(info), read_(read) {}

  ScoreInfo info() const override { return info_; }

  // Matrices without an entry, or without the number (the first block has no block before it), have no row.
  std::vector<ScoreRow> rows(const Imatrix& imatrix, std::span<const LayerNumbers> layers) const override {
    std::map<std::string, double> values;
    for (const ImatrixStatistics& one : imatrix_statistics(imatrix))
      if (const auto value = read_(one)) values[one.tensor] = *value;
    std::vector<ScoreRow> rows;
    for (const LayerNumbers& layer : layers)
      for (const MatrixShape& matrix : layer.matrices)
        if (const auto at = values.find(matrix.tensor); at != values.end()) rows.push_back(matrix_row(matrix, at->second));
    return rows;
  }

 private:
  ScoreInfo info_;
  Read read_;
};

ScoreInfo of(std::string_view name, std::string_view what, std::string_view unit, bool higher_is_worse, Pooling pooling) {
  return {.name = name,
          .what = what,
          .unit = unit,
          .higher_is_worse = higher_is_worse,
          .pooling = pooling,
          .needs_text = true,
          .source = "llama.cpp's imatrix statistics; methods.md 3.12"};
}

}  // namespace

std::unique_ptr<Score> imatrix_energy_score() {
  return std::make_unique<StatisticScore>(of("imatrix_energy", "sum of the mean squared inputs", "activation^2", true, Pooling::kSum),
                                          [](const ImatrixStatistics& s) { return std::optional(s.sum); });
}
std::unique_ptr<Score> imatrix_entropy_score() {
  return std::make_unique<StatisticScore>(
      of("imatrix_entropy", "entropy of the mean squared inputs over the columns, over its greatest", "1", false, Pooling::kMean),
      [](const ImatrixStatistics& s) { return std::optional(s.normalised_entropy); });
}
std::unique_ptr<Score> imatrix_zd_score() {
  return std::make_unique<StatisticScore>(
      of("imatrix_zd", "share of columns whose mean squared input is one deviation above the mean", "1", true, Pooling::kMean),
      [](const ImatrixStatistics& s) { return std::optional(s.z_density); });
}
std::unique_ptr<Score> imatrix_cosine_score() {
  return std::make_unique<StatisticScore>(
      of("imatrix_cosine", "cosine of the mean squared inputs with those of the block before", "1", false, Pooling::kMean),
      [](const ImatrixStatistics& s) { return s.cosine; });
}

}  // namespace assay
