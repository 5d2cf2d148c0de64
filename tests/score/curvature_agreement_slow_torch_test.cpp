// The curvature table against the measured sweep on the bundled model, same windows: the order of tensors within each type, and the size.
#include <gtest/gtest.h>

#include "assay/engine.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

using T = GgmlType;

TEST(CurvatureAgreement, RanksTensorsWithinEachTypeAndGetsTheSize) {
  MakeTableOptions options;
  options.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.text.windows.ctx = 256;
  options.text.windows.chunks = 10;
  options.types = {T::kQ3_K, T::kQ4_K, T::kIQ4_XS, T::kQ5_0, T::kQ8_0};
  const auto measured = assay_engine()->measure_table(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(measured) << measured.error().message;
  ScoreModelOptions curvature;
  curvature.model = options.model;
  curvature.text = options.text;
  curvature.scores = {"curvature"};
  curvature.types = options.types;
  const auto scored = assay_engine()->score_model(curvature, RunSettings{}, silent_progress());
  ASSERT_TRUE(scored) << scored.error().message;
  const std::vector<ScoreRow>& predicted = scored->scores[0].table.rows;
  ASSERT_EQ(predicted.size(), 85u);  // 12 blocks of 7 and the tied embedding
  double all_measured = 0, all_predicted = 0;
  for (size_t c = 0; c < options.types.size(); ++c) {
    std::vector<double> a, b;
    double sum_measured = 0, sum_predicted = 0;
    for (size_t r = 0; r < measured->table.rows.size(); ++r) {
      const ScoreCell& cell = predicted[r].cells[c];
      EXPECT_GT(cell.standard_error, 0);
      EXPECT_LT(cell.standard_error, cell.value);
      a.push_back(cell.value);
      b.push_back(measured->table.rows[r].cells[c].damage);
      sum_predicted += a.back();
      sum_measured += b.back();
    }
    const char* name = find_type(options.types[c])->name;
    EXPECT_GE(*spearman(a, b), 0.9) << name;
    EXPECT_NEAR(sum_predicted / sum_measured, 1, 0.2) << name;
    all_predicted += sum_predicted;
    all_measured += sum_measured;
  }
  EXPECT_NEAR(all_predicted / all_measured, 1, 0.12);
}

}  // namespace
}  // namespace assay
