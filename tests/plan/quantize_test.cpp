#include "assay/plan/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/plan/small_model.h"

namespace assay {
namespace {

using small_model::Shape;
using testing::ElementsAre;
using testing::HasSubstr;
using T = GgmlType;

class Quantize : public testing::Test {
 protected:
  testing_files::ScratchDirectory dir_;
};

TEST_F(Quantize, SizesAreThoseOfTheFileToTheByte) {
  const auto checkpoint = small_model::make(dir_ / "in.gguf");
  for (const char* name : {"F32", "Q8_0", "Q4_K_M", "Q2_K"}) {
    SCOPED_TRACE(name);
    OutputRequest request;
    request.recipe = preset_recipe(**find_preset(name), checkpoint->tensors(), preset_context(checkpoint->metadata(), false));
    const auto output = plan_output(*checkpoint, request);
    ASSERT_TRUE(output) << output.error().message;
    const std::string path = dir_ / (std::string(name) + ".gguf");
    const auto status = write_model(*checkpoint, *output, nullptr, path, {});
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(std::filesystem::file_size(path), output->file_bytes);
    const auto written = Gguf::open(path);
    ASSERT_TRUE(written);
    for (const TensorInfo& tensor : output->tensors) EXPECT_EQ(written->find(tensor.name)->type, tensor.type) << tensor.name;
  }
}

TEST_F(Quantize, BitsPerWeightCountEveryTensor) {
  const auto checkpoint = small_model::make(dir_ / "in.gguf", {1, 256, 512, 40, T::kF16, true});
  OutputRequest request;
  for (const TensorInfo& tensor : checkpoint->tensors())
    if (is_quantizable(tensor)) request.recipe.types[tensor.name] = T::kQ8_0;
  const auto output = plan_output(*checkpoint, request);
  ASSERT_TRUE(output);
  // Matrices: 40 + 4 * 32 + 48 rows of 256 and 32 of 512 = 71,680 weights at 8.5 bits; norms: 2 * 256 at 32 bits.
  EXPECT_EQ(output->parameters, 71'680u + 512u);
  EXPECT_EQ(output->tensor_bytes, 71'680u / 32 * 34 + 512u * 4);
  EXPECT_DOUBLE_EQ(output->bpw(), 8.0 * (71'680.0 / 32 * 34 + 2048) / 72'192);
  EXPECT_EQ(output->file_bytes, output->header_bytes + output->tensor_bytes);  // every size here is a multiple of 32
}

TEST_F(Quantize, PaddingFollowsTheAlignmentOfTheFile) {
  Shape shape{1, 288, 288, 3, T::kF16, true};
  Metadata keys = small_model::metadata(shape);
  keys.set("general.alignment", MetaValue::u32(4096));
  small_model::write(dir_ / "in.gguf", keys, small_model::tensors(shape));
  const auto checkpoint = small_model::open(dir_ / "in.gguf");
  const auto output = plan_output(*checkpoint, {});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->alignment, 4096u);
  uint64_t sum = output->header_bytes;
  for (const TensorInfo& tensor : output->tensors) sum += (tensor.bytes + 4095) / 4096 * 4096;
  EXPECT_EQ(output->file_bytes, sum);
  ASSERT_TRUE(write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {}));
  EXPECT_EQ(std::filesystem::file_size(dir_ / "out.gguf"), sum);
}

TEST_F(Quantize, MetadataKeysAreThoseOfLlamaQuantize) {
  const Shape shape;
  const auto checkpoint = small_model::make(dir_ / "in.gguf", shape);
  const Imatrix imatrix = small_model::imatrix(shape);
  OutputRequest request;
  request.file_type = 15;
  request.imatrix = &imatrix;
  request.imatrix_path = "calibration.gguf";
  request.overrides = {{"general.name", MetaValue::string("other")}};
  const auto output = plan_output(*checkpoint, request);
  ASSERT_TRUE(output);
  const Metadata& keys = output->metadata;
  EXPECT_EQ(*keys.find("general.quantization_version"), MetaValue::u32(2));
  EXPECT_EQ(*keys.find("general.file_type"), MetaValue::u32(15));
  EXPECT_EQ(*keys.find("quantize.imatrix.file"), MetaValue::string("calibration.gguf"));
  EXPECT_EQ(*keys.find("quantize.imatrix.dataset"), MetaValue::string("text.txt"));
  EXPECT_EQ(*keys.find("quantize.imatrix.entries_count"), MetaValue::u32(12));
  EXPECT_EQ(*keys.find("quantize.imatrix.chunks_count"), MetaValue::u32(7));
  EXPECT_EQ(*keys.find("general.name"), MetaValue::string("other"));
  EXPECT_EQ(*keys.find("llama.block_count"), MetaValue::u32(2));
}

TEST_F(Quantize, PruningRenumbersBlocksAndTheirMetadata) {
  const Shape shape{5, 256, 512, 40, T::kF16, false};
  Metadata keys = small_model::metadata(shape);
  keys.set("llama.attention.head_count_kv", MetaValue::i32s({1, 2, 4, 8, 8}));
  keys.set("llama.rope.dimension_sections", MetaValue::i32s({1, 2, 3, 4, 5}));  // five by chance, not one per block
  small_model::write(dir_ / "in.gguf", keys, small_model::tensors(shape));
  const auto checkpoint = small_model::open(dir_ / "in.gguf");
  OutputRequest request;
  request.prune_layers = {3, 1, 3};
  const auto output = plan_output(*checkpoint, request);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(*output->metadata.find("llama.block_count"), MetaValue::u32(3));
  EXPECT_EQ(*output->metadata.find("llama.attention.head_count_kv"), MetaValue::i32s({1, 4, 8}));
  EXPECT_EQ(*output->metadata.find("llama.rope.dimension_sections"), MetaValue::i32s({1, 2, 3, 4, 5}));
  ASSERT_TRUE(write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {}));
  const auto written = small_model::open(dir_ / "out.gguf");
  EXPECT_EQ(written->tensors().size(), checkpoint->tensors().size() - 2 * 7);
  EXPECT_EQ(written->find("blk.3.attn_q.weight"), nullptr);
  for (const auto& [now, before] : {std::pair{0, 0}, {1, 2}, {2, 4}}) {
    const std::string name = ".ffn_down.weight";
    EXPECT_EQ(*written->read(*written->find("blk." + std::to_string(now) + name)),
              *checkpoint->read(*checkpoint->find("blk." + std::to_string(before) + name)));
  }
  request.prune_layers = {5};
  EXPECT_THAT(plan_output(*checkpoint, request).error().message, HasSubstr("blocks 0 to 4"));
  request.prune_layers = {0, 1, 2, 3, 4};
  EXPECT_EQ(plan_output(*checkpoint, request).error().code, ErrorCode::kUsage);
}

TEST_F(Quantize, KeptSplitsAreWrittenAsTheSameParts) {
  // A model of three parts, made by hand from one.
  const Shape shape;
  std::vector<TensorInfo> all = small_model::tensors(shape);
  for (size_t i = 0; i < all.size(); ++i) all[i].part = static_cast<uint32_t>(i * 3 / all.size());
  for (uint32_t part = 0; part < 3; ++part) {
    Metadata keys = part == 0 ? small_model::metadata(shape) : Metadata();
    keys.set("split.no", {MetaType::kU16, uint64_t{part}});
    keys.set("split.count", {MetaType::kU16, uint64_t{3}});
    keys.set("split.tensors.count", MetaValue::i32(static_cast<int32_t>(all.size())));
    std::vector<TensorInfo> here;
    std::copy_if(all.begin(), all.end(), std::back_inserter(here), [&](const TensorInfo& tensor) { return tensor.part == part; });
    small_model::write(dir_ / ("in-0000" + std::to_string(part + 1) + "-of-00003.gguf"), keys, here);
  }
  const auto checkpoint = small_model::open(dir_ / "in-00001-of-00003.gguf");
  OutputRequest request;
  request.keep_split = true;
  request.recipe.types["output.weight"] = T::kQ6_K;
  const auto output = plan_output(*checkpoint, request);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->parts, 3u);
  EXPECT_THAT(output_paths(*output, "x/out.gguf"),
              ElementsAre("x/out-00001-of-00003.gguf", "x/out-00002-of-00003.gguf", "x/out-00003-of-00003.gguf"));
  const auto status = write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {});
  ASSERT_TRUE(status) << status.error().message;
  const auto written = Gguf::open(dir_ / "out-00001-of-00003.gguf");
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->parts(), 3u);
  EXPECT_EQ(written->file_bytes(), output->file_bytes);
  for (const TensorInfo& tensor : all) EXPECT_EQ(written->find(tensor.name)->part, tensor.part) << tensor.name;
  EXPECT_EQ(written->find("output.weight")->type, T::kQ6_K);

  request.keep_split = false;
  const auto joined = plan_output(*checkpoint, request);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->parts, 1u);
  EXPECT_FALSE(joined->metadata.contains("split.count"));
}

TEST_F(Quantize, APartThatFailsTakesTheOthersWithIt) {
  const Shape shape{1, 256, 512, 40, T::kF32, false};
  const TensorInfo last = small_model::tensors(shape).back();
  std::vector<float> broken = small_model::weights(last);
  broken[300] = std::numeric_limits<float>::quiet_NaN();
  const auto checkpoint = small_model::make(dir_ / "in.gguf", shape, {{last.name, broken}});
  auto output = plan_output(*checkpoint, {});
  ASSERT_TRUE(output);
  output->parts = 2;
  output->tensors.back().part = 1;
  const auto status = write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(dir_.names(), ElementsAre("in.gguf"));
}

TEST_F(Quantize, ARecipeOfAnotherModelIsRefused) {
  const auto checkpoint = small_model::make(dir_ / "in.gguf");
  OutputRequest request;
  request.recipe.types["blk.7.attn_q.weight"] = T::kQ4_K;
  const auto output = plan_output(*checkpoint, request);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(output.error().message, HasSubstr("blk.7.attn_q.weight"));
}

TEST_F(Quantize, NeverOverwritesByAccident) {
  const auto checkpoint = small_model::make(dir_ / "in.gguf");
  const auto output = plan_output(*checkpoint, {});
  ASSERT_TRUE(output);
  EXPECT_EQ(write_model(*checkpoint, *output, nullptr, dir_ / "in.gguf", {true, 0}).error().code, ErrorCode::kUsage);
  ASSERT_TRUE(write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {}));
  EXPECT_EQ(write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {}).error().code, ErrorCode::kUsage);
  EXPECT_TRUE(write_model(*checkpoint, *output, nullptr, dir_ / "out.gguf", {true, 0}));
}

}  // namespace
}  // namespace assay
