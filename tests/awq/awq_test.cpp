#include "assay/awq/awq.h"

#include <gtest/gtest.h>

#include "assay/base/random.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

AwqResult one_scale() {
  AwqResult result;
  result.scales.push_back({{0, FoldPlace::kFfnInput, 2, {"a", "b"}, {{"norm", 0}}}, 0.5, {3, 1, 2}, {1, 4}, {0.5F, 2}});
  result.clips["a"] = {2, {1.5F}, {0.75F}};
  return result;
}

TEST(Awq, APayloadReadsBackAndAnotherModelsIsRefused) {
  PayloadWriter writer;
  write(writer, one_scale());
  const std::string bytes = *std::move(writer).finish();
  const FoldGroup groups[] = {one_scale().scales[0].group};
  PayloadReader reader(bytes);
  const auto read = read_awq(reader, groups);
  ASSERT_TRUE(read && reader.finish());
  EXPECT_EQ(read->scales[0].scales, one_scale().scales[0].scales);
  EXPECT_EQ(read->scales[0].losses, one_scale().scales[0].losses);
  EXPECT_EQ(read->clips.at("a").limits, one_scale().clips.at("a").limits);
  FoldGroup wider = groups[0];
  wider.width = 3;
  PayloadReader again(bytes);
  const auto refused = read_awq(again, {&wider, 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
}

TEST(Awq, TheImatrixOfTheScaledModelIsDividedByTheSquare) {
  Imatrix imatrix;
  imatrix.entries["a"] = {2, {2, 8}, {2}};
  imatrix.entries["other"] = {2, {2, 8}, {2}};
  const Imatrix scaled = scaled_imatrix(imatrix, one_scale());
  EXPECT_EQ(scaled.entries.at("a").sums, (std::vector<float>{8, 2}));
  EXPECT_EQ(scaled.entries.at("other").sums, (std::vector<float>{2, 8}));
}

// A ggml rounder gives the bytes' own values; its importance is the scaled model's.
TEST(Awq, ARounderRoundsLikeTheEncoder) {
  std::vector<float> values(2 * 256), scales(256);
  Imatrix imatrix;
  ImatrixEntry& entry = imatrix.entries["m"];
  entry.columns = 256;
  entry.counts = {1};
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(CounterRandom(1, i).next_normal());
  for (size_t j = 0; j < 256; ++j) {
    scales[j] = 0.5F + static_cast<float>(j % 4);
    entry.sums.push_back(1 + static_cast<float>(j % 7));
  }
  std::vector<float> importance = imatrix.importance("m");
  for (size_t j = 0; j < 256; ++j) importance[j] /= scales[j] * scales[j];
  std::vector<std::byte> bytes(2 * 144);
  ASSERT_TRUE(encode(GgmlType::kQ4_K, values, 256, bytes, {.threads = 1, .importance = importance}));
  std::vector<float> expected(values.size()), rounded = values, unknown = values;
  ASSERT_TRUE(decode(GgmlType::kQ4_K, bytes, 256, expected));
  const WeightRounder rounder = ggml_rounder({{"m", GgmlType::kQ4_K}}, &imatrix, 1);
  ASSERT_TRUE(rounder("m", 256, scales, rounded));
  EXPECT_EQ(rounded, expected);
  ASSERT_TRUE(rounder("another", 256, scales, unknown));
  EXPECT_EQ(unknown, values);
}

TEST(Awq, UnfoldedEditsAreScaledRoundedAndDividedAgain) {
  const TensorEdits edits = unfolded_edits(one_scale(), grid_rounder({2, 2, true}, 1));
  TensorInfo info{.name = "b"};
  info.n_dims = 2;
  info.dims = {2, 1, 1, 1};
  // Scaled: -1, 1; two bits: scale 2/3, zero 2 (1.5 to even): codes 0 (-2 + 2) and 3 (round 1.5 is 2, cut): -4/3, 2/3. Divided: -8/3, 1/3.
  std::vector<float> values = {-2, 0.5F};
  ASSERT_TRUE(edits.at("b")[0](info, values));
  EXPECT_FLOAT_EQ(values[0], -8.0F / 3);
  EXPECT_FLOAT_EQ(values[1], 1.0F / 3);
}

TEST(Awq, ClippingKeepsWhatIsInside) {
  TensorInfo info{.name = "a"};
  info.n_dims = 2;
  info.dims = {2, 1, 1, 1};
  AwqResult result = one_scale();
  const TensorEdits edits = folded_edits(result);
  ASSERT_EQ(edits.at("a").size(), 2u);  // scaled, then clipped
  std::vector<float> values = {1, -3};
  for (const TensorEdit& edit : edits.at("a")) ASSERT_TRUE(edit(info, values));
  EXPECT_EQ(values, (std::vector<float>{0.5F, -1.5F}));
  info.dims = {2, 2, 1, 1};
  std::vector<float> more(4);
  EXPECT_FALSE(edits.at("a")[1](info, more));
}

}  // namespace
}  // namespace assay
