#include "assay/plan/successive_halving.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/base/random.h"

namespace assay {
namespace {

using testing::ElementsAre;

TEST(Halving, ByHand) {
  const std::vector<double> means = {5, 1, 4, 2, 3};
  std::vector<std::pair<std::vector<size_t>, size_t>> rounds;
  const auto result = halve(5, 16, [&](std::span<const size_t> candidates, size_t windows) -> Result<std::vector<double>> {
    rounds.push_back({{candidates.begin(), candidates.end()}, windows});
    std::vector<double> values;
    for (const size_t one : candidates) values.push_back(means[one]);
    return values;
  });
  ASSERT_TRUE(result);
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(rounds[0], (std::pair(std::vector<size_t>{0, 1, 2, 3, 4}, size_t{4})));
  EXPECT_EQ(rounds[1], (std::pair(std::vector<size_t>{1, 3, 4}, size_t{8})));
  EXPECT_EQ(rounds[2], (std::pair(std::vector<size_t>{1, 3}, size_t{16})));
  EXPECT_THAT(result->order, ElementsAre(1, 3, 4, 2, 0));
  EXPECT_EQ(result->places[1].rounds, 3u);
  EXPECT_EQ(result->places[1].windows, 16u);
  EXPECT_EQ(result->places[0].rounds, 0u);
  EXPECT_EQ(result->evaluations, 5u * 4 + 3 * 4 + 2 * 8);
}

TEST(Halving, OneCandidateWinsUnmeasuredAndTiesGoToTheFirst) {
  const auto never = [](auto, auto) -> Result<std::vector<double>> { return fail(ErrorCode::kInternal, "asked"); };
  const auto one = halve(1, 8, never);
  ASSERT_TRUE(one);
  EXPECT_THAT(one->order, ElementsAre(0));
  const auto equal = halve(4, 1, [](auto candidates, size_t windows) -> Result<std::vector<double>> {
    EXPECT_EQ(windows, 1u);
    return std::vector<double>(candidates.size(), 1.0);
  });
  ASSERT_TRUE(equal);
  EXPECT_THAT(equal->order, ElementsAre(0, 1, 2, 3));
}

// With noise that falls with the windows the best is found far more often than by one window.
TEST(Halving, MoreWindowsForTheBetterHalf) {
  int found = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CounterRandom random(seed, 2);
    const auto result = halve(8, 64, [&](auto candidates, size_t windows) -> Result<std::vector<double>> {
      std::vector<double> values;
      for (const size_t one : candidates)
        values.push_back(static_cast<double>(one) + 4 * random.next_normal() / std::sqrt(static_cast<double>(windows)));
      return values;
    });
    ASSERT_TRUE(result);
    found += result->order[0] == 0 ? 1 : 0;
  }
  EXPECT_GT(found, 140);
}

}  // namespace
}  // namespace assay
