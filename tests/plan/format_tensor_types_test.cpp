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

TEST(FormatTensorTypes, RoundTripLosesNothingOfTypes) {
  const WrittenRecipe text = written(kTensorTypesFormat, recipe());
  EXPECT_THAT(text.losses, IsEmpty());
  EXPECT_THAT(text.text, HasSubstr("^blk\\.0\\.attn_q\\.weight$=q4_k\n"));
  EXPECT_EQ(read(kTensorTypesFormat, text.text, tensors()).document, recipe());
  EXPECT_EQ(read(kTensorTypesFormat, text.text, {}).document, recipe());
}

// First match or last, found anywhere, lower-cased: no pattern matches another tensor's name, so the order does not matter.
TEST(FormatTensorTypes, SafeUnderFirstAndLastMatch) {
  std::vector<TensorInfo> model = tensors();
  model.push_back(tensor("blk.10.attn_q.weight", {256, 256}));
  model.push_back(tensor("v.blk.1.attn_q.weight.x", {256, 256}));
  RecipeDocument document = recipe();
  document.types["blk.10.attn_q.weight"] = "q8_0";
  document.types["v.blk.1.attn_q.weight.x"] = "q2_K";
  const std::string text = written(kTensorTypesFormat, document).text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), static_cast<ptrdiff_t>(document.types.size()));
  std::string lowered = text;
  for (char& c : lowered) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(lowered, text);
  std::vector<std::pair<std::regex, std::string>> rules;
  for (std::istringstream lines(text); lines.good();) {
    std::string line;
    if (!std::getline(lines, line)) break;
    rules.emplace_back(std::regex(line.substr(0, line.find('='))), line.substr(line.find('=') + 1));
  }
  for (const TensorInfo& one : model) {
    const auto matches = [&](const auto& rule) { return std::regex_search(one.name, rule.first); };
    EXPECT_EQ(std::count_if(rules.begin(), rules.end(), matches), document.types.contains(one.name) ? 1 : 0) << one.name;
  }
}

TEST(FormatTensorTypes, NamesWhatItCannotExpress) {
  const WrittenRecipe text = written(kTensorTypesFormat, full_recipe());
  EXPECT_THAT(text.losses, ElementsAre(HasSubstr("1 tensors of types that llama.cpp does not have: iq4_ks"),
                                       HasSubstr("where it came from"), HasSubstr("what it predicts")));
  EXPECT_EQ(text.text.find("iq4_ks"), std::string::npos);
}

TEST(FormatTensorTypes, Faults) {
  const std::string good = "^output\\.weight$=q8_0\n";
  EXPECT_TRUE(kTensorTypesFormat.read(good, {}));  // the control
  EXPECT_THAT(fault(kTensorTypesFormat, good + "\n# comment=1 x").message, HasSubstr("line 3"));
  EXPECT_THAT(fault(kTensorTypesFormat, good + "word").message, HasSubstr("file: line 2: 'word' has no '='"));
  EXPECT_THAT(fault(kTensorTypesFormat, good + "attn_q=q4_kk").message, HasSubstr("did you mean q4_k"));
  EXPECT_THAT(fault(kTensorTypesFormat, good + "attn_q=Q4_K_M").message, HasSubstr("mix of types"));
  EXPECT_THAT(fault(kTensorTypesFormat, good + "^outputs\\.weight$=q8_0").message, HasSubstr("did you mean output.weight"));
  EXPECT_THAT(fault(kTensorTypesFormat, good + "output=q4_0").message, HasSubstr("by line 1 and q4_0 by line 2"));
  EXPECT_EQ(fault(kTensorTypesFormat, "").code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace assay
