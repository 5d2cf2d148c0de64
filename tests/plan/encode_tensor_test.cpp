#include "assay/plan/encode_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/plan/small_model.h"

namespace assay {
namespace {

using small_model::Shape;
using testing::HasSubstr;
using T = GgmlType;

class EncodeTensor : public testing::Test {
 protected:
  testing_files::ScratchDirectory dir_;
};

TEST_F(EncodeTensor, EqualsEncodingTheWholeTensorAtOnce) {
  // 6.3 million weights: more than one slice.
  const Shape shape{1, 256, 512, 24'600, T::kF32, true};
  const auto checkpoint = small_model::make(dir_ / "in.gguf", shape);
  const TensorInfo& tensor = *checkpoint->find("token_embd.weight");
  const std::vector<float> values = small_model::weights(tensor);
  for (const T type : {T::kQ8_0, T::kQ4_0, T::kF16}) {
    std::vector<std::byte> whole(*tensor_bytes(type, tensor.dims, ""));
    ASSERT_TRUE(encode(type, values, tensor.row_length(), whole));
    const auto bytes = encode_tensor(*checkpoint, tensor, type, nullptr, 2);
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_EQ(*bytes, whole);
  }
}

TEST_F(EncodeTensor, UsesTheImportanceOfTheTensor) {
  const Shape shape;
  const auto checkpoint = small_model::make(dir_ / "in.gguf", shape);
  const Imatrix imatrix = small_model::imatrix(shape);
  const TensorInfo& tensor = *checkpoint->find("blk.0.ffn_down.weight");
  EncodeOptions options;
  const std::vector<float> importance = imatrix.importance(tensor.name);
  options.importance = importance;
  std::vector<std::byte> expected(*tensor_bytes(T::kQ4_K, tensor.dims, ""));
  ASSERT_TRUE(encode(T::kQ4_K, *checkpoint->read_float(tensor), tensor.row_length(), expected, options));
  const auto with = encode_tensor(*checkpoint, tensor, T::kQ4_K, &imatrix, 1);
  const auto without = encode_tensor(*checkpoint, tensor, T::kQ4_K, nullptr, 1);
  ASSERT_TRUE(with && without);
  EXPECT_EQ(*with, expected);
  EXPECT_NE(*with, *without);
  // No entry: as without an imatrix.
  const TensorInfo& head = *checkpoint->find("output.weight");
  EXPECT_EQ(*encode_tensor(*checkpoint, head, T::kQ4_K, &imatrix, 1), *encode_tensor(*checkpoint, head, T::kQ4_K, nullptr, 1));
}

TEST_F(EncodeTensor, EachExpertHasItsOwnImportance) {
  TensorInfo tensor;
  tensor.name = "blk.0.ffn_up_exps.weight";
  tensor.type = T::kF32;
  tensor.n_dims = 3;
  tensor.dims = {256, 4, 2, 1};
  small_model::write(dir_ / "in.gguf", small_model::metadata({}), {tensor});
  const auto checkpoint = small_model::open(dir_ / "in.gguf");
  Imatrix imatrix;
  ImatrixEntry& entry = imatrix.entries[tensor.name];
  entry.columns = 256;
  entry.counts = {1, 1};
  for (int j = 0; j < 512; ++j) entry.sums.push_back(j < 256 ? 1.0F : static_cast<float>(1 + j % 7));
  const auto bytes = encode_tensor(*checkpoint, *checkpoint->find(tensor.name), T::kQ4_K, &imatrix, 1);
  ASSERT_TRUE(bytes) << bytes.error().message;
  std::vector<std::byte> expected(bytes->size());
  const std::vector<float> values = small_model::weights(tensor);
  for (size_t expert = 0; expert < 2; ++expert) {
    EncodeOptions options;
    options.importance = std::span(entry.sums).subspan(expert * 256, 256);
    ASSERT_TRUE(encode(T::kQ4_K, std::span(values).subspan(expert * 1024, 1024), 256,
                       std::span(expected).subspan(expert * expected.size() / 2, expected.size() / 2), options));
  }
  EXPECT_EQ(*bytes, expected);
}

TEST_F(EncodeTensor, NamesTheTensorAndThePlaceOfABrokenWeight) {
  const Shape shape{1, 256, 512, 24'600, T::kF32, true};
  const TensorInfo head = small_model::tensors(shape).front();
  std::vector<float> broken = small_model::weights(head);
  broken[5'000'000] = std::numeric_limits<float>::infinity();
  const auto checkpoint = small_model::make(dir_ / "in.gguf", shape, {{head.name, broken}});
  for (const T type : {T::kQ8_0, T::kF32}) {  // encoded, or copied as it is
    const auto bytes = encode_tensor(*checkpoint, *checkpoint->find(head.name), type, nullptr, 2);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(bytes.error().message, HasSubstr("'token_embd.weight' holds an infinite value at weight 5,000,000"));
  }
  EXPECT_TRUE(encode_tensor(*checkpoint, *checkpoint->find("blk.0.attn_q.weight"), T::kQ8_0, nullptr, 1));
}

TEST_F(EncodeTensor, RefusesAnImatrixOfAnotherWidthAndTypesWithoutEncoder) {
  const auto checkpoint = small_model::make(dir_ / "in.gguf");
  const Imatrix other = small_model::imatrix({2, 512, 512, 40, T::kF16, false});
  const TensorInfo& tensor = *checkpoint->find("blk.0.attn_q.weight");
  const auto wide = encode_tensor(*checkpoint, tensor, T::kQ4_K, &other, 1);
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(wide.error().message, HasSubstr("the imatrix holds 512 for it"));
  EXPECT_FALSE(can_encode(T::kQ2_0));
  EXPECT_TRUE(can_encode(T::kQ3_K));
  EXPECT_EQ(encode_tensor(*checkpoint, tensor, T::kQ2_0, nullptr, 1).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace assay
