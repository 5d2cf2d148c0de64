// `optimize --refine` and `--solver evopress` on the bundled model, with little text and few types.
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/engine.h"

namespace assay {
namespace {

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";

OptimizeOptions small_run(const std::string& name) {
  OptimizeOptions options;
  options.model = kDemo + "reference-9m";
  options.calibration = kDemo + "calibration.txt";
  options.evaluation = kDemo + "evaluation.txt";
  options.windows.ctx = 64;
  options.windows.chunks = 8;
  options.output = testing::TempDir() + "/assay-" + name + ".gguf";
  options.budget.like = "Q3_K_M";
  options.constraints.types = {GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ6_K};
  options.codes = Codes::kNearest;
  options.force = true;
  return options;
}

// One store for all: the imatrix, the curvature table and what one test measured are there for the next.
class RefinePlan : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::filesystem::remove_all(store()); }
  static void TearDownTestSuite() { std::filesystem::remove_all(store()); }
  static std::string store() { return testing::TempDir() + "/assay-refine-store"; }
  RefinePlan() { settings.store = store(); }
  RunSettings settings;
};

TEST_F(RefinePlan, KeepsToItsBudgetAndIsFoundAgain) {
  OptimizeOptions options = small_run("refined");
  const auto plain = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_FALSE(plain->refine);
  EXPECT_EQ(plain->plan_name, "curvature");

  options.refine.forwards = 40;
  options.refine_regret = 0;
  const auto refined = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(refined) << refined.error().message;
  ASSERT_TRUE(refined->refine);
  const RefineReport& report = *refined->refine;
  EXPECT_EQ(report.measuring_windows, 6u);
  EXPECT_EQ(report.selection_windows, 2u);
  EXPECT_LE(report.spent, 40);
  EXPECT_GT(report.spent, 20);
  EXPECT_EQ(report.budget, 40);
  EXPECT_GT(report.cells_alone, 0u);
  EXPECT_LE(report.cells_alone, report.cells);
  EXPECT_LT(report.regret / report.damage, report.regret_before / report.damage_before);
  double spent = 0;
  for (const RefineRound& round : report.rounds) spent += round.cost;
  EXPECT_NEAR(spent, report.spent, 1e-9);
  ASSERT_FALSE(report.decisions.empty());
  ASSERT_GE(report.candidates.size(), 2u);
  EXPECT_EQ(report.candidates[0].name, refined->plan_name);
  EXPECT_EQ(report.candidates[0].windows, 2u);  // the last round has them all
  for (const RefineCandidate& one : report.candidates) EXPECT_LE(one.bytes, refined->plan.budget_bytes);
  EXPECT_EQ(refined->measured.bytes, refined->plan.file_bytes);
  EXPECT_LE(refined->measured.bytes, refined->plan.budget_bytes);
  EXPECT_EQ(refined->measured.bytes, std::filesystem::file_size(options.output));

  ASSERT_TRUE(refined->unrefined);
  EXPECT_NEAR(refined->measured.mean_kl.value / refined->unrefined->mean_kl.value - 1, refined->unrefined_change.value, 1e-9);

  // The same command again does no work, and says the same.
  const auto again = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_GT(again->units.found, 0u);
  EXPECT_EQ(again->plan.recipe.types, refined->plan.recipe.types);
  EXPECT_EQ(again->refine->regret, report.regret);
  EXPECT_EQ(again->measured.mean_kl.value, refined->measured.mean_kl.value);
  std::filesystem::remove(options.output);
}

// Time becomes forward-equivalents once; the store remembers how many.
TEST_F(RefinePlan, ConvertsTimeOnceAndRemembers) {
  OptimizeOptions options = small_run("timed");
  options.refine.seconds = 0.5;
  const auto first = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_GT(first->refine->seconds_per_forward, 0);
  EXPECT_NEAR(first->refine->budget, 0.5 / first->refine->seconds_per_forward, 1e-9);
  const auto second = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(second);
  EXPECT_EQ(second->refine->seconds_per_forward, first->refine->seconds_per_forward);
  EXPECT_EQ(second->plan.recipe.types, first->plan.recipe.types);
  EXPECT_EQ(second->units.made, 0u);
  std::filesystem::remove(options.output);
}

// A guard that turns the winner away: those behind it are tried, and what is written is what passed.
TEST_F(RefinePlan, TriesTheNextRecipesWhereAGuardFails) {
  OptimizeOptions options = small_run("guarded");
  options.refine.forwards = 40;
  options.refine_regret = 0;
  options.guards = {kDemo + "calibration.txt"};
  options.guard_margin = -0.999;  // nothing passes
  const auto failed = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(failed) << failed.error().message;
  EXPECT_FALSE(failed->accepted);
  ASSERT_EQ(failed->tried.size(), failed->refine->candidates.size());
  ASSERT_GE(failed->tried.size(), 2u);
  EXPECT_EQ(std::filesystem::file_size(options.output), failed->preset->bytes);
  EXPECT_EQ(failed->plan_name, failed->tried[0].file.name);  // the result describes the winner, the preset was written
  double first = failed->tried[0].guards[0].change.high, best = first;
  for (const TriedFile& tried : failed->tried) {
    EXPECT_FALSE(tried.passed);
    for (const GuardOutcome& guard : tried.guards) best = std::min(best, guard.change.high);
  }
  if (best == first) GTEST_SKIP() << "the winner is also the best on the guard's text";
  options.guard_margin = (first + best) / 2;
  const auto passed = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(passed) << passed.error().message;
  EXPECT_TRUE(passed->accepted);
  ASSERT_GE(passed->tried.size(), 2u);
  EXPECT_FALSE(passed->tried.front().passed);
  EXPECT_TRUE(passed->tried.back().passed);
  EXPECT_EQ(passed->plan_name, passed->tried.back().file.name);
  EXPECT_TRUE(passed->guards[0].passed);
  EXPECT_EQ(std::filesystem::file_size(options.output), passed->measured.bytes);
  std::filesystem::remove(options.output);
}

TEST_F(RefinePlan, EvoPressSearchesOnMeasuredKl) {
  OptimizeOptions options = small_run("evopress");
  options.constraints.solver = kEvoPress;
  options.generations = 3;
  options.offspring = 8;
  const auto found = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_TRUE(found->search);
  EXPECT_EQ(found->plan_name, "evopress");
  EXPECT_EQ(found->search->generations, 3u);
  EXPECT_EQ(found->search->kl.size(), 3u);
  EXPECT_LE(found->search->kl.back(), found->search->kl.front());  // all windows, and the parent stays
  EXPECT_GT(found->search->forwards, 20);                          // 24 recipes, some of them twice
  EXPECT_LE(found->measured.bytes, found->plan.budget_bytes);
  EXPECT_GE(found->plan.predicted_damage, found->plan.bound);
  std::filesystem::remove(options.output);
}

TEST_F(RefinePlan, RefusesWhatCannotBe) {
  OptimizeOptions options = small_run("refused");
  options.refine.forwards = 10;
  options.constraints.solver = "greedy";
  auto refused = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  options.constraints.solver = "exact";
  options.windows.chunks = 3;
  refused = assay_engine()->optimize(options, settings, silent_progress());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("3 calibration windows"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(std::filesystem::exists(options.output));
}

}  // namespace
}  // namespace assay
