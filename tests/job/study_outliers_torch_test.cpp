// The outlier study on the bundled model, cut down: every stage runs, identities hold, a second run finds everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "assay/engine.h"
#include "assay/study/outlier_figures.h"

namespace assay {
namespace {

using Kind = OutlierRow::Kind;

class StudyOutliers : public testing::Test {
 protected:
  static StudyOutliersOptions small() {
    StudyOutliersOptions options;
    options.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
    OutlierConfig& config = options.config;
    config.strata = {"chat", "code"};
    config.prompts_per_stratum = 2;
    config.max_tokens = 24;
    config.layers = {{0, 1}};
    config.robust = 4;
    config.walk = 8;
    config.under = 2;
    config.under_kl = 1e9;  // whatever is walked first
    config.under_ppl = 1e9;
    config.controls = 2;
    config.strongest = 2;
    config.scales = {0.5, 2};
    config.ranks = {1};
    config.sets = {3};
    config.tracked_prompts = 1;
    config.super_weights = {{1, {3, 5}}};
    config.share_types = {GgmlType::kQ2_K};
    config.share_k = {1, 100, 4'000'000};  // more than there are
    config.share_controls = 1;
    return options;
  }
  static RunSettings settings(const std::filesystem::path& store) {
    RunSettings settings;
    settings.store = store.string();
    return settings;
  }
};

TEST_F(StudyOutliers, IdentitiesHoldAndASecondRunFindsEverything) {
  const std::filesystem::path store = std::filesystem::path(testing::TempDir()) / "assay-study-outliers";
  std::filesystem::remove_all(store);
  const StudyOutliersOptions options = small();
  const auto made = assay_engine()->study_outliers(options, settings(store), silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  const OutlierResult& result = made->result;
  EXPECT_EQ(result.prompts, 4u);
  ASSERT_EQ(result.strata, (std::vector<std::string>{"chat", "code"}));

  // One given super weight, eight walked, two controls each for the listed four, the super weight and the accepted.
  const auto count = [&](const auto& is_one) { return std::count_if(result.rows.begin(), result.rows.end(), is_one); };
  EXPECT_EQ(count([](const OutlierRow& row) { return row.kind == Kind::kSuper; }), 1);
  EXPECT_EQ(count([](const OutlierRow& row) { return row.kind == Kind::kRobust; }), 8);
  EXPECT_EQ(count([](const OutlierRow& row) { return row.kind == Kind::kRobust && row.listed; }), 4);
  EXPECT_EQ(count([](const OutlierRow& row) { return row.under; }), 2);
  EXPECT_EQ(count([](const OutlierRow& row) { return row.kind == Kind::kControl; }), 10);
  double before = INFINITY;
  for (const OutlierRow& row : result.rows) {
    EXPECT_GE(row.all.kl, 0);
    EXPECT_GE(row.all.tail_kl, row.all.kl);
    EXPECT_NEAR(row.kl.value, row.all.kl, 1e-15);
    ASSERT_EQ(row.strata.size(), 2u);
    double sum = 0;
    for (const Behaviour& one : row.strata) sum += static_cast<double>(one.tokens) * one.kl;
    EXPECT_NEAR(sum / static_cast<double>(row.all.tokens), row.all.kl, 1e-12 * (1 + row.all.kl));
    if (row.kind == Kind::kRobust) {
      EXPECT_LE(row.robust_score, before);
      before = row.robust_score;
    }
    if (row.kind == Kind::kControl) {
      const OutlierRow& target = result.rows[*row.target];
      EXPECT_EQ(row.place.tensor, target.place.tensor);
      EXPECT_EQ(count([&](const OutlierRow& other) { return other.place == row.place; }), 1) << name_of(row.place);
    }
  }

  // Doses: nothing changed costs nothing.
  for (const OutlierDose& dose : result.doses) {
    const double zeroed = result.rows[dose.row].all.kl;
    if (dose.scale == 0 || dose.scale == 1) {
      EXPECT_EQ(dose.kl.value, dose.scale == 1 ? 0 : zeroed);
    }
  }
  EXPECT_EQ(result.doses.size(), 2u * 3 * 4);  // two and their controls, four scales
  EXPECT_EQ(result.edits.size(), 2u * 3 * 4);
  ASSERT_EQ(result.sets.size(), 2u);

  // The full patch at the first changed block, and a replacement anywhere after it, restore the model exactly.
  ASSERT_FALSE(result.patches.empty());
  for (const OutlierPatch& patch : result.patches) {
    if (patch.form == "first" || patch.form == "replace") {
      EXPECT_EQ(patch.kl.value, 0) << patch.form << patch.layer;
    } else {
      EXPECT_LE(patch.recovery.value, 1);
    }
  }
  // The published form: restored at its own block, all of delta again at the next, and on from there.
  ASSERT_EQ(result.overshoots.size(), 2u);
  for (const OutlierOvershoot& one : result.overshoots) {
    ASSERT_FALSE(one.layers.empty());
    EXPECT_EQ(one.layers[0].first, result.rows[one.row].layer);
    EXPECT_NEAR(one.layers[0].second, 0, 1e-3);
    ASSERT_GT(one.layers.size(), 2u);
    EXPECT_NEAR(one.layers[1].second, 1, 1e-3);
    EXPECT_GT(one.layers[2].second, 1);
  }

  for (const OutlierRow& row : result.rows) {
    if (row.tracked.empty()) continue;
    EXPECT_EQ(row.tracked.front().layer, row.layer);
    EXPECT_EQ(row.tracked.back().layer, 11);
    for (const TrackedLayer& layer : row.tracked) {
      EXPECT_GT(layer.norm, 0);
      EXPECT_GT(layer.centred, 0);
      EXPECT_LE(layer.centred, 1);
      EXPECT_LE(layer.centred, *row.max_stability);
      EXPECT_EQ(layer.at.size(), result.position_bins.size());
    }
  }
  // What a matrix that writes to the stream moves at its own block is one channel: uncentred, one direction. The given super weight is one.
  EXPECT_NEAR(result.rows[0].tracked.front().uncentred, 1, 1e-6);

  // All restored: nothing is left of the damage. More outliers restored are measured with the same floor.
  ASSERT_EQ(result.damages.size(), 1u);
  EXPECT_GT(result.damages[0].kl.value, 1e-3);
  for (const OutlierShare& share : result.shares)
    if (share.k == 4'000'000) {
      EXPECT_EQ(share.kl.value, 0) << share.selection;
      EXPECT_NEAR(share.share.value, 1, 1e-9);
    }
  const auto share_of = [&](const std::string& selection, uint64_t k) {
    return std::find_if(result.shares.begin(), result.shares.end(),
                        [&](const OutlierShare& one) { return one.selection == selection && one.k == k; })
        ->share.value;
  };
  EXPECT_GT(share_of("curvature", 100), share_of("outliers", 1));
  for (const auto& rows : {result.candidates, result.controls}) EXPECT_EQ(rows.size(), 13u);
  EXPECT_EQ(result.verdicts.size(), 3u);
  EXPECT_FALSE(result.post_hoc);

  const std::filesystem::path figures = store / "figures";
  const auto written = write_figures(result, figures.string(), "test", {});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_GE(written->size(), 10u);

  const auto again = assay_engine()->study_outliers(options, settings(store), silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(to_csv(again->result), to_csv(result));

  // Criteria that change afterwards are known as such; by then everything is there.
  StudyOutliersOptions changed = options;
  changed.config.criteria = {{"easy", share_statistic(GgmlType::kQ2_K, 1), Criterion::Rule::kAtLeast, -1}};
  const auto post_hoc = assay_engine()->study_outliers(changed, settings(store), silent_progress());
  ASSERT_TRUE(post_hoc) << post_hoc.error().message;
  EXPECT_TRUE(post_hoc->result.post_hoc);
  EXPECT_EQ(post_hoc->result.outcome, Outcome::kPassed);
  std::filesystem::remove_all(store);
}

TEST_F(StudyOutliers, RefusesByName) {
  const auto refused = [](const std::function<void(StudyOutliersOptions&)>& fault) {
    StudyOutliersOptions options = small();
    options.config.share_types.clear();
    fault(options);
    const auto made = assay_engine()->study_outliers(options, {}, silent_progress());
    return made ? std::string() : made.error().message;
  };
  EXPECT_NE(refused([](auto& o) { o.config.strata = {"poems"}; }).find("poems"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.config.super_weights = {{99, {0, 0}}}; }).find("99"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.config.super_weights = {{0, {9999, 0}}}; }).find("9999"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.config.variants = 10; }).find("at most 10"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.config.strata_file = "nothing.yaml"; }).find("nothing.yaml"), std::string::npos);
}

}  // namespace
}  // namespace assay
