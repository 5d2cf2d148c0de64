#include "assay/plan/contradiction.h"

#include <gtest/gtest.h>

#include "assay/base/random.h"

namespace assay {
namespace {

using Sets = std::vector<std::vector<bool>>;
using Places = std::vector<size_t>;

TEST(Contradiction, ByHand) {
  // Choices 0, 1, 2. The second and the fourth share none; the first has nothing to do with it.
  EXPECT_EQ(smallest_contradiction(Sets{{true, true, true}, {true, false, false}, {true, true, false}, {false, true, true}}),
            (Places{1, 3}));
  EXPECT_EQ(smallest_contradiction(Sets{{true, true, false}, {false, false, false}}), (Places{1}));
  // Any two share one, all three none.
  EXPECT_EQ(smallest_contradiction(Sets{{true, true, false}, {true, false, true}, {false, true, true}}), (Places{0, 1, 2}));
  EXPECT_TRUE(smallest_contradiction(Sets{{true, false}, {true, true}}).empty());
  EXPECT_TRUE(smallest_contradiction(Sets{}).empty());
  EXPECT_TRUE(smallest_contradiction(Sets{{}, {}}).empty());
}

// Whatever is returned contradicts, and without any of its members does not; more than 16 constraints too.
TEST(Contradiction, IsOneAndHasNoneToSpare) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CounterRandom random(seed, 0);
    const size_t constraints = 1 + random.next_below(24), choices = 1 + random.next_below(8);
    Sets sets(constraints, std::vector<bool>(choices));
    for (auto& one : sets)
      for (size_t i = 0; i < choices; ++i) one[i] = random.next_uniform() < 0.7;
    const auto none_left = [&](const Places& places) {
      for (size_t i = 0; i < choices; ++i)
        if (std::all_of(places.begin(), places.end(), [&](size_t c) { return static_cast<bool>(sets[c][i]); })) return false;
      return true;
    };
    Places all(constraints);
    for (size_t c = 0; c < constraints; ++c) all[c] = c;
    const Places found = smallest_contradiction(sets);
    EXPECT_EQ(found.empty(), !none_left(all)) << seed;
    if (found.empty()) continue;
    EXPECT_TRUE(none_left(found)) << seed;
    for (const size_t c : found) {
      Places fewer = found;
      std::erase(fewer, c);
      EXPECT_FALSE(none_left(fewer)) << seed;
    }
  }
}

}  // namespace
}  // namespace assay
