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

TEST(FormatEvoPress, RoundTripLosesNothingOfTypes) {
  RecipeDocument document = recipe();
  document.types["blk.0.attn_q.weight"] = "q2_K";
  const WrittenRecipe text = written(kEvoPressFormat, document);
  EXPECT_THAT(text.losses, IsEmpty());
  EXPECT_THAT(text.text, HasSubstr("blk.0.attn_q.weight: 2.5625 (2.5625-Q2_K.pth)\n"));  // the toolkit's own width
  EXPECT_THAT(text.text, HasSubstr("blk.1.attn_q.weight: 3.4375 (3.4375-Q3_K.pth)\n"));
  EXPECT_EQ(read(kEvoPressFormat, text.text, tensors()).document, document);
}

TEST(FormatEvoPress, OtherNamesAndForms) {
  const ReadRecipe result =
      read(kEvoPressFormat,
           "# a comment\nmodel.layers.1.mlp.down_proj: 4.5 Q4_K\nmodel.layers.0.self_attn.o_proj: 6.5625 (6.5625-Q6_K.pth)\n"
           "model.embed_tokens: 32 (32-F32.pth)\nlm_head: 2.625 Q2_K\n",
           {});
  EXPECT_EQ(result.document.types, (std::map<std::string, std::string>{{"blk.1.ffn_down.weight", "q4_K"},
                                                                       {"blk.0.attn_output.weight", "q6_K"},
                                                                       {"token_embd.weight", "f32"},
                                                                       {"output.weight", "q2_K"}}));
}

TEST(FormatEvoPress, NamesWhatItCannotExpress) {
  RecipeDocument document = full_recipe();
  document.types["output.weight"] = "mxfp4";
  EXPECT_THAT(written(kEvoPressFormat, document).losses,
              ElementsAre(HasSubstr("iq4_ks"), HasSubstr("1 tensors of types that the GGUF toolkit does not know"),
                          HasSubstr("where it came"), HasSubstr("predicts")));
}

TEST(FormatEvoPress, Faults) {
  const std::string good = "output.weight: 8.5 (8.5-Q8_0.pth)\n";
  EXPECT_TRUE(kEvoPressFormat.read(good, {}));  // the control
  EXPECT_THAT(fault(kEvoPressFormat, good + "nonsense").message, HasSubstr("file: line 2"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: 4.5").message, HasSubstr("a width alone"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: nan (nan-Q4_K.pth)").message, HasSubstr("bits per weight"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: -4.5 (4.5-Q4_K.pth)").message, HasSubstr("bits per weight"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: 4.5 (4.5-Q4_Z.pth)").message, HasSubstr("did you mean"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: 3.4 (4.5-Q4_K.pth)").message, HasSubstr("columns of another file?"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "a: 4.5 (Q4_K)").message, HasSubstr("(BITS-TYPE.pth)"));
  EXPECT_THAT(fault(kEvoPressFormat, good + "output.weight: 4.5 Q4_K").message, HasSubstr("line 1 gives q8_0"));
}

}  // namespace
}  // namespace assay
