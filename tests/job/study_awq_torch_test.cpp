// The AWQ and RFIC studies on the bundled model, a few short windows: what must hold whatever they find, and that a second run finds all.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "assay/engine.h"

namespace assay {
namespace {

const std::string kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";

RunSettings fresh_store(const char* name) {
  const std::filesystem::path store = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(store);
  RunSettings settings;
  settings.store = store.string();
  return settings;
}

TEST(StudyAwq, TheSearchedLossFallsAndASecondRunFindsEverything) {
  StudyAwqOptions options;
  options.model = kModel;
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.text.windows.ctx = 64;
  options.calibration = ASSAY_SOURCE_DIR "/demo/calibration.txt";
  options.config.types = {GgmlType::kQ4_0};
  options.config.bits = {3};
  options.quick = true;
  const RunSettings settings = fresh_store("assay-study-awq");
  const auto made = assay_engine()->study_awq(options, settings, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  const AwqStudyResult& result = made->result;
  ASSERT_EQ(result.rows.size(), 5u + 6u);
  for (const AwqRow& row : result.rows) {
    EXPECT_GT(row.kl.value, 0) << row.method;
    EXPECT_LE(row.kl.low, row.kl.value);
    if (!row.against.empty()) {
      EXPECT_LE(row.change.low, row.change.high);
    }
  }
  EXPECT_EQ(result.rows[8].method, "imatrix");
  EXPECT_EQ(result.rows[8].against, "plain");
  EXPECT_EQ(result.rows[10].against, "imatrix");
  // Grouped queries: three places, and a sentence about the fourth.
  ASSERT_EQ(result.curves.size(), 6u);
  for (const AwqCurve& curve : result.curves) {
    EXPECT_DOUBLE_EQ(curve.losses[0], 1);
    EXPECT_LE(*std::ranges::min_element(curve.losses), 1);
    EXPECT_EQ(curve.alphas.size(), 12u);
  }
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_NE(result.notes[0].find("grouped-query"), std::string::npos);
  ASSERT_EQ(result.clip_shares.size(), 10u);
  double all = 0;
  for (const double share : result.clip_shares) all += share;
  EXPECT_NEAR(all, 1, 1e-9);
  ASSERT_EQ(result.channels.size(), 3u);
  EXPECT_TRUE(std::ranges::is_sorted(result.channels[0].mean, std::greater<>()));
  ASSERT_EQ(result.verdicts.size(), 1u);
  EXPECT_NE(result.verdicts[0].outcome, Outcome::kNotMeasured);

  const auto again = assay_engine()->study_awq(options, settings, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(to_json(again->result), to_json(made->result));
}

TEST(StudyRfic, TheChecksHoldTogetherAndASecondRunFindsEverything) {
  StudyRficOptions options;
  options.model = kModel;
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.text.windows.ctx = 64;
  options.calibration = ASSAY_SOURCE_DIR "/demo/calibration.txt";
  options.config.layers = {{3, 3}, {6, 6}};
  options.config.grid.group = 32;
  options.config.ruleset = {RficRule::kV0, RficRule::kA, RficRule::kB, RficRule::kC};
  options.quick = true;
  const RunSettings settings = fresh_store("assay-study-rfic");
  const auto made = assay_engine()->study_rfic(options, settings, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  const RficResult& result = made->result;
  EXPECT_EQ(result.tensors, (std::vector<std::string>{"blk.3.ffn_down.weight", "blk.6.ffn_down.weight"}));
  for (const RficRule rule : {RficRule::kV0, RficRule::kA})
    EXPECT_EQ(std::ranges::count(result.candidates, rule, &RficCandidate::rule), 2 * 512 / 32);
  EXPECT_FALSE(result.front.empty());
  for (const RficCandidate& one : result.candidates) EXPECT_GE(one.harm, 0);
  for (const size_t i : result.zeroed) EXPECT_GT(result.candidates.at(i).benefit, 0);
  EXPECT_LE(result.gate.size(), 8u);
  for (const RficGate& row : result.gate) EXPECT_GE(row.zero_kl, 0);
  if (!result.gate.empty()) {
    EXPECT_GT(result.gate_baseline_kl, 0);
  }
  ASSERT_FALSE(result.zeroed.empty());  // of all rules some gain
  ASSERT_EQ(result.checks.size(), 2u);
  for (const RficCheck& check : result.checks) {
    EXPECT_GT(check.quantized_kl.value, 0);
    EXPECT_NE(check.zero_change.value, 0);  // something was zeroed
    EXPECT_NE(check.plain_change.value, 0);
    EXPECT_EQ(check.plain.value, result.checks[0].plain.value);
    EXPECT_FALSE(check.verdict.empty());
  }
  EXPECT_NE(result.checks[0].quantized.value, result.checks[1].quantized.value);

  const auto again = assay_engine()->study_rfic(options, settings, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(to_json(again->result), to_json(made->result));
}

}  // namespace
}  // namespace assay
