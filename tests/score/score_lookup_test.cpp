#include "assay/score/score_lookup.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

using T = GgmlType;

const std::vector<ScoreRow> kRows = {{"blk.0", {"blk.0.ffn_up.weight", "blk.0.attn_q.weight"}, 10, {{std::nullopt, 3, 0}}},
                                     {"blk.1", {"blk.1.ffn_up.weight"}, 10, {{std::nullopt, 1, 0}}},
                                     {"blk.2", {"blk.2.ffn_up.weight"}, 10, {{std::nullopt, 2, 0}}}};

TEST(ScoreLookup, FindsGroupsByMemberAndOrients) {
  ScoreInfo info;
  const ScoreLookup lookup(info, kRows);
  EXPECT_EQ(lookup.at("blk.0", T::kQ4_K), 3);
  EXPECT_EQ(lookup.at("blk.0.attn_q.weight", std::nullopt), 3);
  EXPECT_TRUE(std::isnan(lookup.at("blk.7.attn_q.weight", std::nullopt)));
  EXPECT_DOUBLE_EQ(lookup.rank("blk.0.attn_q.weight"), 2.5 / 3);
  EXPECT_DOUBLE_EQ(lookup.rank("blk.1"), 0.5 / 3);
  info.higher_is_worse = false;
  const ScoreLookup turned(info, kRows);
  EXPECT_EQ(turned.at("blk.0", std::nullopt), -3);
  EXPECT_DOUBLE_EQ(turned.rank("blk.0"), 0.5 / 3);
}

TEST(ScoreLookup, StandsInForDamage) {
  ScoreInfo info;
  const ScoreLookup lookup(info, kRows);
  EXPECT_DOUBLE_EQ(bits_per_weight(T::kQ4_K), 4.5);
  EXPECT_DOUBLE_EQ(stand_in_damage(info, lookup, "blk.0", 100, T::kQ4_K), 2.5 / 3 * 100 * std::pow(4.0, -4.5));
  // One that has a value per type speaks for itself; below 0 nothing is gained.
  const std::vector<ScoreRow> typed = {{"a", {"a"}, 5, {{T::kQ4_K, 0.25, 0}, {T::kQ8_0, -1, 0}}}};
  info.by_type = true;
  const ScoreLookup own(info, typed);
  EXPECT_EQ(stand_in_damage(info, own, "a", 100, T::kQ4_K), 0.25);
  EXPECT_EQ(stand_in_damage(info, own, "a", 100, T::kQ8_0), 0);
  EXPECT_TRUE(std::isnan(stand_in_damage(info, own, "a", 100, T::kQ2_K)));
}

}  // namespace
}  // namespace assay
