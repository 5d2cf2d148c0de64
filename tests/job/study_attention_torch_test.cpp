// The study of crystallised attention on the bundled model: a quick run of everything, identities of methods.md 9, a second run that finds
// all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "assay/engine.h"
#include "assay/study/attention_analysis.h"

namespace assay {
namespace {

// Products of a whole rank in another order than the context's.
constexpr double kWholeRankKl = 1e-9;

StudyAttentionOptions quick_options() {
  StudyAttentionOptions options;
  options.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  AttentionConfig& config = options.config;
  config.layers = {{9, 11}};
  config.ranks = {1, 16, 64};
  config.top_k = {2};
  config.ctx = 96;
  make_quick(config);
  config.windows = 4;
  config.basis_windows = 3;
  return options;
}

class Log final : public Progress {
 public:
  void log(std::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

TEST(StudyAttention, AQuickRunOfEverythingAndASecondThatFindsAll) {
  const std::filesystem::path store = std::filesystem::path(testing::TempDir()) / "assay-study-attention";
  std::filesystem::remove_all(store);
  StudyAttentionOptions options = quick_options();
  RunSettings settings;
  settings.store = store.string();
  Log log;
  const auto made = assay_engine()->study_attention(options, settings, log);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_FALSE(log.lines.empty());
  EXPECT_TRUE(std::any_of(log.lines.begin(), log.lines.end(), [](const std::string& line) { return line.starts_with("plan: "); }));
  const AttentionResult& result = made->result;
  const std::vector<int> chosen = {9, 10, 11};
  EXPECT_EQ(result.chosen, chosen);
  EXPECT_EQ(result.windows, 4u);
  const auto row = [&](std::string_view rule, int k, std::string_view basis, std::string_view set, const std::vector<int>& layers) {
    const AttentionRow* found = find_row(result, rule, k, basis, set, layers);
    EXPECT_NE(found, nullptr) << rule << k << basis << set;
    static const AttentionRow kNone;
    return found == nullptr ? kNone : *found;
  };
  // The full rule is the model, to the bit; a whole rank is it but for rounding, whatever the basis; less is neither.
  EXPECT_EQ(row("full", 0, "", "together", chosen).kl.value, 0);
  EXPECT_NEAR(row("full", 0, "", "together", chosen).ppl, result.base_ppl, 1e-12);
  for (const char* basis : {"residual", "values", "random"}) {
    const AttentionRow whole = row("low-rank", 64, basis, "together", chosen);
    EXPECT_LT(whole.kl.value, kWholeRankKl) << basis;
    EXPECT_NEAR(whole.recovery->value, 100, 0.01) << basis;
    EXPECT_NEAR(*whole.kept, 1, 1e-5) << basis;
  }
  const AttentionRow top1 = row("top-1", 0, "", "together", chosen), top2 = row("top-k", 2, "", "together", chosen);
  EXPECT_GT(top1.kl.value, 1e-3);
  EXPECT_LT(top2.kl.value, top1.kl.value);
  const AttentionRow low = row("low-rank", 1, "residual", "together", chosen), middle = row("low-rank", 16, "residual", "together", chosen);
  EXPECT_LT(low.kl.value, top1.kl.value);
  EXPECT_LT(middle.kl.value, low.kl.value);
  EXPECT_LT(*low.kept, *middle.kept);
  EXPECT_GT(*middle.kept_fitted, 0.3);
  EXPECT_GT(*middle.kept, *row("low-rank", 16, "random", "together", chosen).kept);
  EXPECT_TRUE(row("low-rank", 16, "random", "together", chosen).lead);
  // A subset of everything is together; a suffix of one layer is that layer alone.
  EXPECT_EQ(row("top-1", 0, "", "subsets", chosen).ppl, top1.ppl);
  EXPECT_EQ(row("top-1", 0, "", "suffixes", {11}).ppl, row("top-1", 0, "", "alone", {11}).ppl);
  EXPECT_EQ(row("top-1", 0, "", "suffixes", chosen).ppl, top1.ppl);
  EXPECT_EQ(std::count_if(result.rows.begin(), result.rows.end(), [](const AttentionRow& one) { return one.mode.set == "subsets"; }), 7);
  EXPECT_EQ(std::count_if(result.rows.begin(), result.rows.end(),
                          [](const AttentionRow& one) { return one.mode.set == "alone" && one.mode.rule == "top-1"; }),
            12);

  EXPECT_EQ(result.heads_map.size(), 48u);
  EXPECT_EQ(result.layers_map.size(), 12u);
  for (const HeadCrystallisation& head : result.heads_map) {
    EXPECT_GT(head.ratio, 0);
    EXPECT_LE(head.ratio, 1);
    EXPECT_GE(head.margin, 0);
    EXPECT_GT(head.stability, 0);
  }
  EXPECT_EQ(result.spectra.size(), 12u);
  for (const AttentionSpectrum& one : result.spectra) {
    EXPECT_NEAR(one.cumulative.back(), 1, 1e-9);
    EXPECT_GT(one.participation, 1);
    EXPECT_LE(one.r90, 64);
  }
  EXPECT_EQ(result.predictions.size(), 3u);
  EXPECT_EQ(result.verdicts.size(), 5u);
  EXPECT_EQ(result.verdicts[0].outcome, Outcome::kPassed);  // full reproduces the model
  EXPECT_FALSE(result.post_hoc);
  EXPECT_FALSE(result.notes.empty());  // rank 64 is the head size

  const auto again = assay_engine()->study_attention(options, settings, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(again->units.found, made->units.made);
  EXPECT_EQ(to_json(again->result).dump(), to_json(result).dump());

  // Criteria that change afterwards are known as such.
  options.config.criteria = {{"easy", kRecoveryStatistic, Criterion::Rule::kAtLeast, -1e9}};
  const auto changed = assay_engine()->study_attention(options, settings, silent_progress());
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_TRUE(changed->result.post_hoc);
  std::filesystem::remove_all(store);
}

TEST(StudyAttention, MemoryAndThreadsChangeNothing) {
  StudyAttentionOptions options = quick_options();
  options.config.sets = {LayerSets::kTogether};
  options.config.ranks = {4};
  options.config.windows = 2;
  RunSettings one, other;
  one.threads = 1;
  other.threads = 2;
  other.memory = uint64_t{64} << 20;
  const auto a = assay_engine()->study_attention(options, one, silent_progress());
  const auto b = assay_engine()->study_attention(options, other, silent_progress());
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_EQ(to_json(a->result).dump(), to_json(b->result).dump());
}

TEST(StudyAttention, BadInputIsNamedAndItsControlRuns) {
  const auto refused = [](const std::function<void(StudyAttentionOptions&)>& change) -> std::string {
    StudyAttentionOptions options = quick_options();
    options.config.sets = {LayerSets::kTogether};
    options.config.ranks = {4};
    options.config.windows = options.config.basis_windows = 1;
    change(options);
    const auto made = assay_engine()->study_attention(options, {}, silent_progress());
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(refused([](StudyAttentionOptions&) {}), "");
  const std::filesystem::path empty = std::filesystem::path(testing::TempDir()) / "assay-empty.txt";
  std::ofstream(empty).close();
  const std::pair<std::function<void(StudyAttentionOptions&)>, const char*> faults[] = {
      {[](StudyAttentionOptions& o) { o.config.layers = {{11, 12}}; }, "12"},
      {[](StudyAttentionOptions& o) { o.config.ranks = {65}; }, "rank 65"},
      {[](StudyAttentionOptions& o) { o.config.compare_rank = 5; }, "compare_rank 5"},
      {[&](StudyAttentionOptions& o) { o.text.path = empty.string(); }, "assay-empty.txt"},
      {[&](StudyAttentionOptions& o) { o.basis_text = empty.string(); }, "assay-empty.txt"},
      {[](StudyAttentionOptions& o) { o.config.windows = 100'000; }, "windows"},
      {[](StudyAttentionOptions& o) { o.config.ctx = 4096; }, "4096"},
      {[](StudyAttentionOptions& o) { o.text.windows.max_tokens = 500; }, "--max-tokens"},
  };
  for (const auto& [change, word] : faults) {
    const std::string message = refused(change);
    EXPECT_NE(message, "") << word;
    std::string plain = message;
    std::erase(plain, ',');
    EXPECT_NE(plain.find(word), std::string::npos) << message;
  }
  std::filesystem::remove(empty);
}

TEST(StudyAttention, TheLeakyBasisIsLabelled) {
  StudyAttentionOptions options = quick_options();
  options.config.sets = {LayerSets::kTogether};
  options.config.ranks = {4};
  options.config.basis_from = BasisSource::kEvaluation;
  const auto made = assay_engine()->study_attention(options, {}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->result.basis_from, "evaluation");
  EXPECT_TRUE(
      std::any_of(made->result.notes.begin(), made->result.notes.end(), [](const std::string& note) { return note.starts_with("leaky"); }));
}

}  // namespace
}  // namespace assay
