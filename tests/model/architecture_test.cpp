#include "assay/model/architecture.h"

#include <cmath>

#include "assay/model/rope_tables.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Hyper parsed(const Metadata& metadata, bool has_output = false) {
  const auto hyper = parse_hyper(metadata, has_output);
  EXPECT_TRUE(hyper) << hyper.error().message;
  return hyper.value_or(Hyper{});
}

TEST(Registry, ListsEveryFamilyByEachOfItsNames) {
  std::vector<std::string> names;
  for (const Architecture& architecture : all_architectures()) {
    names.emplace_back(architecture.name);
    EXPECT_EQ(*find_architecture(architecture.name), &architecture);
    for (const std::string_view hf_name : architecture.hf_names) EXPECT_EQ(*find_hf_architecture(hf_name), &architecture);
  }
  EXPECT_THAT(names, ElementsAre("llama", "qwen2", "qwen3", "gpt2"));
  EXPECT_EQ((*find_hf_architecture("MistralForCausalLM"))->name, "llama");
  const auto unknown = find_architecture("mamba");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unknown.error().message, HasSubstr("'mamba' is not supported; known: llama, qwen2, qwen3, gpt2"));
  EXPECT_FALSE(find_hf_architecture("LlamaForSequenceClassification"));
}

TEST(ParseHyper, ReadsTheKeysOfEachFamily) {
  const Hyper llama = parsed(tiny::metadata("llama"), true);
  EXPECT_EQ(llama.layers, 3);
  EXPECT_EQ(llama.d_model, 32);
  EXPECT_EQ(llama.d_ff, 48);
  EXPECT_EQ(llama.context, 1024);
  EXPECT_EQ(llama.heads, 4);
  EXPECT_EQ(llama.kv_heads, 2);
  EXPECT_EQ(llama.head_dim, 8);
  EXPECT_EQ(llama.rope_dims, 8);
  EXPECT_EQ(llama.rope_base, 10000);
  EXPECT_EQ(llama.vocab, 24);
  EXPECT_FLOAT_EQ(static_cast<float>(llama.norm_eps), 1e-5f);
  EXPECT_EQ(llama.rope, RopeKind::kInterleaved);
  EXPECT_FALSE(llama.tied || llama.attention_bias || llama.qk_norm);
  const Hyper qwen2 = parsed(tiny::metadata("qwen2"));
  EXPECT_EQ(qwen2.rope, RopeKind::kHalfSplit);
  EXPECT_TRUE(qwen2.tied && qwen2.attention_bias && !qwen2.output_bias);
  const Hyper qwen3 = parsed(tiny::metadata("qwen3"));
  EXPECT_TRUE(qwen3.qk_norm && !qwen3.attention_bias);
  const Hyper gpt2 = parsed(tiny::metadata("gpt2"));
  EXPECT_EQ(gpt2.kv_heads, 4);
  EXPECT_EQ(gpt2.norm, NormKind::kLayer);
  EXPECT_EQ(gpt2.mlp, MlpKind::kGelu);
  EXPECT_EQ(gpt2.rope, RopeKind::kNone);
  EXPECT_TRUE(gpt2.fused_qkv && gpt2.learned_positions && gpt2.output_bias);
}

TEST(ParseHyper, HeadSizeMayDifferFromWidthOverHeads) {
  Metadata m = tiny::metadata("qwen3");
  m.set("qwen3.attention.key_length", MetaValue::u32(40));
  m.set("qwen3.attention.value_length", MetaValue::u32(40));
  const Hyper hyper = parsed(m);
  EXPECT_EQ(hyper.head_dim, 40);
  EXPECT_EQ(hyper.rope_dims, 40);
}

TEST(ParseHyper, TheTokenListDecidesTheVocabulary) {
  Metadata m = tiny::metadata("llama");
  StringList tokens;
  for (int i = 0; i < 7; ++i) tokens.push_back("t");
  m.set("tokenizer.ggml.tokens", MetaValue::strings(tokens));
  EXPECT_EQ(parsed(m).vocab, 7);
  m.erase("llama.vocab_size");
  EXPECT_EQ(parsed(m).vocab, 7);
}

TEST(ParseHyper, RopeScalingByItsKeys) {
  Metadata m = tiny::metadata("llama");
  m.set("llama.rope.scaling.factor", MetaValue::f32(4));
  EXPECT_EQ(parsed(m).scaling.kind, RopeScaling::Kind::kLinear);  // a factor alone means linear, as in llama.cpp
  m.set("llama.rope.scaling.type", MetaValue::string("none"));
  EXPECT_EQ(parsed(m).scaling.kind, RopeScaling::Kind::kNone);
  m.set("llama.rope.scaling.type", MetaValue::string("yarn"));
  m.set("llama.rope.scaling.original_context_length", MetaValue::u32(256));
  const RopeScaling yarn = parsed(m).scaling;
  EXPECT_EQ(yarn.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(yarn.original_context, 256u);
  EXPECT_DOUBLE_EQ(yarn.magnitude, 1 + 0.1 * std::log(4.0));
  m.set("llama.rope.scaling.attn_factor", MetaValue::f32(0.5));
  EXPECT_DOUBLE_EQ(parsed(m).scaling.magnitude, 0.5 * (1 + 0.1 * std::log(4.0)));
  m.set("llama.rope.scaling.yarn_log_multiplier", MetaValue::f32(1));
  EXPECT_DOUBLE_EQ(parsed(m).scaling.magnitude, 0.5);
}

// A key with another value, or without.
struct Fault {
  const char* name;
  const char* key;
  std::optional<MetaValue> value;
  ErrorCode code;
  const char* says;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class BrokenMetadata : public testing::TestWithParam<Fault> {};

TEST_P(BrokenMetadata, IsRefusedByName) {
  Metadata m = tiny::metadata("llama");
  m.set("llama.rope.scaling.type", MetaValue::string("yarn"));
  ASSERT_TRUE(parse_hyper(m, true));  // control
  m.erase(GetParam().key);
  if (GetParam().value) m.set(GetParam().key, *GetParam().value);
  const auto hyper = parse_hyper(m, true);
  ASSERT_FALSE(hyper);
  EXPECT_EQ(hyper.error().code, GetParam().code) << hyper.error().message;
  EXPECT_THAT(hyper.error().message, HasSubstr(GetParam().says));
}

constexpr ErrorCode kBad = ErrorCode::kBadInput, kNone = ErrorCode::kUnsupported, kAbsent = ErrorCode::kNotFound;
const Fault kFaults[] = {
    {"NoArchitecture", "general.architecture", {}, kAbsent, "general.architecture"},
    {"UnknownArchitecture", "general.architecture", MetaValue::string("rwkv"), kNone, "rwkv"},
    {"BlockCountMissing", "llama.block_count", {}, kAbsent, "llama.block_count"},
    {"BlockCountZero", "llama.block_count", MetaValue::u32(0), kBad, "llama.block_count' is 0"},
    {"BlockCountBillion", "llama.block_count", MetaValue::u32(1000000000), kBad, "is 1,000,000,000"},
    {"BlockCountIsText", "llama.block_count", MetaValue::string("3"), kBad, "llama.block_count"},
    {"HeadCountZero", "llama.attention.head_count", MetaValue::u32(0), kBad, "head_count' is 0"},
    {"WidthNotAMultipleOfHeads", "llama.attention.head_count", MetaValue::u32(6), kBad, "it must divide the embedding length 32"},
    {"KeyHeadsDoNotDivideHeads", "llama.attention.head_count_kv", MetaValue::u32(3), kBad, "it must divide the 4 heads"},
    {"HeadSizeZero", "llama.attention.key_length", MetaValue::u32(0), kBad, "key_length' is 0"},
    {"ValueHeadsDiffer", "llama.attention.value_length", MetaValue::u32(16), kNone, "value_length' is 16"},
    {"EpsilonNaN", "llama.attention.layer_norm_rms_epsilon", MetaValue::f32(NAN), kBad, "layer_norm_rms_epsilon"},
    {"RopeBaseNegative", "llama.rope.freq_base", MetaValue::f32(-1), kBad, "rope.freq_base"},
    {"RopeDimensionsTooMany", "llama.rope.dimension_count", MetaValue::u32(10), kBad, "at most the head size 8"},
    {"RopeDimensionsOdd", "llama.rope.dimension_count", MetaValue::u32(7), kBad, "an even number is needed"},
    {"RopeScalingUnknown", "llama.rope.scaling.type", MetaValue::string("longrope"), kNone, "longrope"},
    {"RopeScalingFactorZero", "llama.rope.scaling.factor", MetaValue::f32(0), kBad, "rope.scaling.factor"},
    {"YarnMixUnknown", "llama.rope.scaling.yarn_ext_factor", MetaValue::f32(0.5f), kBad, "yarn_ext_factor"},
    {"SlidingWindowZero", "llama.attention.sliding_window", MetaValue::u32(0), kBad, "sliding_window' is 0"},
    {"MixtureOfExperts", "llama.expert_count", MetaValue::u32(8), kNone, "expert_count' is 8"},
    {"NoVocabulary", "llama.vocab_size", {}, kAbsent, "llama.vocab_size"},
};
INSTANTIATE_TEST_SUITE_P(G45, BrokenMetadata, testing::ValuesIn(kFaults), [](const auto& tested) { return tested.param.name; });

std::vector<std::string> names_of_block(const Hyper& hyper, int block) {
  const std::string stem = "blk." + std::to_string(block) + ".";
  std::vector<std::string> names;
  for (const TensorSpec& spec : expected_tensors(hyper))
    if (spec.required && spec.name.starts_with(stem)) names.push_back(spec.name.substr(stem.size()));
  return names;
}

TEST(ExpectedTensors, ListWhatEachFamilyStores) {
  EXPECT_THAT(names_of_block(parsed(tiny::metadata("llama")), 1),
              ElementsAre("attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight", "ffn_norm.weight",
                          "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"));
  EXPECT_THAT(names_of_block(parsed(tiny::metadata("qwen2")), 2),
              ElementsAre("attn_norm.weight", "attn_q.weight", "attn_q.bias", "attn_k.weight", "attn_k.bias", "attn_v.weight",
                          "attn_v.bias", "attn_output.weight", "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"));
  EXPECT_THAT(names_of_block(parsed(tiny::metadata("qwen3")), 0),
              ElementsAre("attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_q_norm.weight", "attn_k_norm.weight",
                          "attn_output.weight", "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"));
  EXPECT_THAT(
      names_of_block(parsed(tiny::metadata("gpt2")), 0),
      ElementsAre("attn_norm.weight", "attn_norm.bias", "attn_qkv.weight", "attn_qkv.bias", "attn_output.weight", "attn_output.bias",
                  "ffn_norm.weight", "ffn_norm.bias", "ffn_up.weight", "ffn_up.bias", "ffn_down.weight", "ffn_down.bias"));
  const auto count = [](bool has_output) { return expected_tensors(parsed(tiny::metadata("llama"), has_output)).size(); };
  EXPECT_EQ(count(true), count(false) + 1);
}

class CheckTensors : public testing::Test {
 protected:
  const Hyper hyper_ = parsed(tiny::metadata("llama"), true);
  std::vector<TensorInfo> tensors_ = tiny::tensors_of(hyper_);
  TensorInfo& tensor(const std::string& name) {
    return *std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorInfo& t) { return t.name == name; });
  }
  void expect_refused(ErrorCode code, const char* says) {
    const Status status = check_tensors(hyper_, tensors_);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, code);
    EXPECT_THAT(status.error().message, HasSubstr(says));
  }
};

TEST_F(CheckTensors, TakesACompleteModelInAnyOrder) {
  EXPECT_TRUE(check_tensors(hyper_, tensors_));
  std::reverse(tensors_.begin(), tensors_.end());
  EXPECT_TRUE(check_tensors(hyper_, tensors_));
}
TEST_F(CheckTensors, TakesOptionalBiases) {
  tensors_.push_back(TensorInfo{"blk.1.attn_k.bias", GgmlType::kF32, 1, {16, 1, 1, 1}, 0, 0, 0});
  EXPECT_TRUE(check_tensors(hyper_, tensors_));
}
TEST_F(CheckTensors, NamesAMissingTensor) {
  tensors_.erase(tensors_.begin() + (&tensor("blk.2.ffn_up.weight") - tensors_.data()));
  expect_refused(ErrorCode::kNotFound, "tensor 'blk.2.ffn_up.weight' is missing; llama needs it with shape [32, 48]");
}
TEST_F(CheckTensors, NamesASurplusTensor) {
  tensors_.push_back(TensorInfo{"blk.3.attn_q.weight", GgmlType::kF32, 2, {32, 32, 1, 1}, 0, 0, 0});
  expect_refused(ErrorCode::kMismatch, "tensor 'blk.3.attn_q.weight' is not part of a llama model of 3 blocks");
}
TEST_F(CheckTensors, NamesAWrongShape) {
  tensor("blk.0.attn_k.weight").dims[1] = 32;
  expect_refused(ErrorCode::kMismatch, "tensor 'blk.0.attn_k.weight' has shape [32, 32]; shape [32, 16]");
}
TEST_F(CheckTensors, NamesAnExtraDimension) {
  tensor("output.weight").dims[2] = 2;
  expect_refused(ErrorCode::kMismatch, "output.weight");
}

TEST(CheckContext, RefusesWhatTheModelCannotSee) {
  Hyper hyper = parsed(tiny::metadata("qwen2"));
  EXPECT_TRUE(check_context(hyper, 1024));
  const Status beyond = check_context(hyper, 1025);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, HasSubstr("a context of 1,025 tokens is beyond the model's 1,024"));
  hyper.sliding_window = 100;
  const Status window = check_context(hyper, 101);
  ASSERT_FALSE(window);
  EXPECT_EQ(window.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(window.error().message, HasSubstr("sliding window of 100 tokens"));
  EXPECT_TRUE(check_context(hyper, 100));
  hyper.window_in_some_blocks = false;  // honoured in attention
  EXPECT_TRUE(check_context(hyper, 101));
}

Hyper with_rope(int dims, double base) {
  Hyper hyper;
  hyper.rope_dims = dims;
  hyper.rope_base = base;
  return hyper;
}

TEST(RopeAngles, ArePowersOfTheBase) {
  const RopeAngles angles = rope_angles(with_rope(4, 10000), {});
  EXPECT_THAT(angles.frequency, ElementsAre(testing::DoubleEq(1), testing::DoubleEq(0.01)));
  EXPECT_EQ(angles.magnitude, 1);
}

TEST(RopeAngles, FactorsAndLinearScalingDivide) {
  Hyper hyper = with_rope(4, 10000);
  hyper.scaling.kind = RopeScaling::Kind::kLinear;
  hyper.scaling.factor = 4;
  const float factors[] = {1, 8};
  EXPECT_THAT(rope_angles(hyper, factors).frequency, ElementsAre(testing::DoubleEq(0.25), testing::DoubleEq(0.01 / 32)));
}

// base 10000, 64 dims, original context 1024: a pair i turns 1024 / (2 pi 10000^(i/32)) times; beta_fast 32 gives i = 5.65 (floor 5),
// beta_slow 1 gives i = 17.69 (ceil 18). Below 5 the frequency is kept, from 18 on divided by the factor, in between mixed linearly.
TEST(RopeAngles, YarnKeepsFastPairsAndDividesSlowOnes) {
  Hyper hyper = with_rope(64, 10000);
  const std::vector<double> plain = rope_angles(hyper, {}).frequency;
  hyper.scaling.kind = RopeScaling::Kind::kYarn;
  hyper.scaling.factor = 4;
  hyper.scaling.original_context = 1024;
  hyper.scaling.magnitude = 1.25;
  const RopeAngles yarn = rope_angles(hyper, {});
  EXPECT_EQ(yarn.magnitude, 1.25);
  for (const size_t i : {0u, 5u}) EXPECT_DOUBLE_EQ(yarn.frequency[i], plain[i]);
  for (const size_t i : {18u, 31u}) EXPECT_DOUBLE_EQ(yarn.frequency[i], plain[i] / 4);
  const double mix = 4.0 / 13;  // (9 - 5) / (18 - 5)
  EXPECT_DOUBLE_EQ(yarn.frequency[9], plain[9] * (1 - mix) + plain[9] / 4 * mix);
}

}  // namespace
}  // namespace assay
