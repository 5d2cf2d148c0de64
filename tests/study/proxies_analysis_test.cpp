// Rank correlations, reliability and verdicts of the proxies study on made-up damages whose answer is known.
#include "assay/study/proxies_analysis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "assay/base/random.h"
#include "assay/study/proxies_config.h"

namespace assay {
namespace {

constexpr size_t kVariants = 40, kItems = 120;

struct Made {
  ProxiesResult result;
  std::vector<ItemDamage> damage;
  ItemLayout layout;
};

// Models of rising damage: KL ranks them rightly, the weight error at random. `noise`: of an item's margin, against a damage of 1 to 40.
Made make(double noise) {
  Made made;
  for (size_t v = 0; v < kVariants; ++v) {
    ProxyVariant variant;
    variant.name = std::to_string(v);
    variant.recipe = v % 2 == 0;
    const auto size = static_cast<double>(v + 1);
    CounterRandom random(5, v);
    variant.proxies = {random.next_uniform(), size * size, size, size, size};
    made.result.variants.push_back(variant);
    ItemDamage damage;
    for (size_t i = 0; i < kItems; ++i) {
      const double margin = size + noise * random.next_normal();
      damage.values[0].push_back(0);
      damage.values[1].push_back(margin);
      damage.values[2].push_back(margin / 10);
      damage.values[3].push_back(i < v ? 1 : 0);
    }
    made.damage.push_back(std::move(damage));
  }
  for (uint32_t i = 0; i < kItems; ++i) {
    made.layout.task.push_back(i / 60);
    made.layout.cluster.push_back(i / 2);
  }
  ProxiesOptions options;
  options.resamples = 200;
  conclude(made.result, made.damage, made.layout, options);
  return made;
}

const ProxyCorrelation& correlation(const ProxiesResult& result, Proxy proxy, TaskOutcome outcome, VariantGroupKind group) {
  for (const ProxyCorrelation& one : result.correlations)
    if (one.proxy == proxy && one.outcome == outcome && one.group == group) return one;
  ADD_FAILURE();
  return result.correlations[0];
}
const ProxyClaim& claim(const ProxiesResult& result, TaskOutcome outcome, VariantGroupKind group) {
  for (const ProxyClaim& one : result.claims)
    if (one.outcome == outcome && one.group == group) return one;
  ADD_FAILURE();
  return result.claims[0];
}

TEST(ProxiesAnalysis, FindsTheProxyThatRanks) {
  const Made made = make(0.01);
  const ProxiesResult& result = made.result;
  EXPECT_NEAR(result.variants[9].outcomes[1], 10, 0.01);
  const ProxyCorrelation& kl = correlation(result, Proxy::kKl, TaskOutcome::kMargin, VariantGroupKind::kAll);
  ASSERT_TRUE(kl.spearman && kl.kendall && kl.together);
  EXPECT_DOUBLE_EQ(kl.spearman->value, 1);
  EXPECT_DOUBLE_EQ(kl.kendall->value, 1);
  EXPECT_DOUBLE_EQ(kl.spearman->over_items->first, 1);
  const ProxyCorrelation& weights = correlation(result, Proxy::kWeightError, TaskOutcome::kMargin, VariantGroupKind::kAll);
  EXPECT_LT(weights.spearman->over_variants->first, 0.5);
  EXPECT_LE(weights.together->first, weights.spearman->over_variants->first);  // wider
  EXPECT_EQ(result.verdict, ClaimOutcome::kRefuted);
  const ProxyClaim& margin = claim(result, TaskOutcome::kMargin, VariantGroupKind::kAll);
  EXPECT_EQ(std::count(margin.predicting.begin(), margin.predicting.end(), Proxy::kKl), 1);
  EXPECT_EQ(std::count(margin.predicting.begin(), margin.predicting.end(), Proxy::kWeightError), 0);
  EXPECT_EQ(margin.variants, kVariants);
  EXPECT_NEAR(*margin.reliability, 1, 1e-9);
  EXPECT_EQ(claim(result, TaskOutcome::kMargin, VariantGroupKind::kRecipes).variants, kVariants / 2);
  EXPECT_EQ(claim(result, TaskOutcome::kMargin, VariantGroupKind::kMild).variants, kVariants / 2);
  // Fewer models, larger detectable rho: (0.84 + 1.64) / sqrt(n - 1).
  EXPECT_NEAR(margin.smallest_detectable, 2.486 / std::sqrt(39.0), 0.01);
  // An outcome that never moves has no answer, and decides nothing.
  EXPECT_FALSE(correlation(result, Proxy::kKl, TaskOutcome::kAccuracy, VariantGroupKind::kAll).spearman);
  EXPECT_EQ(claim(result, TaskOutcome::kAccuracy, VariantGroupKind::kAll).verdict, ClaimOutcome::kUnderpowered);
  EXPECT_EQ(to_json(result)["verdict"], "refuted");
}

TEST(ProxiesAnalysis, NoiseInItemsShowsInIntervalsAndReliability) {
  const Made clear = make(0.01), noisy = make(500);
  const auto reliability = [](const Made& made) { return *claim(made.result, TaskOutcome::kMargin, VariantGroupKind::kAll).reliability; };
  EXPECT_LT(reliability(noisy), reliability(clear) - 0.3);
  const ProxyCorrelation& one = correlation(noisy.result, Proxy::kKl, TaskOutcome::kMargin, VariantGroupKind::kAll);
  EXPECT_GT(one.spearman->over_items->second - one.spearman->over_items->first, 0.2);
  EXPECT_NE(noisy.result.verdict, ClaimOutcome::kRefuted);
}

TEST(ProxiesAnalysis, VerdictsNeedWholeIntervals) {
  using P = std::optional<std::pair<double, double>>;
  const auto verdict = [](std::vector<P> together, std::optional<double> reliability = 0.9) { return decide(together, 0.5, reliability); };
  EXPECT_EQ(verdict({P({0.6, 0.9}), P({-0.1, 0.2})}), ClaimOutcome::kRefuted);
  EXPECT_EQ(verdict({P({0.1, 0.4}), P({-0.1, 0.2})}), ClaimOutcome::kSupported);
  EXPECT_EQ(verdict({P({0.1, 0.6}), P({-0.1, 0.2})}), ClaimOutcome::kUnderpowered);
  EXPECT_EQ(verdict({P({0.1, 0.4}), P()}), ClaimOutcome::kUnderpowered);
  EXPECT_EQ(verdict({}), ClaimOutcome::kUnderpowered);
  // Noise agrees with nothing, and proves nothing; what is predicted in spite of it is.
  EXPECT_EQ(verdict({P({0.1, 0.4}), P({-0.1, 0.2})}, 0.1), ClaimOutcome::kUnderpowered);
  EXPECT_EQ(verdict({P({0.1, 0.4}), P({-0.1, 0.2})}, std::nullopt), ClaimOutcome::kUnderpowered);
  EXPECT_EQ(verdict({P({0.6, 0.9}), P({-0.1, 0.2})}, 0.1), ClaimOutcome::kRefuted);
}

TEST(ProxiesAnalysis, DamageIsBaseLessModel) {
  std::vector<ItemScore> base(1), model(1);
  base[0].right[0] = true;
  base[0].margin = 2;
  base[0].margin_per_byte = 0.2;
  model[0].margin = 0.5;
  model[0].choice[0] = 1;
  const ItemDamage damage = damage_of(base, model);
  EXPECT_EQ(damage.values[0][0], 1);
  EXPECT_EQ(damage.values[1][0], 1.5);
  EXPECT_EQ(damage.values[2][0], 0.2);
  EXPECT_EQ(damage.values[3][0], 1);
}

TEST(ProxiesConfig, ReadsWhatIsGivenAndNamesFaults) {
  const auto read = [](const std::string& text) { return parse_proxies_config(text, true, "c.yaml", default_proxies_config(false)); };
  const auto config = read("types: [Q4_K]\npresets: [q4_k_m]\nnoise: [0.5]\nskip_layers: false\nitems: 7\npredicts: 0.3\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->types, std::vector<GgmlType>{GgmlType::kQ4_K});
  EXPECT_EQ(config->presets, std::vector<std::string>{"Q4_K_M"});
  EXPECT_EQ(config->items, 7u);
  EXPECT_FALSE(config->skip_layers);
  EXPECT_EQ(config->predicts, 0.3);
  EXPECT_EQ(config->windows, default_proxies_config(false).windows);
  const std::pair<const char*, const char*> faults[] = {{"nothing: 1", "nothing"},    {"types: [Q9]", "types[0] is \"Q9\""},
                                                        {"noise: [-1]", "noise[0]"},  {"predicts: 1.5", "predicts is 1.5"},
                                                        {"items: -1", "items is -1"}, {"skip_layers: 1", "skip_layers is 1"},
                                                        {"presets: [Q9_X]", "Q9_X"},  {"resamples: 10", "resamples is 10"}};
  for (const auto& [text, words] : faults) {
    const auto refused = read(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(words), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace assay
