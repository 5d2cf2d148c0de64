#include "assay/report/ticks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> labels(const TickList& list) {
  std::vector<std::string> words;
  for (const Tick& tick : list.ticks)
    if (!tick.label.empty()) words.push_back(tick.label);
  return words;
}

TEST(Ticks, LinearStepsAreOneTwoOrFive) {
  EXPECT_THAT(labels(linear_ticks(0, 10, 5, false)), ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_THAT(labels(linear_ticks(-0.3, 0.32, 6, false)), ElementsAre("−0.2", "0.0", "0.2"));
  EXPECT_THAT(labels(linear_ticks(0.1, 0.3, 4, false)), ElementsAre("0.10", "0.15", "0.20", "0.25", "0.30"));
  EXPECT_THAT(labels(linear_ticks(0, 50000, 2, false)), ElementsAre("0", "50,000"));
  EXPECT_EQ(linear_ticks(0.05, 0.35, 3, false).ticks.back().at, 0.3);  // three steps of 0.1 are 0.3, not 0.30000000000000004
}

TEST(Ticks, WholeNumbersHaveNoHalves) {
  EXPECT_THAT(labels(linear_ticks(0, 3, 10, true)), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(labels(linear_ticks(0, 3, 7, false)), ElementsAre("0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"));
}

TEST(Ticks, SmallAndLargeNumbersShareAPower) {
  const TickList small = linear_ticks(0, 5e-6, 5, false);
  EXPECT_EQ(small.exponent, -6);
  EXPECT_THAT(labels(small), ElementsAre("0", "1", "2", "3", "4", "5"));
  const TickList large = linear_ticks(0, 3e9, 3, false);
  EXPECT_EQ(large.exponent, 9);
  EXPECT_THAT(labels(large), ElementsAre("0", "1", "2", "3"));
}

TEST(Ticks, LogAxesMarkDecadesAndMoreWhereThereIsRoom) {
  EXPECT_THAT(labels(log_ticks(1, 1000, 5)), ElementsAre("1", "10", "100", "1000"));  // grouped from five digits on
  EXPECT_THAT(labels(log_ticks(0.9, 110, 8)), ElementsAre("1", "2", "5", "10", "20", "50", "100"));
  EXPECT_THAT(labels(log_ticks(1e-8, 1e-5, 5)), ElementsAre("10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"));
  EXPECT_THAT(labels(log_ticks(1e-12, 1, 5)), ElementsAre("10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "10⁰"));
  // Less than a decade without room for three of them: as on a linear axis.
  EXPECT_THAT(labels(log_ticks(21, 39, 4)), ElementsAre("25", "30", "35"));
  // Minor marks between.
  EXPECT_EQ(log_ticks(1, 100, 3).ticks.size(), 19u);
}

TEST(Ticks, GivenPlacesKeepTheirDigits) {
  EXPECT_THAT(labels(given_ticks({0, 25, 0.5, -400, 12500, 1e-6, 2.5e7})),
              ElementsAre("0", "25", "0.5", "−400", "12,500", "10⁻⁶", "2.5×10⁷"));
}

TEST(Ticks, NeverOutsideTheRangeNorTooMany) {
  for (const double low : {-1e300, -3.7, 0.0, 1e-300, 5e5, 1.0 - 1e-9}) {
    for (const double span : {1e-8, 0.3, 7.0, 1e12, 1e300}) {
      if (low + span == low) continue;
      for (const size_t most : {1u, 2u, 7u}) {
        const TickList list = linear_ticks(low, low + span, most, false);
        EXPECT_LE(list.ticks.size(), most + 1);
        for (const Tick& tick : list.ticks) {
          EXPECT_GE(tick.at, low - 1e-8 * span);
          EXPECT_LE(tick.at, low + span + 1e-8 * span);
        }
      }
    }
  }
}

}  // namespace
}  // namespace assay
