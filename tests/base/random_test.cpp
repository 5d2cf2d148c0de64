#include "assay/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "assay/base/sum.h"

namespace assay {
namespace {

using ::testing::ElementsAre;

// The known answers published with Random123 for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(philox4x32(0, 0, 0), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(philox4x32(UINT64_MAX, UINT64_MAX, UINT64_MAX), ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(philox4x32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(CounterRandom, AStreamIsAFunctionOfItsKey) {
  const auto draw = [](uint64_t seed, uint64_t stream, uint64_t substream) {
    CounterRandom random(seed, stream, substream);
    std::vector<uint64_t> values(10);
    for (uint64_t& value : values) value = random.next_u64();
    return values;
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  for (const auto& other : {draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)}) EXPECT_NE(draw(1, 2, 3), other);
}

TEST(CounterRandom, UniformNumbersHaveTheirMoments) {
  CounterRandom random(7, 0);
  Moments moments;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.next_uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    moments.add(value);
  }
  EXPECT_NEAR(moments.mean(), 0.5, 5 * std::sqrt(1.0 / 12 / 1e5));  // 5 standard errors
  EXPECT_NEAR(moments.mean_square(), 1.0 / 3, 5 * std::sqrt(4.0 / 45 / 1e5));
}

TEST(CounterRandom, NormalNumbersHaveTheirMoments) {
  CounterRandom random(8, 0);
  Moments moments;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.next_normal();
    ASSERT_TRUE(std::isfinite(value));
    moments.add(value);
  }
  EXPECT_NEAR(moments.mean(), 0, 5 * std::sqrt(1 / 1e5));
  EXPECT_NEAR(moments.mean_square(), 1, 5 * std::sqrt(2 / 1e5));
}

TEST(CounterRandom, BelowIsEvenAndInRange) {
  CounterRandom random(9, 0);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.next_below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 5 * std::sqrt(10'000 * 6.0 / 7));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.next_below(1), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_LT(random.next_below((uint64_t{1} << 63) + 1), (uint64_t{1} << 63) + 1);
}

}  // namespace
}  // namespace assay
