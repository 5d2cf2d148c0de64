// Scores that look at nothing but a tensor's name and size: place in depth, role, and published rules made of both. They cost nothing, so
// they are what every other score has to beat; and they can be judged on other people's measurements of models that are not at hand.
// Values are oriented: larger predicts more damage. Torch-free.
// Non-goals: judging them (tournament.h); the size of a model to be planned for (plan/).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/score/score.h"

namespace assay {

// A tensor as its name says. The role is text, "ffn_down_shexp", because published measurements are of models with roles (state space,
// experts, gates of attention) that file/tensor_role.h does not tell apart.
struct NamedTensor {
  std::string name;
  std::string role;  // the name without "blk.N." and ".weight" or ".bias"
  int layer = -1;    // -1: not in a block
  uint64_t elements = 0;
};
// Names of groups, too: "blk.3.ffn" is role "ffn", "blk.3" is role "layer" of layer 3 (group_of in file/tensor_role.h).
NamedTensor named_tensor(std::string_view name, uint64_t elements);

// What the scores must know of the other tensors.
class NamedModel {
 public:
  explicit NamedModel(std::span<const NamedTensor> tensors);

  int layers() const { return layers_; }  // the last block's number + 1
  bool has_output() const { return has_output_; }
  // In [0, 1]: layer / (layers - 1); one layer: 0. Of layer >= 0.
  double depth(int layer) const;
  // llama.cpp's use_more_bits (methods.md 4.2.6) for attn_v or a feed-forward's down matrix: i < n/8, i >= 7n/8 or (i - n/8) % 3 == 2, in
  // whole numbers, i counting the layers that have such a tensor. False for other roles.
  bool more_bits(const NamedTensor& tensor) const;

 private:
  std::vector<int> value_layers_, down_layers_;  // ascending
  int layers_ = 0;
  bool has_output_ = false;
};

// RAMP's weights (methods.md 5.1): of a role, 1 where its table has none, dense feed-forward among them; and of depth,
// 1 + 2 (depth - 1/2)^2, 1.5 outside the blocks. attn_qkv and attn_gate are its gdn_qkv and gdn_gate.
double ramp_role_weight(std::string_view role);
double ramp_depth_weight(const NamedTensor& tensor, const NamedModel& model);

struct NameScore {
  std::string_view name;
  std::string_view what;  // one line for people
  std::string_view source;
  Pooling pooling;  // of tensors measured together; means are by number of weights
  double (*value)(const NamedTensor& tensor, const NamedModel& model);
};

// size       number of weights
// early      1 - depth; 1 outside the blocks
// ends       |2 depth - 1|: first and last layers; 1 outside the blocks
// quarters   1 in the first or last quarter of the layers and outside the blocks, else 0
// ramp-role  RAMP's role weight
// ramp       RAMP's role x depth weight
// more-bits  bits per weight that Q4_K_M gives: Q6_K for the output matrix (tied: the embedding) and by more_bits(), Q5_K for fused qkv
std::span<const NameScore> name_scores();

// The value of tensors that are taken together.
double pooled_value(const NameScore& score, std::span<const NamedTensor> tensors, const NamedModel& model);

}  // namespace assay
