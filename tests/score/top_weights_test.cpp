#include "assay/score/top_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

TEST(TopWeights, IsTheFrontOfAFullSort) {
  CounterRandom random(1, 2);
  std::vector<RankedWeight> all;
  for (uint32_t matrix = 0; matrix < 5; ++matrix)
    for (uint64_t i = 0; i < 400; ++i) all.push_back({matrix, i, std::floor(random.next_uniform() * 50)});  // many ties
  std::vector<RankedWeight> sorted = all;
  std::sort(sorted.begin(), sorted.end(), ranks_before);
  for (const uint64_t k : {0, 1, 7, 500, 2000, 3000}) {
    // In halves of two, backwards: neither order nor division matters.
    TopWeights one(k), two(k);
    for (size_t i = all.size(); i-- > 0;) (i % 3 == 0 ? one : two).add(all[i].matrix, all[i].index, all[i].score);
    one.merge(two);
    one.add(9, 9, std::nan(""));
    const std::vector<RankedWeight> top = one.ranked();
    ASSERT_EQ(top.size(), std::min<size_t>(k, all.size()));
    for (size_t i = 0; i < top.size(); ++i) {
      EXPECT_EQ(top[i].matrix, sorted[i].matrix) << i;
      EXPECT_EQ(top[i].index, sorted[i].index) << i;
    }
  }
}

}  // namespace
}  // namespace assay
