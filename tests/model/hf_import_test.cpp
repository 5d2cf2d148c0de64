#include "assay/model/hf_import.h"

#include <cmath>

#include "tests/model/tiny_models.h"

namespace assay {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing_files::ScratchDirectory;
using tiny::HfTensors;
using tiny::json;

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
  const TensorInfo* info = checkpoint.find(name);
  if (info == nullptr) return {};
  const auto values = checkpoint.read_float(*info);
  EXPECT_TRUE(values) << values.error().message;
  return values.value_or(std::vector<float>{});
}

std::shared_ptr<const Checkpoint> opened(const std::filesystem::path& directory) {
  const auto checkpoint = Checkpoint::open(directory.string());
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint.value_or(nullptr);
}

TEST(HfImport, TranslatesNamesShapesAndKeys) {
  const ScratchDirectory scratch;
  tiny::write_hf_model(scratch.path() / "tiny-llama", tiny::llama_config(), tiny::llama_tensors());
  const auto checkpoint = opened(scratch.path() / "tiny-llama");
  ASSERT_TRUE(checkpoint);
  const Metadata& m = checkpoint->metadata();
  EXPECT_EQ(**m.get_string("general.architecture"), "llama");
  EXPECT_EQ(**m.get_string("general.name"), "tiny-llama");
  EXPECT_EQ(**m.get_u64("llama.block_count"), 2u);
  EXPECT_EQ(**m.get_u64("llama.attention.head_count_kv"), 2u);
  EXPECT_EQ(**m.get_u64("llama.rope.dimension_count"), 8u);
  EXPECT_FLOAT_EQ(static_cast<float>(**m.get_f64("llama.attention.layer_norm_rms_epsilon")), 1e-5f);
  EXPECT_FALSE(m.contains("llama.rope.scaling.type"));
  EXPECT_EQ((*m.get_strings("tokenizer.ggml.tokens"))->size(), 24u);
  EXPECT_EQ(checkpoint->tensors().size(), 3u + 2 * 9);
  EXPECT_EQ(checkpoint->tensors().front().name, "token_embd.weight");
  const TensorInfo* down = checkpoint->find("blk.1.ffn_down.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->dims[0], 48u);
  EXPECT_EQ(down->dims[1], 32u);
  EXPECT_EQ(down->bytes, 48u * 32 * 4);
  EXPECT_FLOAT_EQ(values_of(*checkpoint, "blk.1.ffn_down.weight")[77], tiny::weight("model.layers.1.mlp.down_proj.weight", 77));
  EXPECT_THAT(checkpoint->paths(), Contains(EndsWith("config.json")));
  EXPECT_THAT(checkpoint->paths(), Contains(EndsWith("tokenizer.json")));
  EXPECT_THAT(checkpoint->paths(), Contains(EndsWith("model.safetensors")));
}

// methods.md 4.2.1: source row h hd + a hd/2 + b goes to row h hd + 2 b + a.
TEST(HfImport, PermutesRowsOfQueryAndKeyOnly) {
  const ScratchDirectory scratch;
  HfTensors tensors = tiny::llama_tensors();
  tensors["model.layers.0.self_attn.k_proj.bias"] = {16};
  tiny::write_hf_model(scratch.path(), tiny::llama_config(), tensors);
  const auto checkpoint = opened(scratch.path());
  ASSERT_TRUE(checkpoint);
  const auto q = values_of(*checkpoint, "blk.0.attn_q.weight"), v = values_of(*checkpoint, "blk.0.attn_v.weight"),
             bias = values_of(*checkpoint, "blk.0.attn_k.bias");
  for (uint64_t h = 0; h < 4; ++h)
    for (uint64_t a = 0; a < 2; ++a)
      for (uint64_t b = 0; b < 4; ++b) {
        const uint64_t source = h * 8 + a * 4 + b, target = h * 8 + 2 * b + a;
        EXPECT_EQ(q[target * 32 + 3], tiny::weight("model.layers.0.self_attn.q_proj.weight", source * 32 + 3));
        if (h < 2) {
          EXPECT_EQ(bias[target], tiny::weight("model.layers.0.self_attn.k_proj.bias", source));
        }
      }
  EXPECT_EQ(v[5 * 32], tiny::weight("model.layers.0.self_attn.v_proj.weight", 5 * 32));
  for (uint64_t row = 0; row < 16; ++row) EXPECT_EQ(permuted_row(permuted_row(permuted_row(row, 8), 8), 8), row);  // order 3 for heads of 8
}

TEST(HfImport, TransposesTheMatricesOfGpt2AndTiesItsHead) {
  const ScratchDirectory scratch;
  HfTensors tensors = tiny::gpt2_tensors();
  tensors["transformer.h.0.attn.bias"] = {1, 1, 64, 64};  // the causal mask that older versions saved
  tiny::write_hf_model(scratch.path(), tiny::gpt2_config(), tensors);
  const auto checkpoint = opened(scratch.path());
  ASSERT_TRUE(checkpoint);
  const TensorInfo* up = checkpoint->find("blk.0.ffn_up.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->dims[0], 32u);
  EXPECT_EQ(up->dims[1], 128u);
  const auto values = values_of(*checkpoint, "blk.0.ffn_up.weight");
  for (const auto& [out, in] : {std::pair<uint64_t, uint64_t>{0, 1}, {127, 31}, {40, 7}})
    EXPECT_EQ(values[out * 32 + in], tiny::weight("transformer.h.0.mlp.c_fc.weight", in * 128 + out));
  EXPECT_EQ(checkpoint->find("output.weight"), nullptr);
  EXPECT_EQ(**checkpoint->metadata().get_u64("gpt2.feed_forward_length"), 128u);
}

TEST(HfImport, ReadsCheckpointsSavedFromTheBareModel) {
  const ScratchDirectory scratch;
  HfTensors tensors;
  for (const auto& [name, shape] : tiny::gpt2_tensors()) tensors[name.substr(std::string("transformer.").size())] = shape;
  tiny::write_hf_model(scratch.path(), tiny::gpt2_config(), tensors);
  const auto checkpoint = opened(scratch.path());
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(values_of(*checkpoint, "token_embd.weight")[9], tiny::weight("wte.weight", 9));
}

TEST(HfImport, FallsBackToTheModelType) {
  const ScratchDirectory scratch;
  json config = tiny::llama_config();
  config.erase("architectures");
  tiny::write_hf_model(scratch.path(), config, tiny::llama_tensors());
  EXPECT_TRUE(opened(scratch.path()));
}

// Frequencies of wavelength 2 pi 10000^(i/4) = 6, 63, 628, 6283; context 100, factor 8, kept below 100 / 4 = 25 and divided above 100 / 1.
// The one between: smooth = (100 / 62.8 - 1) / 3 = 0.197183, divisor = 1 / ((1 - smooth) / 8 + smooth).
TEST(HfImport, MakesTheDivisorsOfLlama3) {
  const ScratchDirectory scratch;
  json config = tiny::llama_config();
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 100}};
  tiny::write_hf_model(scratch.path(), config, tiny::llama_tensors());
  const auto checkpoint = opened(scratch.path());
  ASSERT_TRUE(checkpoint);
  const auto factors = values_of(*checkpoint, "rope_freqs.weight");
  ASSERT_EQ(factors.size(), 4u);
  EXPECT_EQ(factors[0], 1);
  EXPECT_NEAR(factors[1], 1 / ((1 - 0.197183) / 8 + 0.197183), 1e-4);
  EXPECT_EQ(factors[2], 8);
  EXPECT_EQ(factors[3], 8);
  EXPECT_FALSE(checkpoint->metadata().contains("llama.rope.scaling.type"));
}

TEST(HfImport, YarnsAttentionFactorIsStatedOnTopOfItsOwn) {
  const ScratchDirectory scratch;
  json config = tiny::llama_config();
  config["rope_parameters"] = {
      {"rope_type", "yarn"}, {"rope_theta", 5e5}, {"factor", 4.0}, {"original_max_position_embeddings", 32}, {"attention_factor", 1.5}};
  tiny::write_hf_model(scratch.path(), config, tiny::llama_tensors());
  const auto checkpoint = opened(scratch.path());
  ASSERT_TRUE(checkpoint);
  const auto hyper = parse_hyper(checkpoint->metadata(), true);
  ASSERT_TRUE(hyper);
  EXPECT_EQ(hyper->scaling.kind, RopeScaling::Kind::kYarn);
  EXPECT_NEAR(hyper->scaling.magnitude, 1.5, 1e-6);
  EXPECT_EQ(hyper->scaling.original_context, 32u);
  EXPECT_EQ(hyper->rope_base, 5e5);
}

TEST(HfImport, SlidingWindows) {
  const auto window_of = [](json config) {
    const ScratchDirectory scratch;
    tiny::write_hf_model(scratch.path(), config, tiny::llama_tensors());
    const auto checkpoint = opened(scratch.path());
    return checkpoint ? parse_hyper(checkpoint->metadata(), true)->sliding_window : -1;
  };
  json mistral = tiny::llama_config();
  mistral["architectures"] = {"MistralForCausalLM"};
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(window_of(mistral), 0);
  mistral["sliding_window"] = 16;
  EXPECT_EQ(window_of(mistral), 16);

  const Architecture& qwen3 = **find_architecture("qwen3");
  const auto qwen_window = [&](const char* flag, json value, json layers) {
    json config = tiny::llama_config();
    config["sliding_window"] = 16;
    config[flag] = value;
    config["max_window_layers"] = layers;
    const auto metadata = qwen3.hf_metadata(json::parse(config.dump()));
    EXPECT_TRUE(metadata) << metadata.error().message;
    return metadata && metadata->contains("qwen3.attention.sliding_window");
  };
  EXPECT_FALSE(qwen_window("use_sliding_window", false, 0));
  EXPECT_FALSE(qwen_window("use_sliding_window", nullptr, 0));
  EXPECT_TRUE(qwen_window("use_sliding_window", true, 1));
  EXPECT_FALSE(qwen_window("use_sliding_window", true, 2));  // both blocks look at everything
}

// A field of config.json with another value (JSON text; empty: the field is removed), or a tensor with another shape (empty: removed).
struct Fault {
  const char* name;
  const char* field;
  const char* value;
  const char* tensor;
  std::vector<uint64_t> shape;
  ErrorCode code;
  const char* says;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class BrokenDirectory : public testing::TestWithParam<Fault> {};

TEST_P(BrokenDirectory, IsRefusedByName) {
  const Fault& fault = GetParam();
  const ScratchDirectory scratch;
  json config = tiny::llama_config();
  HfTensors tensors = tiny::llama_tensors();
  tiny::write_hf_model(scratch.path() / "control", config, tensors);
  ASSERT_TRUE(opened(scratch.path() / "control"));
  if (fault.field != nullptr) config.erase(fault.field);
  if (fault.field != nullptr && *fault.value != '\0') config[fault.field] = json::parse(fault.value);
  if (fault.tensor != nullptr) tensors.erase(fault.tensor);
  if (fault.tensor != nullptr && !fault.shape.empty()) tensors[fault.tensor] = fault.shape;
  tiny::write_hf_model(scratch.path() / "broken", config, tensors);
  const auto checkpoint = Checkpoint::open((scratch.path() / "broken").string());
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().code, fault.code) << checkpoint.error().message;
  EXPECT_THAT(checkpoint.error().message, HasSubstr(fault.says));
}

Fault in_config(const char* name, const char* field, const char* value, ErrorCode code, const char* says) {
  return {name, field, value, nullptr, {}, code, says};
}
Fault in_tensors(const char* name, const char* tensor, std::vector<uint64_t> shape, ErrorCode code, const char* says) {
  return {name, nullptr, "", tensor, std::move(shape), code, says};
}

constexpr ErrorCode kBad = ErrorCode::kBadInput, kNone = ErrorCode::kUnsupported, kAbsent = ErrorCode::kNotFound,
                    kOther = ErrorCode::kMismatch;
const Fault kFaults[] = {
    in_config("UnknownClass", "architectures", R"(["MambaForCausalLM"])", kNone, "MambaForCausalLM"),
    in_config("ClassIsAText", "architectures", R"("LlamaForCausalLM")", kBad, "'architectures' is \"LlamaForCausalLM\""),
    in_config("OtherActivation", "hidden_act", R"("relu")", kNone, "'hidden_act' is \"relu\"; \"silu\" is supported"),
    in_config("MissingField", "hidden_size", "", kAbsent, "'hidden_size' is missing"),
    in_config("NegativeField", "num_key_value_heads", "-2", kBad, "'num_key_value_heads' is -2"),
    in_config("FractionalField", "num_hidden_layers", "1.5", kBad, "'num_hidden_layers' is 1.5"),
    in_config("HugeField", "head_dim", "8589934592", kBad, "'head_dim' is 8589934592"),
    in_config("ZeroHeads", "num_attention_heads", "0", kBad, "'num_attention_heads' is 0"),
    in_config("TextForNumber", "vocab_size", R"("24")", kBad, "'vocab_size' is \"24\""),
    in_config("TextForFlag", "tie_word_embeddings", R"("no")", kBad, "'tie_word_embeddings' is \"no\""),
    in_config("NegativeEpsilon", "rms_norm_eps", "-1e-5", kBad, "'rms_norm_eps'"),
    in_config("ListForScaling", "rope_scaling", "[1]", kBad, "'rope_scaling' is not an object"),
    in_config("UnknownScaling", "rope_scaling", R"({"type": "dynamic", "factor": 2})", kNone, "'dynamic'"),
    in_config("ScalingFactorIsText", "rope_scaling", R"({"rope_type": "linear", "factor": "2"})", kBad, "'rope_scaling.factor'"),
    in_config("PartialRotary", "partial_rotary_factor", "0.5", kNone, "partial_rotary_factor"),
    in_config("KeyHeadsDoNotDivide", "num_key_value_heads", "3", kBad, "head_count_kv' is 3"),
    in_config("TokenizerLargerThanModel", "vocab_size", "20", kOther, "has a tokenizer of 24 tokens; config.json says vocab_size 20"),
    in_tensors("TensorMissing", "model.layers.1.mlp.up_proj.weight", {}, kAbsent,
               "'model.layers.1.mlp.up_proj.weight' is missing; llama needs it ('blk.1.ffn_up.weight')"),
    in_tensors("HeadMissing", "lm_head.weight", {}, kAbsent, "'lm_head.weight' is missing"),
    in_tensors("TensorSurplus", "model.layers.2.mlp.up_proj.weight", {48, 32}, kOther,
               "'model.layers.2.mlp.up_proj.weight' belongs to no llama model of 2 blocks"),
    in_tensors("WrongShape", "model.layers.0.self_attn.v_proj.weight", {32, 32}, kOther,
               "'model.layers.0.self_attn.v_proj.weight' has shape [32, 32]; config.json asks for [16, 32]"),
    in_tensors("WrongRank", "model.norm.weight", {32, 1}, kOther, "'model.norm.weight' has shape [32, 1]"),
};
INSTANTIATE_TEST_SUITE_P(Faults, BrokenDirectory, testing::ValuesIn(kFaults), [](const auto& tested) { return tested.param.name; });

TEST(HfImport, AConfigThatNamesNoClassIsRefused) {
  const ScratchDirectory scratch;
  json config = tiny::llama_config();
  config.erase("architectures");
  config.erase("model_type");
  tiny::write_hf_model(scratch.path(), config, tiny::llama_tensors());
  const auto checkpoint = Checkpoint::open(scratch.path().string());
  ASSERT_FALSE(checkpoint);
  EXPECT_THAT(checkpoint.error().message, HasSubstr("has neither 'architectures' nor 'model_type'"));
}

TEST(HfImport, Gpt2VariantsThatWeDoNotComputeAreRefused) {
  const Architecture& gpt2 = **find_architecture("gpt2");
  ASSERT_TRUE(gpt2.hf_metadata(json::parse(tiny::gpt2_config().dump())));
  for (const auto& [field, value] : {std::pair<const char*, json>{"activation_function", "relu"},
                                     {"scale_attn_by_inverse_layer_idx", true},
                                     {"scale_attn_weights", false}}) {
    json config = tiny::gpt2_config();
    config[field] = value;
    const auto metadata = gpt2.hf_metadata(json::parse(config.dump()));
    ASSERT_FALSE(metadata) << field;
    EXPECT_EQ(metadata.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(metadata.error().message, HasSubstr(field));
  }
}

TEST(Checkpoint, BrokenWeightsAreNamed) {
  const ScratchDirectory scratch;
  const auto hyper = parse_hyper(tiny::metadata("llama"), true);
  const auto write = [&](const std::string& file, float value) {
    tiny::write_gguf_model(scratch / file, tiny::metadata("llama"), tiny::tensors_of(*hyper),
                           [value](const TensorInfo& tensor, std::span<float> values) {
                             if (tensor.name == "blk.1.ffn_down.weight") values[1000] = value;
                           });
    const auto checkpoint = Checkpoint::open(scratch / file);
    return (*checkpoint)->read_float(*(*checkpoint)->find("blk.1.ffn_down.weight"));
  };
  EXPECT_TRUE(write("good.gguf", 3));
  const auto nan = write("nan.gguf", NAN), infinite = write("inf.gguf", -INFINITY);
  ASSERT_FALSE(nan || infinite);
  EXPECT_EQ(nan.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(nan.error().message, HasSubstr("tensor 'blk.1.ffn_down.weight' holds NaN at weight 1,000"));
  EXPECT_THAT(infinite.error().message, HasSubstr("holds an infinite value at weight 1,000"));
}

}  // namespace
}  // namespace assay
