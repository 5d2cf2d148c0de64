#include "assay/plan/recipe_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "assay/model/checkpoint.h"
#include "assay/plan/model_tensors.h"
#include "assay/plan/quantize.h"
#include "assay/plan/recipe_file.h"
#include "tests/file/test_files.h"
#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using namespace recipe_models;
using testing::HasSubstr;
using testing_files::put_file;
using testing_files::ScratchDirectory;

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/reference-9m";

// By hand: two tensors named, the other two as stored.
TEST(RecipeSize, BytesAndPadding) {
  const std::vector<TensorInfo> model = {tensor("a.weight", {256, 3}), tensor("b.weight", {64, 3}), tensor("c", {7}),
                                         tensor("d.weight", {4, 5})};
  const auto size = recipe_size({{{"a.weight", "iq4_ks"}, {"b.weight", "q4_0"}}, {}, {}}, model);
  ASSERT_TRUE(size) << size.error().message;
  const uint64_t a = 3 * (4 + 136), b = 3 * 2 * 18, c = 7 * 4, d = 20 * 2;  // 420, 108, 28, 40
  EXPECT_EQ(size->tensor_bytes, a + b + c + d);
  EXPECT_EQ(size->padded_bytes, 448u + 128 + 32 + 64);
  EXPECT_EQ(size->elements, 768u + 192 + 7 + 20);
  EXPECT_EQ(size->by_type.at("iq4_ks").bytes, a);
  EXPECT_EQ(size->by_type.at("f32").tensors, 1u);
  EXPECT_DOUBLE_EQ(size->bpw(), 8.0 * 596 / 987);
}

TEST(RecipeSize, FaultsAreNamed) {
  const std::vector<TensorInfo> model = tensors();
  ASSERT_TRUE(recipe_size(recipe(), model));  // the control
  RecipeDocument document = recipe();
  document.types["blk.0.atn_q.weight"] = "q8_0";
  const auto unknown = recipe_size(document, model);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean blk.0.attn_q.weight"));
  const auto ragged = recipe_size({{{"x.weight", "q4_K"}}, {}, {}}, std::vector<TensorInfo>{tensor("x.weight", {96, 2})});
  ASSERT_FALSE(ragged);
  EXPECT_THAT(ragged.error().message, HasSubstr("rows of 96"));
  const auto overflow = recipe_size({{}, {}, {}}, std::vector<TensorInfo>{tensor("x.weight", {uint64_t{1} << 62, 8})});
  EXPECT_FALSE(overflow);
}

// The size of the file that would be written is its header and the padded tensors.
TEST(RecipeSize, EqualsThePlannedFileOfTheDemoModel) {
  const auto checkpoint = Checkpoint::open(kDemo);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  for (const char* name : {"Q2_K", "Q4_K_M", "Q8_0"}) {
    OutputRequest request;
    request.recipe = preset_recipe(**find_preset(name), (*checkpoint)->tensors(), preset_context((*checkpoint)->metadata(), false));
    const auto output = plan_output(**checkpoint, request);
    ASSERT_TRUE(output) << output.error().message;
    const auto size = recipe_size(document_of(request.recipe), (*checkpoint)->tensors(), output->alignment);
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(size->tensor_bytes, output->tensor_bytes) << name;
    EXPECT_EQ(size->padded_bytes + output->header_bytes, output->file_bytes) << name;
  }
}

// A map says how many bytes its tensors have; so do we.
TEST(ModelTensors, OfTensorMaps) {
  const std::filesystem::path root = ASSAY_SOURCE_DIR "/../shared/data/measured";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "no tensor maps in " << root;
  size_t maps = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const auto model = open_model_tensors((entry.path() / "tensors.bf16.map").string());
    ASSERT_TRUE(model) << model.error().message;
    uint64_t bytes = 0;
    for (const TensorInfo& one : model->tensors) bytes += one.bytes;
    const auto size = recipe_size({}, model->tensors);
    ASSERT_TRUE(size);
    EXPECT_EQ(size->tensor_bytes, bytes) << entry.path();
    EXPECT_EQ(model->checkpoint, nullptr);
    ++maps;
  }
  EXPECT_GE(maps, 1u);
}

TEST(ModelTensors, StructureIsKnownAgainWhateverTheTypesAndOrder) {
  std::vector<TensorInfo> model = tensors();
  const std::string hash = structure_sha256(model);
  std::reverse(model.begin(), model.end());
  for (TensorInfo& one : model) one.type = GgmlType::kQ8_0;
  EXPECT_EQ(structure_sha256(model), hash);
  model[0].dims[1] += 1;
  EXPECT_NE(structure_sha256(model), hash);
}

struct RecipeFiles : testing::Test {
  ScratchDirectory scratch;
  std::string put(const std::string& name, const std::string& text) {
    put_file(scratch / name, text);
    return scratch / name;
  }
  // Of tensors(), as a map has it.
  ModelTensors model() {
    std::string text;
    for (const TensorInfo& one : tensors()) {
      std::string shape;
      for (uint32_t d = 0; d < one.n_dims; ++d)
        shape += std::to_string(one.dims[d]) + (d + 1 < one.n_dims ? ", " : one.n_dims == 1 ? "," : "");
      const uint64_t bytes = one.elements() * (one.type == GgmlType::kF32 ? 4 : 2);
      text += "f.gguf:0:" + one.name + ":shape=(" + shape + "):dtype=" + (one.type == GgmlType::kF32 ? "f32" : "bf16") +
              ":elements=" + std::to_string(one.elements()) + ":bytes=" + std::to_string(bytes) + "\n";
    }
    const auto result = open_model_tensors(put("tensors.bf16.map", text));
    EXPECT_TRUE(result) << result.error().message;
    return *result;
  }
};

TEST_F(RecipeFiles, EveryFormatByContentAndThroughEveryOther) {
  const ModelTensors model_tensors = model();
  RecipeFileOptions options;
  options.model = &model_tensors;
  for (const RecipeFormat& first : all_recipe_formats()) {
    const auto text = first.write(recipe(), model_tensors.tensors);
    ASSERT_TRUE(text) << first.name;
    const auto file = read_recipe_file(put("first", text->text), options);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->format, first.name);
    EXPECT_EQ(file->document.types, recipe().types) << first.name;
    for (const RecipeFormat& second : all_recipe_formats()) {
      const auto other = second.write(file->document, model_tensors.tensors);
      ASSERT_TRUE(other) << second.name;
      const auto back = read_recipe_file(put("second", other->text), options);
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->document.types, recipe().types) << first.name << " to " << second.name;
    }
  }
}

TEST_F(RecipeFiles, AModelIsTheRecipeOfItsTypes) {
  const auto file = read_recipe_file(kDemo, {});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->format, "gguf");
  EXPECT_TRUE(file->document.types.contains("token_embd.weight"));
}

TEST_F(RecipeFiles, StaleRecipesAreRefused) {
  const auto demo = open_model_tensors(kDemo);
  ASSERT_TRUE(demo) << demo.error().message;
  RecipeDocument document;
  document.types["token_embd.weight"] = "q8_0";
  ASSERT_TRUE(record_model(*demo, document.provenance));
  EXPECT_EQ(document.provenance.model_sha256.size(), 64u);
  RecipeFileOptions options;
  options.model = &*demo;
  EXPECT_TRUE(read_recipe_file(put("fresh", written(kYamlFormat, document).text), options));  // the control
  const RecipeDocument fresh = document;
  document.provenance.model_sha256[0] = document.provenance.model_sha256[0] == '0' ? '1' : '0';
  const std::string stale = put("stale", written(kYamlFormat, document).text);
  const auto refused = read_recipe_file(stale, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().message, HasSubstr("a stale recipe; --force uses it"));
  options.force = true;
  EXPECT_TRUE(read_recipe_file(stale, options));
  // By structure where there are no weights.
  const ModelTensors map = model();
  options = {};
  options.model = &map;
  const auto other = read_recipe_file(put("fresh", written(kYamlFormat, fresh).text), options);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("tensors' SHA-256"));
}

TEST_F(RecipeFiles, OtherFilesAreNamed) {
  EXPECT_THAT(read_recipe_file(put("a", "QTYPE,a\nq8_0,1\n"), {}).error().message, HasSubstr("a published table"));
  EXPECT_THAT(read_recipe_file(put("b", R"({"group_scores": {}})"), {}).error().message, HasSubstr("sensitivities"));
  EXPECT_THAT(read_recipe_file(put("c", "hello world"), {}).error().message, HasSubstr("no known format"));
  EXPECT_THAT(read_recipe_file(put("c", ""), {}).error().message, HasSubstr("no known format"));
  EXPECT_FALSE(read_recipe_file(scratch / "absent", {}));
  RecipeFileOptions options;
  options.from = "ini";
  EXPECT_THAT(read_recipe_file(put("d", "a=q8_0"), options).error().message, HasSubstr("known: yaml, ramp, thireus"));
}

}  // namespace
}  // namespace assay
