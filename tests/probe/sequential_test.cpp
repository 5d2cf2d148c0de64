#include "assay/probe/sequential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/base/random.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(StopRule, Reads) {
  const auto width = parse_stop_rule("ci=0.1");
  ASSERT_TRUE(width);
  EXPECT_EQ(width->kind, StopRule::Kind::kWidth);
  EXPECT_EQ(width->width, 0.1);
  EXPECT_EQ(width->error_rate, 0.05);
  const auto rank = parse_stop_rule("rank-stable,error=0.01");
  ASSERT_TRUE(rank);
  EXPECT_EQ(rank->kind, StopRule::Kind::kRankStable);
  EXPECT_EQ(rank->error_rate, 0.01);
}

TEST(StopRule, Refuses) {
  for (const char* text : {"", "ci", "ci=", "ci=0", "ci=1", "ci=x", "ci=0.1x", "rank", "rank-stable,", "rank-stable,error=", "ci=nan"}) {
    const auto rule = parse_stop_rule(text);
    ASSERT_FALSE(rule) << text;
    EXPECT_THAT(rule.error().message, HasSubstr("--until")) << text;
  }
}

// By hand: left 1/2, time 16, scale 16 / (5.99146 + ln 6.99146) = 2.0161, boundary sqrt(18.0161 (ln 8.9361 + 5.99146)) = 12.1408, which
// is 0.758802 of a known deviation. The 5 % quantile of chi square with 7 degrees of freedom is 2.167 in tables and 2.1546 in the
// approximation: times sqrt(7 / 2.1546) = 1.80247.
TEST(AnytimeInterval, ByHand) {
  constexpr double kHalf = 0.758802 * 1.80247;
  EXPECT_NEAR(anytime_half_width(1, 8, 16, 0.05), kHalf, 1e-5);
  EXPECT_NEAR(anytime_half_width(3, 8, 16, 0.05), 3 * kHalf, 1e-5);
  EXPECT_EQ(anytime_half_width(1, 16, 16, 0.05), 0);
  EXPECT_TRUE(std::isinf(anytime_half_width(1, 1, 16, 0.05)));
  // Wider than the interval of one look, by the price of looking always.
  EXPECT_GT(anytime_half_width(1, 100, 1'000'000, 0.05), 1.96 / std::sqrt(100));
  EXPECT_LT(anytime_half_width(1, 100, 1'000'000, 0.05), 2.2 * 1.96 / std::sqrt(100));
  const double values[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const Interval interval = anytime_interval(values, 16, 0.05);
  EXPECT_DOUBLE_EQ(interval.value, 4.5);
  EXPECT_NEAR(interval.high - interval.value, std::sqrt(6.0) * kHalf, 1e-5);
}

// Texts of 94 windows whose damage is log-normal: how often does an interval, looked at after every window from the eighth on, miss the
// mean of all of them at least once?
TEST(AnytimeInterval, MissesNoMoreOftenThanItSays) {
  constexpr int kTexts = 2000;
  constexpr size_t kWindows = 94;
  for (const double spread : {0.15, 0.4}) {
    for (const double rate : {0.05, 0.2}) {
      int missed = 0;
      for (int text = 0; text < kTexts; ++text) {
        CounterRandom random(7, static_cast<uint64_t>(text));
        std::vector<double> values(kWindows);
        for (double& value : values) value = std::exp(spread * random.next_normal());
        const double truth = mean_of(values);
        bool miss = false;
        for (size_t seen = StopRule::kLeast; seen <= kWindows && !miss; ++seen) {
          const Interval interval = anytime_interval(std::span(values).first(seen), kWindows, rate);
          miss = truth < interval.low - 1e-12 || truth > interval.high + 1e-12;
        }
        missed += miss;
      }
      EXPECT_LE(missed, rate * kTexts) << spread << " at " << rate;
      if (spread > 0.3) {
        EXPECT_GE(missed, 0.1 * rate * kTexts) << "far too wide: " << spread << " at " << rate;
      }
    }
  }
}

// Variants whose windows share what makes a window hard, and differ by a factor of their own.
struct Text {
  std::vector<std::vector<double>> values;  // [variant][window]
  std::vector<double> truth;
};
Text draw_text(uint64_t seed, size_t variants, size_t windows, double apart) {
  Text text;
  CounterRandom shared(seed, 1);
  std::vector<double> hard(windows);
  for (double& one : hard) one = std::exp(0.4 * shared.next_normal());
  for (size_t v = 0; v < variants; ++v) {
    CounterRandom own(seed, 2, v);
    std::vector<double> row;
    for (const double one : hard) row.push_back(one * std::exp(0.15 * own.next_normal() - apart * static_cast<double>(v)));
    text.truth.push_back(mean_of(row));
    text.values.push_back(std::move(row));
  }
  return text;
}

// Windows measured of each variant.
std::vector<size_t> measure_until_settled(const Text& text, SettledOrder& order) {
  while (true) {
    const std::vector<size_t> open = order.open();
    if (open.empty()) break;
    std::vector<double> values;
    for (const size_t v : open) values.push_back(text.values[v][order.values(v).size()]);
    order.add(values);
    order.split();
  }
  std::vector<size_t> seen;
  for (size_t v = 0; v < text.values.size(); ++v) seen.push_back(order.values(v).size());
  return seen;
}

TEST(SettledOrder, FarApartNeedsTheLeastNumberOfWindows) {
  const Text text = draw_text(1, 5, 40, 2);
  SettledOrder order(5, 40, 0.05, 0);
  EXPECT_THAT(order.open(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(measure_until_settled(text, order), ElementsAre(8, 8, 8, 8, 8));
  EXPECT_THAT(order.order(), ElementsAre(0, 1, 2, 3, 4));
}

TEST(SettledOrder, AlikeAreMeasuredToTheEndAndThenExact) {
  const Text text = draw_text(2, 6, 20, 0);
  SettledOrder order(6, 20, 0.05, 0);
  const std::vector<size_t> seen = measure_until_settled(text, order);
  EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), 20u);
  const std::vector<size_t> found = order.order();
  for (size_t i = 1; i < found.size(); ++i)
    if (seen[found[i]] == 20 && seen[found[i - 1]] == 20) {
      EXPECT_GE(text.truth[found[i - 1]], text.truth[found[i]]);
    }
}

TEST(SettledOrder, DifferencesWithinTheFloorAreSettledAsEqual) {
  Text text = draw_text(3, 4, 40, 0);
  for (auto& row : text.values)
    for (double& value : row) value *= 1e-9;
  SettledOrder strict(4, 40, 0.05, 0), loose(4, 40, 0.05, 1e-6);
  EXPECT_EQ(measure_until_settled(text, strict).back(), 40u);
  EXPECT_THAT(measure_until_settled(text, loose), ElementsAre(8, 8, 8, 8));
}

TEST(SettledOrder, FewWindowsAndFewVariants) {
  SettledOrder nothing(0, 10, 0.05, 0);
  EXPECT_THAT(nothing.open(), IsEmpty());
  SettledOrder one(1, 10, 0.05, 0);
  EXPECT_THAT(one.open(), IsEmpty());
  EXPECT_THAT(one.order(), ElementsAre(0));
  const Text text = draw_text(4, 3, 3, 2);
  SettledOrder few(3, 3, 0.05, 0);
  EXPECT_THAT(measure_until_settled(text, few), ElementsAre(3, 3, 3));
  EXPECT_THAT(few.order(), ElementsAre(0, 1, 2));
}

// Of pairs settled early, how many stand otherwise on all windows? No more than the stated rate; and most windows are saved.
TEST(SettledOrder, ChangesNoMoreThanTheStatedShare) {
  constexpr size_t kVariants = 40, kWindows = 94;
  uint64_t pairs = 0, wrong = 0, measured = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Text text = draw_text(100 + seed, kVariants, kWindows, 0.1);
    SettledOrder order(kVariants, kWindows, 0.05, 0);
    const std::vector<size_t> seen = measure_until_settled(text, order);
    measured += std::accumulate(seen.begin(), seen.end(), uint64_t{0});
    const std::vector<size_t> found = order.order();
    for (size_t i = 0; i < found.size(); ++i)
      for (size_t j = i + 1; j < found.size(); ++j) {
        if (seen[found[i]] == kWindows && seen[found[j]] == kWindows) continue;
        ++pairs;
        wrong += text.truth[found[i]] < text.truth[found[j]];
      }
  }
  EXPECT_LE(static_cast<double>(wrong), 0.05 * static_cast<double>(pairs));
  EXPECT_LE(static_cast<double>(measured), 0.6 * 40 * kVariants * kWindows);
}

}  // namespace
}  // namespace assay
