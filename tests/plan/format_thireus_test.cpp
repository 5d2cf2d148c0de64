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

// As the tool suite's files look.
constexpr const char* kFile = R"(## Quant mix recipe created using Thireus' GGUF Tool Suite - https://gguf.thireus.com/
# Model name: small
# Link to the original model: https://huggingface.co/x/small

## Model head & embeddings - qbits: 32 8
^token_embd\.weight$=q8_0
output\.weight=q8_KV

## Multi-headed attention parameters
blk\.([0-9]|[1-2][0-9]|3[0-5])\.attn_v\.weight=iq5_k_r4
^blk\.0\.attn_norm\.weight$=f32

## Summary of tensor counts and bpw per qtype
#
# QTYPE		Count	BPW	Assigned GiB
# q8_0      	20 	8.5   	  1.68 GiB
# - Script SHA-256: 68f915c49381ce9f2689f09450c5f48b7524af403ea7168cf8d5f0e95bd97527
# - tensors.bf16.map SHA-256: b54b1530f359d7259abe8913f79bab3a333abad9673f71b3296e8b608bde7ef4
# - Command used:
# ../../quant_assign.py ppl_results.csv --tolerance 0.01 \
# --cpu-quants iq4_ks

## THE END!
)";

TEST(FormatThireus, ReadsTheToolSuitesFiles) {
  const ReadRecipe result = read(kThireusFormat, kFile, tensors());
  EXPECT_EQ(result.document.types, (std::map<std::string, std::string>{{"token_embd.weight", "q8_0"},
                                                                       {"output.weight", "q8_KV"},
                                                                       {"blk.0.attn_norm.weight", "f32"},
                                                                       {"blk.0.attn_v.weight", "iq5_k_r4"},
                                                                       {"blk.1.attn_v.weight", "iq5_k_r4"}}));
  EXPECT_EQ(result.document.provenance.model, "small");
  EXPECT_EQ(result.document.provenance.command, "../../quant_assign.py ppl_results.csv --tolerance 0.01 --cpu-quants iq4_ks");
  EXPECT_EQ(result.document.provenance.inputs.size(), 2u);
  EXPECT_EQ(result.document.provenance.inputs.at("Script"), "68f915c49381ce9f2689f09450c5f48b7524af403ea7168cf8d5f0e95bd97527");
  EXPECT_THAT(result.losses, ElementsAre("1 comments"));
}

TEST(FormatThireus, RoundTripLosesNothing) {
  for (const RecipeDocument& document : {recipe(), full_recipe()}) {
    for (const auto& model : {std::vector<TensorInfo>(), tensors()}) {
      const WrittenRecipe text = written(kThireusFormat, document, model);
      EXPECT_THAT(text.losses, IsEmpty());
      const ReadRecipe back = read(kThireusFormat, text.text, model);
      EXPECT_EQ(back.document, document) << text.text;
      EXPECT_THAT(back.losses, IsEmpty());
    }
  }
}

// A name cannot add a rule.
TEST(FormatThireus, CommentsStayComments) {
  RecipeDocument document = recipe();
  document.provenance.model = "a\n^output\\.weight$=f32";
  document.provenance.command = "b\r\nattn=f32";
  EXPECT_EQ(read(kThireusFormat, written(kThireusFormat, document).text, tensors()).document.types, document.types);
}

TEST(FormatThireus, SummaryHasExactSizes) {
  RecipeDocument document = recipe();
  for (auto& [name, type] : document.types) type = "iq4_ks";
  const std::string text = written(kThireusFormat, document, tensors()).text;
  EXPECT_THAT(text, HasSubstr("# iq4_ks\t10\t4.25\t0.000 GiB\n"));
  EXPECT_THAT(text, HasSubstr("# f32\t2\t32\t"));
}

TEST(FormatThireus, Faults) {
  const std::string good = "# comment\n^output\\.weight$=q8_0\n";
  EXPECT_TRUE(kThireusFormat.read(good, {}));  // the control
  EXPECT_THAT(fault(kThireusFormat, good + "^token_embd\\.weight$").message, HasSubstr("file: line 3"));
  EXPECT_THAT(fault(kThireusFormat, good + "attn_q=iq9_k").message, HasSubstr("did you mean"));
  EXPECT_THAT(fault(kThireusFormat, good + "out.*=q4_0").message, HasSubstr("is q8_0 by line 2 and q4_0 by line 3"));
  EXPECT_THAT(fault(kThireusFormat, good + "ssm=q4_0").message, HasSubstr("line 3 'ssm' matches no tensor"));
  EXPECT_THAT(fault(kThireusFormat, good + "# - Predicted damage: nan").message, HasSubstr("line 3"));
  EXPECT_THAT(fault(kThireusFormat, good + "# - Predicted damage: -1").message, HasSubstr("0 or more"));
  EXPECT_THAT(fault(kThireusFormat, good + "# - Interval: 2 to 1").message, HasSubstr("ascending"));
  EXPECT_THAT(fault(kThireusFormat, good + "# - File bytes: -5").message, HasSubstr("whole number"));
}

}  // namespace
}  // namespace assay
