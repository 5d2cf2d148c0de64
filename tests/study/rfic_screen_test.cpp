#include "assay/study/rfic_screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr RficRule kAll[] = {RficRule::kV0, RficRule::kA, RficRule::kB, RficRule::kC};

const RficCandidate& of_rule(const std::vector<RficCandidate>& all, RficRule rule) {
  return *std::ranges::find_if(all, [rule](const RficCandidate& one) { return one.rule == rule; });
}

// One row, one group of four. Inputs: one token, x = (1, 0, 2, 1). Two bits with zero point.
TEST(RficScreen, ByHand) {
  const std::vector<float> weights = {1, 6, 0.5F, 0}, inputs = {1, 0, 2, 1};
  const auto all = screen({weights, inputs, 4}, {2, 4, true}, kAll);
  ASSERT_EQ(all.size(), 4u);
  // v0, B (the one dead column) and C (act below the lower median 1) all take the 6 that no token sees.
  for (const RficRule rule : {RficRule::kV0, RficRule::kB, RficRule::kC}) EXPECT_EQ(of_rule(all, rule).column, 1u);
  // A: a quarter is one weight, the 6 itself.
  EXPECT_EQ(of_rule(all, RficRule::kA).column, 1u);
  const RficCandidate& one = of_rule(all, RficRule::kV0);
  // Output 1 + 0 + 1 + 0 = 2, squared 4. Scale 2: 1 is a half of it and goes to 0, 0.5 to 0, so that the output is 0: E = 4 / 4.
  EXPECT_NEAR(one.empty, 1, 1e-8);
  // Zeroed: highest 1, scale 1/3: codes 3, 0, 1.5 -> 2 (even), 0: 1, 0, 2/3, 0: output 1 + 4/3 = 7/3; error (1/3)^2 = 1/9 of 4.
  EXPECT_NEAR(one.benefit, 1 - 1.0 / 36, 1e-7);
  EXPECT_EQ(one.harm, 0);
  EXPECT_NEAR(one.score, one.benefit / 1e-8, 1);
  EXPECT_EQ(one.weight, 6);
}

// Benefit and harm are what the definition says, computed over the whole group from the tokens.
TEST(RficScreen, EqualsTheDefinition) {
  constexpr uint64_t kRows = 6, kColumns = 40, kTokens = 9;
  CounterRandom random(4, 0);
  std::vector<float> weights(kRows * kColumns), inputs(kTokens * kColumns);
  for (float& w : weights) w = static_cast<float>(random.next_normal());
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<float>((1 + static_cast<double>(i % kColumns)) * random.next_normal());
  const GroupGrid grid{3, 16, true};
  const auto error = [&](uint64_t group, const std::vector<float>& changed) {  // E of all rows over the group's columns
    double difference = 0, output = 0;
    for (uint64_t t = 0; t < kTokens; ++t)
      for (uint64_t r = 0; r < kRows; ++r) {
        double d = 0, y = 0;
        for (uint64_t j = group * 16; j < std::min<uint64_t>(kColumns, group * 16 + 16); ++j) {
          const double x = inputs[t * kColumns + j], w = weights[r * kColumns + j];
          d += x * (changed[r * kColumns + j] - w);
          y += x * w;
        }
        difference += d * d / kTokens;
        output += y * y / kTokens;
      }
    return difference / (output + 1e-8);
  };
  const auto rounded = [&](std::vector<float> values) {
    for (uint64_t r = 0; r < kRows; ++r) round_to_grid(std::span(values).subspan(r * kColumns, kColumns), grid);
    return values;
  };
  const auto all = screen({weights, inputs, kColumns}, grid, kAll, 2);
  EXPECT_EQ(std::ranges::count(all, RficRule::kV0, &RficCandidate::rule), 3);  // the last group is shorter
  for (const RficCandidate& one : all) {
    std::vector<float> zeroed = weights;
    zeroed[one.row * kColumns + one.column] = 0;
    EXPECT_EQ(one.weight, weights[one.row * kColumns + one.column]);
    EXPECT_EQ(one.group, one.column / 16);
    EXPECT_NEAR(one.harm, error(one.group, zeroed), 1e-9);
    EXPECT_NEAR(one.empty, error(one.group, rounded(weights)), 1e-9);
    EXPECT_NEAR(one.benefit, error(one.group, rounded(weights)) - error(one.group, rounded(zeroed)), 1e-9);
  }
}

TEST(RficScreen, RulesTakeWhatTheySay) {
  // Two groups of four, three rows. act = 1 .. 8 by column: dead ceil(0.4) = 1 column, the first; lower median 4.
  constexpr uint64_t kColumns = 8;
  std::vector<float> weights(3 * kColumns), inputs(kColumns);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = (i % 2 == 0 ? 1.0F : -1.0F) * static_cast<float>((7 * i) % 24 + 1);
  for (size_t j = 0; j < kColumns; ++j) inputs[j] = static_cast<float>(j + 1);
  const auto all = screen({weights, inputs, kColumns}, {4, 4, true}, kAll);
  const auto find = [&](RficRule rule, uint64_t group) {
    return std::ranges::find_if(all, [&](const RficCandidate& one) { return one.rule == rule && one.group == group; });
  };
  const auto magnitude = [&](uint64_t row, uint64_t column) { return std::fabs(weights[row * kColumns + column]); };
  EXPECT_EQ(find(RficRule::kB, 1), all.end());  // no dead column in the second group
  EXPECT_EQ(find(RficRule::kB, 0)->column, 0u);
  EXPECT_EQ(find(RficRule::kC, 1), all.end());  // columns 4 .. 7 are all at or above the median
  EXPECT_LT(find(RficRule::kC, 0)->column, 3u);
  for (uint64_t r = 0; r < 3; ++r) {
    EXPECT_LE(magnitude(r, 0), std::fabs(find(RficRule::kB, 0)->weight));
    for (uint64_t j = 0; j < 3; ++j) EXPECT_LE(magnitude(r, j), std::fabs(find(RficRule::kC, 0)->weight));
    for (uint64_t j = 4; j < 8; ++j) EXPECT_LE(magnitude(r, j), std::fabs(find(RficRule::kV0, 1)->weight));
  }
  // A: among the three largest of twelve, the least |w| act.
  std::vector<std::pair<double, double>> largest;  // |w|, |w| act
  for (uint64_t r = 0; r < 3; ++r)
    for (uint64_t j = 0; j < 4; ++j) largest.emplace_back(magnitude(r, j), magnitude(r, j) * static_cast<float>(j + 1));
  std::ranges::sort(largest, std::greater<>());
  const double least = std::min({largest[0].second, largest[1].second, largest[2].second});
  const auto a = find(RficRule::kA, 0);
  EXPECT_EQ(std::fabs(a->weight) * static_cast<double>(a->column + 1), least);
}

std::vector<RficCandidate> made(std::initializer_list<std::pair<double, double>> benefit_harm) {
  std::vector<RficCandidate> all;
  for (const auto& [benefit, harm] : benefit_harm) {
    RficCandidate one;
    one.tensor = "t";
    one.rule = RficRule::kB;
    one.column = all.size();
    one.benefit = benefit;
    one.harm = harm;
    one.score = benefit / (harm + 1e-8);
    all.push_back(one);
  }
  return all;
}

TEST(RficScreen, TheFrontIsWhatNothingBeats) {
  const auto all = made({{1, 1}, {3, 2}, {2, 3}, {4, 4}, {0.5, 1}, {4, 5}});
  EXPECT_EQ(pareto_front(all), (std::vector<size_t>{0, 1, 3}));
  for (size_t i = 0; i < all.size(); ++i) {  // a property: off the front is beaten by one on it
    const auto front = pareto_front(all);
    const bool on = std::ranges::count(front, i) > 0;
    const bool beaten = std::ranges::any_of(all, [&](const RficCandidate& other) {
      return other.benefit >= all[i].benefit && other.harm <= all[i].harm && (other.benefit > all[i].benefit || other.harm < all[i].harm);
    });
    EXPECT_NE(on, beaten) << i;
  }
}

TEST(RficScreen, SummaryAndSelectionsByHand) {
  auto all = made({{1, 1}, {3, 2}, {-2, 3}, {4, 4}, {5, 5}});  // median harm 3: two pass the gate
  const auto rows = summarize(all);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].candidates, 5u);
  EXPECT_EQ(rows[0].positive, 4u);
  EXPECT_EQ(rows[0].gated, 2u);
  EXPECT_EQ(rows[0].median_harm, 3);
  EXPECT_EQ(rows[0].best_benefit, 5);
  constexpr RficRule kB[] = {RficRule::kB}, kC[] = {RficRule::kC};
  EXPECT_EQ(select_for_check(all, kB, 20), (std::vector<size_t>{1, 0}));  // scores 1.5 and 1
  EXPECT_EQ(select_for_check(all, kB, 1), (std::vector<size_t>{1}));
  EXPECT_TRUE(select_for_check(all, kC, 20).empty());
  EXPECT_EQ(select_for_gate(all, kB, 3), (std::vector<size_t>{1, 4, 3}));  // of ratios of 1 the 1e-8 takes the least from the largest
  all[1].column = all[0].column;                                           // the same weight twice
  EXPECT_EQ(select_for_check(all, kB, 20), (std::vector<size_t>{1}));
}

TEST(RficScreen, RulesAreRead) {
  EXPECT_EQ(*parse_rfic_rules("B"), std::vector<RficRule>{RficRule::kB});
  EXPECT_EQ(*parse_rfic_rules("v0,A"), (std::vector<RficRule>{RficRule::kV0, RficRule::kA}));
  EXPECT_EQ(*parse_rfic_rules("BC"), (std::vector<RficRule>{RficRule::kB, RficRule::kC}));
  for (const char* bad : {"", "D", "B,", ",B", "BB", "B;C"}) EXPECT_FALSE(parse_rfic_rules(bad)) << bad;
}

}  // namespace
}  // namespace assay
