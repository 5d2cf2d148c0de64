#include <gtest/gtest.h>

#include <filesystem>

#include "assay/base/sha256.h"
#include "assay/engine.h"

namespace assay {
namespace {

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";

OptimizeOptions small_run(const std::string& output) {
  OptimizeOptions options;
  options.model = kDemo + "reference-9m";
  options.calibration = kDemo + "calibration.txt";
  options.evaluation = kDemo + "evaluation.txt";
  options.windows.ctx = 128;
  options.windows.chunks = 12;
  options.output = output;
  options.budget.like = "Q3_K_M";
  options.force = true;
  return options;
}

// The whole job on the bundled model: within the budget, better than the preset of the same bytes.
TEST(Optimize, BeatsThePresetWithinItsBytes) {
  const std::string output = testing::TempDir() + "/assay-optimize.gguf";
  const auto first = assay_engine()->optimize(small_run(output), RunSettings{}, silent_progress());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_LE(first->measured.bytes, first->plan.budget_bytes);
  EXPECT_EQ(first->measured.bytes, std::filesystem::file_size(output));
  EXPECT_EQ(first->measured.bytes, first->plan.file_bytes);
  ASSERT_TRUE(first->preset);
  EXPECT_EQ(first->preset->name, "Q3_K_M");
  EXPECT_LE(first->preset->bytes, first->plan.budget_bytes);
  EXPECT_TRUE(first->accepted);
  EXPECT_LT(first->change.high, -0.3);
  EXPECT_LT(first->plan.gap, 1e-3);
  // What codes give alone, and what types give beyond them.
  ASSERT_TRUE(first->preset_codes);
  EXPECT_EQ(first->preset_codes->bytes, first->preset->bytes);
  EXPECT_LT(first->preset_codes_change.high, -0.2);
  EXPECT_LT(first->measured.mean_kl.value, first->preset_codes->mean_kl.value);
  // Codes are made for the calibration tokens, and 1,536 are few: the prediction, on the same tokens, is far too low, and the run says why.
  EXPECT_LT(first->plan.predicted_damage, first->measured.mean_kl.value);
  EXPECT_FALSE(first->warnings.empty());
  std::filesystem::remove(output);
}

// The same again, bit for bit, with other threads; a few windows go through every step. That the dearer best codes repeat:
// encode_codes_torch_test.cpp and codes_test.cpp.
TEST(Optimize, RepeatsWhateverTheThreads) {
  OptimizeOptions options = small_run(testing::TempDir() + "/assay-optimize-one.gguf");
  options.windows.chunks = 4;
  options.codes = Codes::kFeedback;
  RunSettings one, two;
  one.threads = 1;
  two.threads = 2;
  const auto first = assay_engine()->optimize(options, one, silent_progress());
  ASSERT_TRUE(first) << first.error().message;
  const std::string hash = *sha256_of_file(options.output);
  const auto second = assay_engine()->optimize(options, two, silent_progress());
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->plan.recipe.types, first->plan.recipe.types);
  EXPECT_EQ(second->measured.mean_kl.value, first->measured.mean_kl.value);
  EXPECT_EQ(second->change.low, first->change.low);
  EXPECT_EQ(*sha256_of_file(options.output), hash);
  std::filesystem::remove(options.output);
}

// One store for the tests of nearest codes: the imatrix, the table and the files that one has measured are there for the next.
class OptimizeNearest : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::filesystem::remove_all(store()); }
  static void TearDownTestSuite() { std::filesystem::remove_all(store()); }
  static std::string store() { return testing::TempDir() + "/assay-optimize-nearest-store"; }
  static OptimizeOptions nearest_run(const std::string& name) {
    OptimizeOptions options = small_run(testing::TempDir() + "/" + name);
    options.codes = Codes::kNearest;
    options.windows.chunks = 4;
    return options;
  }
  OptimizeNearest() { settings.store = store(); }
  RunSettings settings;
};

TEST_F(OptimizeNearest, NeedsNoSecondMoments) {
  const OptimizeOptions options = nearest_run("assay-nearest.gguf");
  const auto made = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(made->preset_codes);
  EXPECT_TRUE(made->damping.empty());
  std::filesystem::remove(options.output);
}

// Another domain is measured too; a margin that cannot be kept makes the preset the result.
TEST_F(OptimizeNearest, GuardsAnotherText) {
  OptimizeOptions options = nearest_run("assay-guard.gguf");
  options.guards = {kDemo + "calibration.txt"};
  const auto passed = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(passed) << passed.error().message;
  ASSERT_EQ(passed->guards.size(), 1u);
  EXPECT_TRUE(passed->guards[0].passed);
  EXPECT_TRUE(passed->accepted);
  EXPECT_LT(passed->guards[0].change.value, 0);
  EXPECT_NEAR(passed->guards[0].ours.mean_kl.value / passed->guards[0].preset.mean_kl.value - 1, passed->guards[0].change.value, 1e-9);
  options.guard_margin = passed->guards[0].change.high - 0.01;  // stricter than what it reaches
  const auto failed = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(failed) << failed.error().message;
  EXPECT_FALSE(failed->guards[0].passed);
  EXPECT_FALSE(failed->accepted);
  EXPECT_EQ(std::filesystem::file_size(options.output), failed->preset->bytes);
  std::filesystem::remove(options.output);
}

TEST(Optimize, RefusesBeforeAnyWork) {
  OptimizeOptions options = small_run(kDemo + "calibration.txt");
  options.force = false;
  const auto exists = assay_engine()->optimize(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(exists);
  EXPECT_EQ(exists.error().code, ErrorCode::kUsage);
  options = small_run(testing::TempDir() + "/assay-small.gguf");
  options.budget = {};
  options.budget.size = "1KiB";
  options.codes = Codes::kNearest;
  options.windows.chunks = 2;
  const auto tiny = assay_engine()->optimize(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(tiny);
  EXPECT_EQ(tiny.error().code, ErrorCode::kUsage);
  EXPECT_FALSE(std::filesystem::exists(options.output));
}

// The curvature table against the measured sweep on the same windows: the same order of tensors, and the same size.
TEST(Curvature, AgreesWithTheMeasuredSweep) {
  MakeTableOptions options;
  options.model = kDemo + "reference-9m";
  options.text.path = kDemo + "calibration.txt";
  options.text.windows.ctx = 128;  // both see the same 768 tokens: more would move both alike
  options.text.windows.chunks = 6;
  options.types = {GgmlType::kQ3_K, GgmlType::kQ4_K};
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
  ASSERT_EQ(measured->table.rows.size(), predicted.size());
  for (size_t c = 0; c < options.types.size(); ++c) {
    double sum_measured = 0, sum_predicted = 0;
    std::vector<std::pair<double, double>> pairs;
    for (size_t r = 0; r < measured->table.rows.size(); ++r) {
      const double m = measured->table.rows[r].cells[c].damage, p = predicted[r].cells[c].value;
      sum_measured += m;
      sum_predicted += p;
      pairs.emplace_back(m, p);
    }
    EXPECT_NEAR(sum_predicted / sum_measured, 1.0, 0.3);
    size_t agree = 0, all = 0;
    for (size_t i = 0; i < pairs.size(); ++i)
      for (size_t j = 0; j < i; ++j, ++all) agree += (pairs[i].first < pairs[j].first) == (pairs[i].second < pairs[j].second);
    EXPECT_GT(static_cast<double>(agree) / static_cast<double>(all), 0.85);  // Kendall's tau above 0.7
  }
}

TEST(Evaluate, TheModelAgainstItselfIsExactlyZero) {
  EvaluateOptions options;
  options.model = options.base = kDemo + "reference-9m";
  options.text.path = kDemo + "evaluation.txt";
  options.text.windows.ctx = 128;
  options.text.windows.chunks = 4;
  const auto result = assay_engine()->evaluate(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->comparison);
  EXPECT_EQ(result->comparison->mean_kl(), 0.0);
  EXPECT_EQ(result->comparison->flip_rate(), 0.0);
  EXPECT_GT(*result->noise_floor, 0.0);
  EXPECT_LT(*result->noise_floor, 1e-8);
}

}  // namespace
}  // namespace assay
