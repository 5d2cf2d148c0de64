// What a tensor is for, read off its GGUF name: role and layer. Names follow llama.cpp ("blk.3.ffn_down.weight").
// Non-goals: checking that a tensor belongs to an architecture (model/architecture.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

enum class Role {
  kTokenEmbd,
  kPositionEmbd,
  kOutput,
  kOutputNorm,
  kRopeFreqs,
  kAttnNorm,
  kAttnQ,
  kAttnK,
  kAttnV,
  kAttnQkv,
  kAttnOutput,
  kAttnQNorm,
  kAttnKNorm,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnDown,
  kFfnGateExps,
  kFfnUpExps,
  kFfnDownExps,
  kFfnGateInp,
  kOther,
};

struct TensorRole {
  Role role = Role::kOther;
  int layer = -1;        // -1: not in a block
  bool is_bias = false;  // "...bias"
};

TensorRole role_of(std::string_view tensor_name);
std::string_view name_of(Role role);  // "attn_q", "ffn_down", "token_embd", ...
bool is_attention(Role role);         // q, k, v, qkv, output projections
bool is_ffn(Role role);

// Which tensors are looked at together: each alone, a layer's attention and its feed-forward, a whole layer.
enum class Grouping { kTensor, kGroup, kLayer };
// "blk.3.ffn_up.weight", "blk.3.ffn", "blk.3"; tensors outside the blocks stay alone.
std::string group_of(std::string_view tensor, Grouping by);

}  // namespace assay
