#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/plan/recipe_format.h"
#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using namespace recipe_models;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FormatCustomQ, RoundTripKeepsForeignTypes) {
  RecipeDocument document = recipe();
  document.types["output.weight"] = "q8_KV";
  document.types["blk.0.ffn_up.weight"] = "iq4_ks_r4";
  const WrittenRecipe text = written(kCustomQFormat, document);
  EXPECT_THAT(text.losses, IsEmpty());
  EXPECT_THAT(text.text, HasSubstr("^output\\.weight$=q8_KV,"));
  EXPECT_EQ(read(kCustomQFormat, text.text, tensors()).document, document);
  EXPECT_EQ(read(kCustomQFormat, text.text, {}).document, document);
}

TEST(FormatCustomQ, PatternsOverSeveralLines) {
  const ReadRecipe result = read(kCustomQFormat, "attn_q=iq4_k, attn_v=q8_0,\nblk\\.[01]\\.ffn=iq3_k,\n", tensors());
  EXPECT_EQ(result.document.types.size(), 8u);
  EXPECT_EQ(result.document.types.at("blk.1.ffn_down.weight"), "iq3_k");
}

TEST(FormatCustomQ, NamesWhatItCannotExpress) { EXPECT_EQ(written(kCustomQFormat, full_recipe()).losses.size(), 2u); }

TEST(FormatCustomQ, Faults) {
  EXPECT_THAT(fault(kCustomQFormat, "attn_q=iq4_k,blk.{1,2}=q8_0").message, HasSubstr("rule 2: 'blk.{1' has no '='"));
  EXPECT_THAT(fault(kCustomQFormat, "attn_q=iq4_k,attn_v=iq4_kx").message, HasSubstr("names the type 'iq4_kx'"));
  EXPECT_THAT(fault(kCustomQFormat, "attn_q=iq4_k,attn=q8_0").message, HasSubstr("is iq4_k by rule 1 and q8_0 by rule 2"));
  EXPECT_THAT(fault(kCustomQFormat, "attn_q=iq4_k,ssm=q8_0").message, HasSubstr("rule 2 'ssm' matches no tensor"));
  EXPECT_THAT(fault(kCustomQFormat, "attn_q=iq4_k,attn_v=q8_0", false).message, HasSubstr("--model"));
}

}  // namespace
}  // namespace assay
