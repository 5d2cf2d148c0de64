// Decision groups: which tensors of a model take one type together, from names and shapes alone: attention, gated delta net, state space,
// dense feed-forward, shared and routed experts, routers, norms of each block, what drafts tokens, and each tensor outside the blocks.
// Two rules: by exact role, and RAMP's own (methods.md 5.2), which counts every name that starts with attn_ as attention, attn_norm too,
// so that blocks without attention have an attention group. Torch-free, reads no weights.
// Non-goals: which types a group may take, what a type costs (proxy_loss.h), groups that must share a type for other reasons.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

enum class GroupKind : uint8_t {
  kAttention,
  kGdn,      // attn_qkv and attn_gate of a block with state-space tensors
  kSsm,      // state space, its norm too
  kFfn,      // dense feed-forward
  kShared,   // shared experts
  kExperts,  // routed experts
  kGates,    // routers, of shared experts too, and their biases
  kNorms,
  kDraft,   // nextn.*: predicts several tokens, no part of the model's own output
  kOther,   // in a block, and none of these
  kGlobal,  // outside the blocks
};
std::string_view name_of(GroupKind kind);  // "attn", "gdn", "ssm", "ffn", "shared", "experts", "gates", "norms", "draft", "other", "global"

enum class GroupRule : uint8_t { kExact, kRamp };

struct DecisionGroup {
  std::string name;  // "layer.3.attn", "global.output"
  GroupKind kind = GroupKind::kOther;
  int layer = -1;               // -1: outside the blocks
  std::string role;             // of its first tensor: the name without "blk.N." and ".weight"
  std::vector<size_t> tensors;  // places among the model's tensors, ascending
  uint64_t elements = 0;
};

struct ModelStructure {
  std::vector<TensorInfo> tensors;    // as given
  std::vector<DecisionGroup> groups;  // in the order of their first tensor; every tensor is in exactly one
  std::vector<size_t> group_of;       // of each tensor
  int layers = 0;                     // the last block's number + 1

  const DecisionGroup* find(std::string_view group) const;
};

// Errors: kBadInput (no tensors, a name twice, a size that overflows).
Result<ModelStructure> model_structure(std::vector<TensorInfo> tensors, GroupRule rule = GroupRule::kExact);

}  // namespace assay
