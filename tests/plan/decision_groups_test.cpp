#include "assay/plan/decision_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "assay/file/byte_source.h"
#include "assay/model/checkpoint.h"
#include "assay/score/published_truth.h"

namespace assay {
namespace {

using testing::ElementsAre;

TensorInfo tensor(const std::string& name, std::vector<uint64_t> dims) {
  TensorInfo info;
  info.name = name;
  info.n_dims = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), info.dims.begin());
  return info;
}

std::vector<std::string> names(const ModelStructure& structure) {
  std::vector<std::string> list;
  for (const DecisionGroup& group : structure.groups) list.push_back(group.name);
  return list;
}

// A hybrid block, a block of attention with experts, and what drafts.
std::vector<TensorInfo> hybrid() {
  return {tensor("token_embd.weight", {8, 100}),
          tensor("blk.0.attn_norm.weight", {8}),
          tensor("blk.0.attn_qkv.weight", {8, 24}),
          tensor("blk.0.attn_gate.weight", {8, 8}),
          tensor("blk.0.ssm_a", {4}),
          tensor("blk.0.ssm_alpha.weight", {8, 4}),
          tensor("blk.0.ssm_norm.weight", {4}),
          tensor("blk.0.post_attention_norm.weight", {8}),
          tensor("blk.0.ffn_up.weight", {8, 32}),
          tensor("blk.1.attn_qkv.weight", {8, 24}),
          tensor("blk.1.attn_q_norm.weight", {4}),
          tensor("blk.1.ffn_gate_inp.weight", {8, 2}),
          tensor("blk.1.exp_probs_b.bias", {2}),
          tensor("blk.1.ffn_up_exps.weight", {8, 4, 2}),
          tensor("blk.1.ffn_down.1.weight", {4, 8}),
          tensor("blk.1.ffn_up_shexp.weight", {8, 4}),
          tensor("blk.2.nextn.eh_proj.weight", {16, 8}),
          tensor("output.weight", {8, 100})};
}

TEST(DecisionGroups, ByExactRole) {
  const auto structure = model_structure(hybrid());
  ASSERT_TRUE(structure);
  EXPECT_EQ(structure->layers, 3);
  EXPECT_THAT(names(*structure),
              ElementsAre("global.token_embd", "layer.0.norms", "layer.0.gdn", "layer.0.ssm", "layer.0.ffn", "layer.1.attn",
                          "layer.1.norms", "layer.1.gates", "layer.1.experts", "layer.1.shared", "layer.2.draft", "global.output"));
  // attn_qkv is of the gated delta net where the block has a state space, and attention elsewhere.
  EXPECT_THAT(structure->find("layer.0.gdn")->tensors, ElementsAre(2, 3));
  EXPECT_EQ(structure->find("layer.0.gdn")->elements, 8 * 24 + 8 * 8);
  EXPECT_THAT(structure->find("layer.0.ssm")->tensors, ElementsAre(4, 5, 6));
  EXPECT_THAT(structure->find("layer.1.experts")->tensors, ElementsAre(13, 14));
  EXPECT_EQ(structure->find("layer.1.gates")->role, "ffn_gate_inp");
  EXPECT_EQ(structure->find("layer.9.attn"), nullptr);
}

TEST(DecisionGroups, RampTakesEveryNameThatStartsWithAttnForAttention) {
  const auto structure = model_structure(hybrid(), GroupRule::kRamp);
  ASSERT_TRUE(structure);
  EXPECT_THAT(structure->find("layer.0.attn")->tensors, ElementsAre(1));
  EXPECT_THAT(structure->find("layer.1.attn")->tensors, ElementsAre(9, 10));
  EXPECT_THAT(structure->find("layer.0.norms")->tensors, ElementsAre(7));
}

TEST(DecisionGroups, RefusesWhatIsNoModel) {
  EXPECT_FALSE(model_structure({}));
  const auto twice = model_structure({tensor("a.weight", {4}), tensor("a.weight", {4})});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("'a.weight' twice"), std::string::npos) << twice.error().message;
  EXPECT_FALSE(model_structure({tensor("a.weight", {uint64_t{1} << 40, uint64_t{1} << 40})}));
}

struct RealModel {
  const char* directory;
  size_t tensors, exact, ramp;
  std::map<std::string, size_t> kinds;  // by exact role
};

class RealModels : public testing::TestWithParam<RealModel> {};

TEST_P(RealModels, EveryTensorIsInOneGroup) {
  const std::string path = std::string(ASSAY_SOURCE_DIR "/../shared/data/measured/") + GetParam().directory + "/tensors.bf16.map";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no ../shared/data here";
  const auto source = open_file(path);
  ASSERT_TRUE(source);
  const auto map = read_tensor_map(**source);
  ASSERT_TRUE(map);
  std::vector<TensorInfo> tensors;
  for (const MappedTensor& one : *map) {
    const auto tensor = tensor_info(one);
    ASSERT_TRUE(tensor) << tensor.error().message;
    tensors.push_back(*tensor);
  }
  for (const GroupRule rule : {GroupRule::kExact, GroupRule::kRamp}) {
    const auto structure = model_structure(tensors, rule);
    ASSERT_TRUE(structure) << structure.error().message;
    std::vector<size_t> counts(tensors.size());
    for (size_t g = 0; g < structure->groups.size(); ++g)
      for (const size_t t : structure->groups[g].tensors) {
        ++counts[t];
        EXPECT_EQ(structure->group_of[t], g);
      }
    EXPECT_EQ(std::count(counts.begin(), counts.end(), 1), std::ssize(tensors));
    EXPECT_EQ(structure->groups.size(), rule == GroupRule::kExact ? GetParam().exact : GetParam().ramp);
    if (rule == GroupRule::kRamp) continue;
    std::map<std::string, size_t> kinds;
    for (const DecisionGroup& group : structure->groups) ++kinds[std::string(name_of(group.kind))];
    EXPECT_EQ(kinds, GetParam().kinds);
  }
  EXPECT_EQ(tensors.size(), GetParam().tensors);
}

// 733 tensors and 263 groups are RAMP's published numbers. What others have follows by hand from how many blocks hold which roles.
INSTANTIATE_TEST_SUITE_P(
    Public, RealModels,
    testing::Values(
        RealModel{"Qwen3.5-35B-A3B",
                  733,
                  233,
                  263,
                  {{"attn", 10}, {"gdn", 30}, {"ssm", 30}, {"shared", 40}, {"experts", 40}, {"gates", 40}, {"norms", 40}, {"global", 3}}},
        RealModel{"Qwen3.5-0.8B", 320, 92, 110, {{"attn", 6}, {"gdn", 18}, {"ssm", 18}, {"ffn", 24}, {"norms", 24}, {"global", 2}}},
        RealModel{"Qwen3-4B-Instruct-2507", 398, 110, 110, {{"attn", 36}, {"ffn", 36}, {"norms", 36}, {"global", 2}}},
        RealModel{"GLM-4.5-Air",
                  803,
                  237,
                  237,
                  {{"attn", 47}, {"norms", 47}, {"ffn", 1}, {"shared", 46}, {"experts", 46}, {"gates", 46}, {"draft", 1}, {"global", 3}}}),
    [](const auto& instance) {
      std::string name = instance.param.directory;
      std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
      return name;
    });

TEST(DecisionGroups, OfTheDemoModel) {
  const auto checkpoint = Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m");
  ASSERT_TRUE(checkpoint);
  const auto structure = model_structure((*checkpoint)->tensors());
  ASSERT_TRUE(structure);
  size_t grouped = 0;
  for (const DecisionGroup& group : structure->groups) grouped += group.tensors.size();
  EXPECT_EQ(grouped, (*checkpoint)->tensors().size());
  EXPECT_EQ(structure->layers, 12);
}

}  // namespace
}  // namespace assay
