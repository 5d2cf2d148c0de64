// `probe --until`: variants that are settled early are measured on fewer windows, in the order that all windows give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/engine.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

// One block left out; one matrix at two bits, at four and at eight.
constexpr const char* kVariants = R"({"variants": [
  {"name": "eight", "weights": [{"tensor": "blk.3.ffn_down.weight", "type": "Q8_0"}]},
  {"name": "out", "schedule": [{"skip": 11}]},
  {"name": "two", "weights": [{"tensor": "blk.3.ffn_down.weight", "type": "Q2_K"}]},
  {"name": "four", "weights": [{"tensor": "blk.3.ffn_down.weight", "type": "Q4_K"}]}
]})";
constexpr uint64_t kWindows = 24;

class MeasureUntil : public testing::Test {
 protected:
  void SetUp() override { testing_files::put_file(dir / "variants.json", kVariants); }

  ProbeResult probe(const std::optional<StopRule>& until, uint64_t windows = kWindows) {
    ProbeOptions options;
    options.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
    options.variants = dir / "variants.json";
    options.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
    options.text.windows.ctx = 64;
    options.text.windows.chunks = windows;
    options.until = until;
    RunSettings settings;
    settings.store = dir / "store";
    const auto result = assay_engine()->probe_variants(options, settings, silent_progress());
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : ProbeResult();
  }

  static std::vector<std::string> by_place(const ProbeResult& result) {
    std::vector<std::string> names(result.variants.size());
    for (const ProbedVariant& variant : result.variants) names.at(variant.place - 1) = variant.name;
    return names;
  }

  testing_files::ScratchDirectory dir;
};

TEST_F(MeasureUntil, RanksAsAllWindowsDoOnFewer) {
  const ProbeResult all = probe(std::nullopt), settled = probe(StopRule{});
  ASSERT_EQ(settled.variants.size(), 4u);
  EXPECT_THAT(by_place(all), testing::ElementsAre("out", "two", "four", "eight"));
  EXPECT_EQ(by_place(settled), by_place(all));
  for (const ProbedVariant& variant : settled.variants) {
    EXPECT_GE(variant.windows, StopRule::kLeast) << variant.name;
    EXPECT_LT(variant.windows, kWindows) << variant.name;
  }
  for (const ProbedVariant& variant : all.variants) EXPECT_EQ(variant.windows, kWindows);
  EXPECT_LT(settled.forward_equivalents, 0.8 * settled.all_forward_equivalents);
  EXPECT_DOUBLE_EQ(settled.all_forward_equivalents, all.forward_equivalents);
  // The interval holds what all windows say.
  for (size_t v = 0; v < all.variants.size(); ++v) {
    EXPECT_LE(settled.variants[v].kl.low, all.variants[v].kl.value);
    EXPECT_GE(settled.variants[v].kl.high, all.variants[v].kl.value);
  }
}

TEST_F(MeasureUntil, WidthIsReachedOrEverythingMeasured) {
  StopRule rule;
  rule.kind = StopRule::Kind::kWidth;
  rule.width = 0.35;
  const ProbeResult result = probe(rule);
  uint64_t measured = 0;
  for (const ProbedVariant& variant : result.variants) {
    measured += variant.windows;
    if (variant.windows < kWindows) {
      EXPECT_LE(variant.kl.high - variant.kl.value, rule.width * variant.kl.value) << variant.name;
    }
  }
  EXPECT_LT(measured, 4 * kWindows);
}

// The same from the store.
TEST_F(MeasureUntil, GoesTheSameWayAgain) {
  const ProbeResult first = probe(StopRule{}), again = probe(StopRule{});
  EXPECT_GT(first.units.made, 0u);
  EXPECT_EQ(again.units.made, 0u);
  for (size_t v = 0; v < first.variants.size(); ++v) {
    EXPECT_EQ(first.variants[v].kl.value, again.variants[v].kl.value);
    EXPECT_EQ(first.variants[v].windows, again.variants[v].windows);
  }
}

// With fewer windows than the first look needs there is nothing to stop early: all are measured, and the means are exact.
TEST_F(MeasureUntil, FewWindowsAreAllMeasured) {
  const ProbeResult all = probe(std::nullopt, 5), settled = probe(StopRule{}, 5);
  for (size_t v = 0; v < all.variants.size(); ++v) {
    EXPECT_EQ(settled.variants[v].windows, 5u);
    EXPECT_NEAR(settled.variants[v].kl.value, all.variants[v].kl.value, 1e-12);
  }
}

}  // namespace
}  // namespace assay
