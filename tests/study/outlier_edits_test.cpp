#include "assay/study/outlier_edits.h"

#include <gtest/gtest.h>

#include "assay/probe/apply_edit.h"

namespace assay {
namespace {

// A matrix [2, 6] with the variant's edits of it made.
std::vector<float> edited(const Variant& variant, std::vector<float> values) {
  TensorInfo info;
  info.name = "w";
  info.n_dims = 2;
  info.dims[0] = 6;
  info.dims[1] = 2;
  const Hyper hyper;
  const EditedTensor tensor{&info, &hyper, {}, values};
  for (const WeightEdit& edit : variant.weights) EXPECT_TRUE(apply_edit(edit, tensor, nullptr));
  return values;
}

const std::vector<float> kValues = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

TEST(OutlierEdits, SpreadByHand) {
  // 12 stands at the end: its two neighbours within 2 get 6 each.
  EXPECT_EQ(edited(spread({"w", {1, 5}}, 12, 6, 2), kValues), (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 0}));
  // In the middle: four neighbours, the row's sum stays.
  EXPECT_EQ(edited(spread({"w", {0, 2}}, 3, 6, 2), kValues), (std::vector<float>{1.75, 2.75, 0, 4.75, 5.75, 6, 7, 8, 9, 10, 11, 12}));
  // No neighbour: zeroed.
  EXPECT_EQ(spread({"w", {0, 0}}, 3, 1, 4).weights.size(), 1u);
}

TEST(OutlierEdits, TheOthersByHand) {
  EXPECT_EQ(edited(row_scaled({"w", {1, 0}}, 2), kValues), (std::vector<float>{1, 2, 3, 4, 5, 6, 0, 16, 18, 20, 22, 24}));
  EXPECT_EQ(edited(row_zeroed({"w", {0, 3}}), kValues), (std::vector<float>{0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(edited(column_zeroed({"w", {0, 1}}), kValues), (std::vector<float>{1, 0, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12}));
  EXPECT_EQ(edited(scaled({"w", {0, 1}}, 1.5), kValues)[1], 3);
  const WeightPlace places[] = {{"w", {0, 1}}, {"w", {1, 2}}};
  const Variant both = zeroed(places);
  EXPECT_EQ(both.weights.size(), 1u);
  EXPECT_EQ(edited(both, kValues), (std::vector<float>{1, 0, 3, 4, 5, 6, 7, 8, 0, 10, 11, 12}));
  // Order does not matter, twice is once.
  const WeightPlace turned[] = {places[1], places[0]};
  EXPECT_EQ(hash_of(zeroed(turned)), hash_of(both));
  EXPECT_EQ(edited(both, edited(both, kValues)), edited(both, kValues));
  EXPECT_EQ(name_of({"blk.3.ffn_down.weight", {17, 204}}), "blk.3.ffn_down[17, 204]");
}

}  // namespace
}  // namespace assay
