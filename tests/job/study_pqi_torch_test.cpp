// The PQI study on the bundled model, two blocks and two short windows: the identities of methods.md 3.8, and that a second run finds all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "assay/engine.h"

namespace assay {
namespace {

// Float32 logits: what a difference of two losses cannot see.
constexpr double kLossNoise = 5e-6;

TEST(StudyPqi, IdentitiesHoldAndASecondRunFindsEverything) {
  const std::filesystem::path store = std::filesystem::path(testing::TempDir()) / "assay-study-pqi";
  std::filesystem::remove_all(store);
  StudyPqiOptions options;
  options.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.text.windows.ctx = 64;
  options.text.windows.chunks = 2;
  options.config.types = {GgmlType::kQ2_K};
  options.config.layers = {{0, 1}};
  options.config.intervals = 2;
  options.config.rules = {PathRule::kMidpoint, PathRule::kSimpson};
  RunSettings settings;
  settings.store = store.string();
  const auto made = assay_engine()->study_pqi(options, settings, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->result.types.size(), 1u);
  const PqiOfType& one = made->result.types[0];
  const double change = one.loss_after - one.loss_before;
  EXPECT_GT(std::fabs(change), 1e-3);
  EXPECT_NEAR(one.all.change.value, change, kLossNoise);

  // Everything the layers, and the matrices, contribute is the total; a layer alone has no cross terms.
  ASSERT_EQ(one.layers.size(), 2u);
  ASSERT_EQ(one.matrices.size(), 14u);
  double matrices = 0;
  for (const PqiMatrix& matrix : one.matrices) {
    matrices += matrix.contribution;
    EXPECT_GE(matrix.abs_total, std::fabs(matrix.contribution));
    EXPECT_GE(matrix.abs_per_step, matrix.abs_total);
    EXPECT_GT(matrix.abs_per_sequence, matrix.abs_per_step);
  }
  EXPECT_NEAR(one.layers[0].contribution + one.layers[1].contribution, one.all.contribution, 1e-12);
  EXPECT_NEAR(matrices, one.all.contribution, 1e-12);
  EXPECT_NEAR(one.layers[0].first.value + one.layers[1].first.value, one.all.first.value, 1e-6);
  EXPECT_NEAR(one.layers[0].fisher + one.layers[1].fisher, one.all.fisher, 1e-12);
  EXPECT_EQ(one.layers[0].elements + one.layers[1].elements, one.all.elements);

  // It closes, better with more points, and the integral's own rule says what its rows say.
  ASSERT_EQ(one.closure.size(), 4u);  // two rules, N = 1 and 2
  EXPECT_NEAR(one.closure[1].predicted.value, one.all.contribution, 1e-9);
  EXPECT_LT(std::fabs(one.closure[1].error.value), 0.02 * std::fabs(change));
  EXPECT_LT(std::fabs(one.closure[3].error.value), kLossNoise + 0.002 * std::fabs(change));
  EXPECT_LT(std::fabs(one.closure[1].error.value), std::fabs(one.closure[0].error.value));
  for (const PqiClosure& row : one.closure) EXPECT_NEAR(row.predicted.value - row.error.value, one.all.change.value, 1e-9);

  // The whole step is the last of the parts, and a part's curvature is near that at w.
  EXPECT_NEAR(one.steps.back().change.value, change, kLossNoise);
  EXPECT_NEAR(one.steps.back().first, one.all.first.value, 1e-12);
  EXPECT_NEAR(one.steps[4].curvature.value / one.all.second.value, 1, 0.2);

  double before = 0;
  for (const PqiCoverage& row : one.coverage) {
    EXPECT_GT(row.share, std::max(before, row.top));
    EXPECT_LT(row.share, 1);
    before = row.share;
  }
  ASSERT_EQ(one.agreements.size(), 7u);
  for (const PqiAgreement& row : one.agreements) {
    ASSERT_TRUE(row.spearman) << row.measure;
    EXPECT_GT(*row.spearman, 0) << row.measure;
    ASSERT_EQ(row.overlaps.size(), 3u);
    for (const auto& [top, share] : row.overlaps) {
      EXPECT_GE(share, 0);
      EXPECT_LE(share, 1);
    }
  }
  EXPECT_EQ(made->result.verdicts.size(), 2u);
  EXPECT_FALSE(made->result.post_hoc);

  const auto again = assay_engine()->study_pqi(options, settings, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(again->units.found, made->units.made);
  EXPECT_EQ(again->result.types[0].all.contribution, one.all.contribution);
  EXPECT_EQ(again->result.types[0].agreements[3].spearman, one.agreements[3].spearman);

  // Criteria that change afterwards are known as such.
  options.config.criteria = {{"easy", "share of first and second order at Q2_K", Criterion::Rule::kAtLeast, 0}};
  const auto changed = assay_engine()->study_pqi(options, settings, silent_progress());
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_TRUE(changed->result.post_hoc);
  std::filesystem::remove_all(store);
}

}  // namespace
}  // namespace assay
