// What a model is made of, as data: hyperparameters from GGUF metadata, the tensors it must have, and how a Hugging Face checkpoint of
// the same family maps onto them. One file per family (arch_*.cpp) and one registry line. Torch-free.
// Non-goals: running the model (network.h), reading bytes (checkpoint.h).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/metadata.h"

namespace assay {

enum class NormKind { kRms, kLayer };
enum class MlpKind { kSwiGlu, kGelu };                    // gate, up, down; or up, gelu(tanh), down
enum class RopeKind { kNone, kInterleaved, kHalfSplit };  // pairs (2i, 2i+1), GGUF "normal"; or (i, i + dims/2), "neox"

struct RopeScaling {
  enum class Kind { kNone, kLinear, kYarn } kind = Kind::kNone;
  double factor = 1;                     // the context grew by this
  double magnitude = 1;                  // multiplies cos and sin; yarn: 1 + 0.1 ln(factor) unless the file says otherwise
  uint64_t original_context = 0;         // yarn: tokens before it grew
  double beta_fast = 32, beta_slow = 1;  // yarn: turns over the original context between which frequencies go from kept to divided
};

struct Hyper {
  std::string architecture;
  int vocab = 0, d_model = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, d_ff = 0;
  int context = 0;  // tokens the model was trained for
  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-5;
  MlpKind mlp = MlpKind::kSwiGlu;
  RopeKind rope = RopeKind::kNone;
  int rope_dims = 0;  // leading elements of a head that turn
  double rope_base = 10000;
  RopeScaling scaling;
  bool qk_norm = false;  // RMS norm of each head of q and k
  bool fused_qkv = false;
  bool learned_positions = false;
  bool attention_bias = false;         // q, k, v: required; files of other families may have them
  bool output_bias = false;            // attention output and MLP: likewise
  bool tied = false;                   // head = token embedding
  int sliding_window = 0;              // a query sees this many positions, its own included; 0: all before it
  bool window_in_some_blocks = false;  // the window holds in some blocks only: longer contexts are refused
};

struct TensorSpec {
  std::string name;
  std::vector<uint64_t> dims;  // GGUF order: innermost first
  bool required = true;
};

// kPermuteHeads: rows of each head from half-split to interleaved rotary order (methods.md 4.2.1).
enum class HfTransform { kCopy, kPermuteHeads, kTranspose };
struct HfTensorRule {
  std::string gguf;  // target name; "{}" stands for the block number
  std::string hf;    // source name; "{}" likewise
  HfTransform transform = HfTransform::kCopy;
};

struct Architecture {
  std::string_view name;                   // general.architecture
  std::vector<std::string_view> hf_names;  // config.json: classes of "architectures", values of "model_type"
  Result<Hyper> (*parse)(const Metadata& metadata);
  Result<Metadata> (*hf_metadata)(const nlohmann::json& config);  // the keys llama.cpp's converter writes, tokenizer excluded
  std::vector<HfTensorRule> hf_tensors;
};

std::span<const Architecture> all_architectures();
// kUnsupported lists the known ones. `hf_name`: a class of config.json's "architectures", or its "model_type".
Result<const Architecture*> find_architecture(std::string_view name);
Result<const Architecture*> find_hf_architecture(std::string_view hf_name);

// Reads hyperparameters, checked: positive, bounded, divisible. `has_output`: an output.weight tensor is present.
Result<Hyper> parse_hyper(const Metadata& metadata, bool has_output);
// Every tensor a model of these hyperparameters has (optional ones marked), in file order.
std::vector<TensorSpec> expected_tensors(const Hyper& hyper);
// Every required tensor is there, each with its shape, and none that the architecture does not know. Names the first that is wrong.
Status check_tensors(const Hyper& hyper, std::span<const TensorInfo> tensors);
// Whether the model can run this many tokens at once: its context, and a sliding window that we cannot honour.
Status check_context(const Hyper& hyper, uint64_t tokens);

}  // namespace assay
