// Recipes of any format as rules for a model, and the refusal of those made for another.
#include "assay/plan/recipe_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/plan/plan_document.h"
#include "tests/plan/small_model.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing_files::put_file;
using T = GgmlType;

class RecipeRulesFile : public testing::Test {
 protected:
  void SetUp() override {
    model_.path = dir_ / "in.gguf";
    model_.checkpoint = small_model::make(model_.path);
    model_.tensors = model_.checkpoint->tensors();
  }
  // The types that a file gives the model.
  Result<Recipe> types(const std::string& path, bool force = false) {
    losses_.clear();
    ASSAY_ASSIGN(const TensorTypeRules rules, read_recipe_rules(path, model_, force, losses_));
    ASSAY_ASSIGN(ResolvedRecipe resolved, resolve(rules, model_.tensors));
    return std::move(resolved.recipe);
  }
  std::string write(const std::string& name, const std::string& text) {
    put_file(dir_ / name, text);
    return dir_ / name;
  }
  RecipeDocument document() {
    RecipeDocument document = document_of(Recipe{{{"blk.0.attn_q.weight", T::kQ6_K}, {"output.weight", T::kQ8_0}}});
    EXPECT_TRUE(record_model(model_, document.provenance));
    return document;
  }

  testing_files::ScratchDirectory dir_;
  ModelTensors model_;
  std::vector<std::string> losses_;
};

TEST_F(RecipeRulesFile, EveryFormatGivesTheSameTypes) {
  for (const RecipeFormat& format : all_recipe_formats()) {
    if (format.name == "ramp") continue;  // a type per group: tests/plan/format_ramp_test.cpp
    SCOPED_TRACE(format.name);
    const auto written = format.write(document(), model_.tensors);
    ASSERT_TRUE(written) << written.error().message;
    const auto read = types(write(std::string(format.name), written->text));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->types, (std::map<std::string, T>{{"blk.0.attn_q.weight", T::kQ6_K}, {"output.weight", T::kQ8_0}}));
  }
}

TEST_F(RecipeRulesFile, LinesOfRulesKeepTheirMeaning) {
  // Overlapping rules: the first decides, as llama-quantize has it.
  const auto read = types(write("rules", "blk\\.0\\.attn_q=q8_0\nattn_=q4_k\n"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->types.at("blk.0.attn_q.weight"), T::kQ8_0);
  EXPECT_EQ(read->types.at("blk.1.attn_q.weight"), T::kQ4_K);
  const auto nothing = types(write("none", "blk\\.0\\.attn_q=q8_0\nssm_out=q4_k\n"));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(nothing.error().message, HasSubstr("line 2"));
}

TEST_F(RecipeRulesFile, AModelsFileIsTheRecipeOfItsTypes) {
  const auto read = types(model_.path);
  ASSERT_TRUE(read) << read.error().message;
  for (const TensorInfo& tensor : model_.tensors)
    if (is_quantizable(tensor)) EXPECT_EQ(read->types.at(tensor.name), tensor.type) << tensor.name;
}

TEST_F(RecipeRulesFile, OneForAnotherModelIsRefusedUnlessForced) {
  RecipeDocument other = document();
  other.provenance.model_sha256 = std::string(64, 'a');
  const std::string path = write("other.yaml", kYamlFormat.write(other, model_.tensors)->text);
  const auto refused = types(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().message, HasSubstr("aaaaaaaaaaaa"));
  EXPECT_TRUE(types(path, true));
}

TEST_F(RecipeRulesFile, TablesAndBombsAreNoRecipes) {
  EXPECT_EQ(types(write("table.csv", "QTYPE,group0\nq4_K,1\n")).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(types(write("bomb", "{\"assay_recipe\": 1, \"types\": " + std::string(100'000, '['))).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(types(write("bomb.json", "{\"config\": " + std::string(100'000, '['))).error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(types(write("text", "some words\n")));
}

// A table of another model likewise; both hashes are named.
TEST_F(RecipeRulesFile, ATableKnowsItsModel) {
  DamageTable table;
  EXPECT_THAT(*check_same_model(table, *model_.checkpoint, "m", false), HasSubstr("names no model"));
  RecipeProvenance from;
  ASSERT_TRUE(record_model(model_, from));
  table.model_sha256 = from.model_sha256;
  EXPECT_EQ(*check_same_model(table, *model_.checkpoint, "m", false), "");
  table.model_sha256 = std::string(64, 'b');
  const auto refused = check_same_model(table, *model_.checkpoint, "m", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().message, HasSubstr("bbbbbbbbbbbb"));
  EXPECT_THAT(refused.error().message, HasSubstr(from.model_sha256.substr(0, 12)));
  EXPECT_THAT(*check_same_model(table, *model_.checkpoint, "m", true), HasSubstr("bbbbbbbbbbbb"));
}

// The document of a plan says what it was made for and what it promises.
TEST_F(RecipeRulesFile, APlansDocument) {
  DamageTable table;
  table.rows = {{"output.weight", {"output.weight"}, {{T::kQ8_0, 3, 0.3, false}, {T::kQ4_K, 9, 1, false}}},
                {"blk.0.attn_q.weight", {"blk.0.attn_q.weight"}, {{T::kQ6_K, 2, 0.4, false}}}};
  Plan plan;
  plan.recipe.types = {{"output.weight", T::kQ8_0}, {"blk.0.attn_q.weight", T::kQ6_K}};
  plan.predicted_damage = 5;
  plan.bound = 4.5;
  plan.file_bytes = 1000;
  const auto made = plan_document(plan, table, model_);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_DOUBLE_EQ(*made->prediction.standard_error, 0.5);  // 0.3 and 0.4 in squares
  EXPECT_DOUBLE_EQ(made->prediction.interval->first, 5 - 1.96 * 0.5);
  EXPECT_EQ(made->prediction.bound, 4.5);
  EXPECT_EQ(made->provenance.model_sha256.size(), 64u);
  const auto back = kYamlFormat.read(kYamlFormat.write(*made, model_.tensors)->text, {});
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->document, *made);
  // Of a table that is not in nats nothing is promised but bytes.
  table.unit = "rows";
  EXPECT_EQ(plan_document(plan, table, model_)->prediction.damage, std::nullopt);
}

}  // namespace
}  // namespace assay
