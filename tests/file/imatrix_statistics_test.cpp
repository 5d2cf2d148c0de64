#include "assay/file/imatrix_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

// a = {1, 1, 2, 0} and {1, 1, 2, 4}, from sums over two tokens.
Imatrix two_blocks() {
  Imatrix imatrix;
  imatrix.entries["blk.10.attn_q.weight"] = {4, {2, 2, 4, 0}, {2}};
  imatrix.entries["blk.9.attn_q.weight"] = {4, {2, 2, 4, 8}, {2}};
  imatrix.entries["output.weight"] = {2, {6, 6}, {2}};
  return imatrix;
}

TEST(ImatrixStatistics, AreThoseWorkedOutByHand) {
  const auto all = imatrix_statistics(two_blocks());
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].tensor, "blk.9.attn_q.weight");  // by number, not by text
  EXPECT_EQ(all[2].tensor, "output.weight");
  const ImatrixStatistics& s = all[1];
  EXPECT_EQ(s.count, 4u);
  EXPECT_DOUBLE_EQ(s.sum, 4);
  EXPECT_DOUBLE_EQ(s.min, 0);
  EXPECT_DOUBLE_EQ(s.max, 2);
  EXPECT_DOUBLE_EQ(s.mean, 1);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(s.active, 0.75);
  EXPECT_DOUBLE_EQ(s.entropy, 1.5);  // 2 x 1/4 log2 4 + 1/2 log2 2
  EXPECT_DOUBLE_EQ(s.normalised_entropy, 0.75);
  EXPECT_DOUBLE_EQ(s.z_density, 0.25);  // (2 - 1) / 0.707 = 1.41
  ASSERT_TRUE(s.cosine);
  EXPECT_DOUBLE_EQ(*s.cosine, 6 / std::sqrt(6.0 * 22.0));
  EXPECT_FALSE(all[0].cosine);
}

// Scaling all activations moves sums and nothing else; equal columns have the largest entropy.
TEST(ImatrixStatistics, ShapesDoNotDependOnScale) {
  Imatrix scaled = two_blocks();
  for (auto& [name, entry] : scaled.entries)
    for (float& sum : entry.sums) sum *= 8;
  const auto a = imatrix_statistics(two_blocks()), b = imatrix_statistics(scaled);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_DOUBLE_EQ(b[i].sum, 8 * a[i].sum);
    EXPECT_DOUBLE_EQ(b[i].entropy, a[i].entropy);
    EXPECT_DOUBLE_EQ(b[i].z_density, a[i].z_density);
    EXPECT_EQ(b[i].cosine.has_value(), a[i].cosine.has_value());
  }
  EXPECT_DOUBLE_EQ(a[2].normalised_entropy, 1);
  EXPECT_DOUBLE_EQ(a[2].z_density, 0);
}

TEST(ImatrixStatistics, EmptyIsEmpty) { EXPECT_TRUE(imatrix_statistics({}).empty()); }

}  // namespace
}  // namespace assay
