#include "assay/study/outlier_config.h"

#include <gtest/gtest.h>

#include "assay/study/criterion_io.h"

namespace assay {
namespace {

Result<OutlierConfig> parse(const std::string& text) { return parse_outlier_config(text, true, "c.yaml"); }

TEST(OutlierConfig, ShippedConfigsAreReadAndSayTheDefaults) {
  for (const char* name : {"outliers_demo", "outliers_qwen3-1.7b", "outliers_qwen3-8b"}) {
    const auto config = read_outlier_config(std::string(ASSAY_SOURCE_DIR "/studies/") + name + ".yaml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->name, name);
    const OutlierConfig plain;
    EXPECT_EQ(config->robust, plain.robust);
    EXPECT_EQ(config->walk, plain.walk);
    EXPECT_EQ(config->share_types, plain.share_types);
    EXPECT_EQ(config->share_k, plain.share_k);
    EXPECT_EQ(config->thresholds.quiet_kl, plain.thresholds.quiet_kl);
    // What is judged by default is what the demo's file says.
    if (!config->criteria.empty()) EXPECT_EQ(hash_of(config->criteria), hash_of(default_outlier_criteria(plain)));
  }
}

TEST(OutlierConfig, EachFaultIsNamedAndItsControlReads) {
  const auto good = parse(
      "{strata: [code], max_tokens: 64, layers: 0-1, super_weights: [{layer: 1, row: 2, column: 3}], spike: 0, robust: 4, walk: 8, under: "
      "2, "
      "controls: 1, match_magnitude: false, scales: [0.5], ranks: [1], sets: [2], tail: 0.1, thresholds: {quiet_kl: 0.001}, "
      "share_types: [Q4_0], share_k: [10, 1], rfic: {ruleset: B}, criteria: [{name: a, statistic: b, at_least: 1}]}");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->super_weights[0].at.column, 3u);
  EXPECT_FALSE(good->match_magnitude);
  EXPECT_EQ(good->share_k, (std::vector<uint64_t>{1, 10}));
  EXPECT_EQ(good->thresholds.quiet_kl, 0.001);
  EXPECT_EQ(good->rfic, "{\"ruleset\":\"B\"}");
  const std::pair<const char*, const char*> faults[] = {
      {"{robusts: 5}", "robusts"},
      {"{robust: 0}", "robust"},
      {"{robust: 10, walk: 5}", "walk"},
      {"{max_tokens: 1}", "max_tokens"},
      {"{layers: 3-1}", "3-1"},
      {"{super_weights: [{layer: 1, row: 2}]}", "super_weights[0]"},
      {"{super_weights: [{layer: -1, row: 2, column: 3}]}", "layer"},
      {"{controls: 0}", "controls"},
      {"{match_magnitude: 1}", "match_magnitude"},
      {"{scales: [x]}", "scales[0]"},
      {"{ranks: [0]}", "ranks[0]"},
      {"{sets: [0]}", "sets[0]"},
      {"{tail: 0}", "tail"},
      {"{tail: 2}", "tail"},
      {"{thresholds: {quiet: 1}}", "quiet"},
      {"{thresholds: {quiet_kl: -1}}", "quiet_kl"},
      {"{share_types: [Q9]}", "share_types[0]"},
      {"{share_k: []}", "share_k"},
      {"{share_k: [0]}", "share_k[0]"},
      {"{criteria: [{name: a, statistic: b}]}", "criteria[0]"},
  };
  for (const auto& [text, place] : faults) {
    const auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find(place), std::string::npos) << config.error().message;
  }
}

TEST(OutlierConfig, QuickIsNeverLarger) {
  OutlierConfig config, small;
  make_quick(config);
  EXPECT_LE(config.prompts_per_stratum, 2u);
  EXPECT_LT(config.walk, small.walk);
  small.walk = 3;
  small.robust = 3;
  make_quick(small);
  EXPECT_EQ(small.walk, 3u);
}

}  // namespace
}  // namespace assay
