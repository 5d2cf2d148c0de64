#include "assay/plan/recipe_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using namespace recipe_models;
using testing::HasSubstr;

TEST(RecipeDocument, FromAndToTypesOfGgml) {
  const auto converted = ggml_recipe(recipe());
  ASSERT_TRUE(converted) << converted.error().message;
  EXPECT_EQ(converted->types.at("blk.1.attn_q.weight"), GgmlType::kQ3_K);
  EXPECT_EQ(document_of(*converted), recipe());
  RecipeDocument document = recipe();
  document.types["output.weight"] = "iq4_ks";
  const auto refused = ggml_recipe(document);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("iq4_ks"));
}

TEST(RecipeDocument, ChecksNamesTypesAndRows) {
  const auto model = tensors();
  EXPECT_TRUE(check_recipe(recipe(), model));  // the control
  RecipeDocument document = recipe();
  document.types["output.weight"] = "q9_0";
  EXPECT_THAT(check_recipe(document, model).error().message, HasSubstr("'q9_0'"));
  document = recipe();
  for (const char* name : {"x", "y", "z", "zz"}) document.types[name] = "q8_0";
  const auto many = check_recipe(document, model);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(many.error().message, HasSubstr("'x', 'y', 'z' and 1 more"));
}

}  // namespace
}  // namespace assay
