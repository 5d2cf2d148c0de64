// Tasks and the proxies study on the bundled model with a few items made here: identities, resume, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "assay/engine.h"

namespace assay {
namespace {

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/reference-9m";

// Sentences of the demo text, each with its own next words and those of two others.
std::string write_items(const std::filesystem::path& path, size_t count) {
  std::ofstream out(path);
  for (size_t i = 0; i < count; ++i)
    out << R"({"query": "Item )" << i << R"( of the list is followed by", "choices": ["number )" << i + 1
        << R"(.", "a garden wall.", "the ship at sea."], "gold": )" << i % 3 << "}\n";
  return path.string();
}

RunSettings settings_of(const std::filesystem::path& store) {
  RunSettings settings;
  settings.store = store.string();
  return settings;
}

TEST(EvaluateTasks, ComparesWithABaseAndResumes) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-evaluate-tasks";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  EvaluateTasksOptions options;
  options.model = options.base = kDemo;
  options.tasks = {write_items(dir / "a.jsonl", 12), write_items(dir / "b.jsonl", 7)};
  options.limit = 10;
  const auto made = assay_engine()->evaluate_tasks(options, settings_of(dir / "store"), silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->tasks.size(), 2u);
  EXPECT_EQ(made->tasks[0].score.items, 10u);
  EXPECT_EQ(made->tasks[0].items_in_file, 12u);
  EXPECT_EQ(made->tasks[1].name, "b");
  EXPECT_LT(made->tasks[0].packed_rows, made->tasks[0].separate_rows);
  ASSERT_TRUE(made->all);
  EXPECT_EQ(made->all->score.items, 17u);
  EXPECT_NEAR(made->all->score.accuracy[0].value,
              (10 * made->tasks[0].score.accuracy[0].value + 7 * made->tasks[1].score.accuracy[0].value) / 17, 1e-12);
  // A model against itself changes nothing, exactly.
  EXPECT_EQ(made->all->comparison->test[0].discordant(), 0u);
  EXPECT_EQ(made->all->comparison->margin_change.value, 0);
  const auto again = assay_engine()->evaluate_tasks(options, settings_of(dir / "store"), silent_progress());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_EQ(again->all->score.margin.value, made->all->score.margin.value);
  std::filesystem::remove_all(dir);
}

TEST(StudyProxies, MeasuresRanksAndResumes) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-study-proxies";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  StudyProxiesOptions options;
  options.model = kDemo;
  options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.text.windows.ctx = 64;
  options.text.windows.chunks = 2;
  options.tasks = {write_items(dir / "a.jsonl", 6)};
  options.config = default_proxies_config(true);
  options.config.presets = {"Q4_K_M"};
  options.config.types = {GgmlType::kQ2_K, GgmlType::kQ8_0};
  options.config.layers = {{0, 1}};
  options.config.noise = {0.05};
  options.config.single_weights = 1;
  options.config.resamples = 200;
  const auto made = assay_engine()->study_proxies(options, settings_of(dir / "store"), silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  const ProxiesResult& result = made->result;
  ASSERT_EQ(result.variants.size(), 7u);
  EXPECT_FALSE(result.post_hoc);
  const auto proxy = [&](const std::string& name, Proxy which) {
    const auto found = std::ranges::find(result.variants, name, &ProxyVariant::name);
    EXPECT_NE(found, result.variants.end()) << name;
    return found->proxies[static_cast<size_t>(which)];
  };
  for (const Proxy which : {Proxy::kWeightError, Proxy::kReconstruction, Proxy::kKl}) {
    EXPECT_GT(proxy("blocks Q2_K", which), 2 * proxy("blocks Q8_0", which)) << name_of(which);
    for (const ProxyVariant& variant : result.variants) EXPECT_GT(variant.proxies[static_cast<size_t>(which)], 0) << variant.name;
  }
  // Noise of 0.05 standard deviations in every matrix of a block; the embedding, a part of all weights, has none.
  EXPECT_LT(proxy("noise 0.05", Proxy::kWeightError), 0.05);
  EXPECT_GT(proxy("noise 0.05", Proxy::kWeightError), 0.02);
  // A block left out loses all it adds.
  EXPECT_NEAR(proxy("without block 1", Proxy::kReconstruction), 1, 1e-6);
  EXPECT_EQ(result.items[0], 6u);
  EXPECT_FALSE(result.claims.empty());

  options.config.predicts = 0.3;
  const auto again = assay_engine()->study_proxies(options, settings_of(dir / "store"), silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->units.made, 0u);
  EXPECT_TRUE(again->result.post_hoc);
  EXPECT_EQ(again->result.variants[2].outcomes, result.variants[2].outcomes);

  options.config.types.clear();
  options.config.presets.clear();
  options.config.noise.clear();
  const auto few = assay_engine()->study_proxies(options, settings_of(dir / "store"), silent_progress());
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, ErrorCode::kUsage);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
