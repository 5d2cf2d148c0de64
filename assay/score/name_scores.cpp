#include "assay/score/name_scores.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "assay/base/sum.h"

namespace assay {
namespace {

// By GGUF name; RAMP's own names in its source differ (moe_gate is ffn_gate_inp).
constexpr std::pair<std::string_view, double> kRampRoles[] = {
    {"attn_q", 1.8},         {"attn_k", 1.5},
    {"attn_v", 1.2},         {"attn_output", 1.3},
    {"attn_qkv", 1.6},       {"attn_gate", 1.5},
    {"attn_q_norm", 2.5},    {"attn_k_norm", 2.5},
    {"attn_norm", 2.5},      {"post_attention_norm", 2.5},
    {"ffn_norm", 2.5},       {"ssm_a", 2.0},
    {"ssm_alpha", 1.8},      {"ssm_beta", 1.5},
    {"ssm_conv1d", 1.3},     {"ssm_dt", 1.8},
    {"ssm_norm", 2.5},       {"ssm_out", 1.4},
    {"ffn_gate_shexp", 1.4}, {"ffn_up_shexp", 1.1},
    {"ffn_down_shexp", 1.3}, {"ffn_gate_exps", 0.7},
    {"ffn_up_exps", 0.6},    {"ffn_down_exps", 0.8},
    {"ffn_gate_inp", 2.0},   {"ffn_gate_inp_shexp", 1.5},
    {"output_norm", 3.0},    {"output", 2.0},
    {"token_embd", 1.8},
};

// Names may come from anywhere: a block number beyond this is no block number.
constexpr int kMostLayers = 1 << 20;

// Bits per weight of Q4_K, Q5_K and Q6_K.
constexpr double kQ4K = 4.5, kQ5K = 5.5, kQ6K = 6.5625;

bool is_down(std::string_view role) { return role == "ffn_down" || role == "ffn_down_exps" || role == "ffn_down_shexp"; }

bool holds_more_bits(const std::vector<int>& layers, int layer) {
  const auto found = std::lower_bound(layers.begin(), layers.end(), layer);
  if (found == layers.end() || *found != layer) return false;
  const auto i = std::distance(layers.begin(), found), n = static_cast<std::ptrdiff_t>(layers.size());
  return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

double size_of(const NamedTensor& tensor, const NamedModel&) { return static_cast<double>(tensor.elements); }

double earliness(const NamedTensor& tensor, const NamedModel& model) { return tensor.layer < 0 ? 1 : 1 - model.depth(tensor.layer); }

double nearness_to_ends(const NamedTensor& tensor, const NamedModel& model) {
  return tensor.layer < 0 ? 1 : std::abs(2 * model.depth(tensor.layer) - 1);
}

double outer_quarters(const NamedTensor& tensor, const NamedModel& model) {
  return tensor.layer < 0 || 4 * tensor.layer < model.layers() || 4 * (model.layers() - 1 - tensor.layer) < model.layers() ? 1 : 0;
}

double ramp_role(const NamedTensor& tensor, const NamedModel&) { return ramp_role_weight(tensor.role); }

double ramp(const NamedTensor& tensor, const NamedModel& model) { return ramp_role_weight(tensor.role) * ramp_depth_weight(tensor, model); }

double preset_bits(const NamedTensor& tensor, const NamedModel& model) {
  if (tensor.role == "output" || (tensor.role == "token_embd" && !model.has_output()) || model.more_bits(tensor)) return kQ6K;
  return tensor.role == "attn_qkv" ? kQ5K : kQ4K;
}

constexpr NameScore kNameScores[] = {
    {"size", "number of weights", "control", Pooling::kSum, size_of},
    {"early", "layers in ascending order, the first ones matter", "common rule of thumb", Pooling::kMean, earliness},
    {"ends", "distance from the middle layer", "common rule of thumb", Pooling::kMean, nearness_to_ends},
    {"quarters", "first and last quarter of the layers", "common rule of thumb", Pooling::kMean, outer_quarters},
    {"ramp-role", "RAMP's weight of the role", "RAMP, methods.md 5.1", Pooling::kMean, ramp_role},
    {"ramp", "RAMP's weight of the role times that of depth", "RAMP, methods.md 5.1", Pooling::kMean, ramp},
    {"more-bits", "bits that Q4_K_M gives", "llama.cpp, methods.md 4.2.6", Pooling::kMean, preset_bits},
};

}  // namespace

NamedTensor named_tensor(std::string_view name, uint64_t elements) {
  if (name.starts_with("blk.") && name.find('.', 4) == std::string_view::npos) {  // "blk.3", a layer as a whole
    NamedTensor layer = named_tensor(std::string(name) + ".layer", elements);
    layer.name = name;
    return layer;
  }
  NamedTensor tensor{std::string(name), {}, role_of(name).layer, elements};
  std::string_view role = name;
  for (const std::string_view suffix : {".weight", ".bias"})
    if (role.ends_with(suffix)) {
      role.remove_suffix(suffix.size());
      break;
    }
  if (tensor.layer > kMostLayers) tensor.layer = -1;
  if (tensor.layer >= 0) role.remove_prefix(role.find('.', 4) + 1);
  tensor.role = role;
  return tensor;
}

NamedModel::NamedModel(std::span<const NamedTensor> tensors) {
  for (const NamedTensor& tensor : tensors) {
    layers_ = std::max(layers_, tensor.layer + 1);
    has_output_ |= tensor.role == "output";
    if (tensor.layer < 0) continue;
    if (tensor.role == "attn_v") value_layers_.push_back(tensor.layer);
    if (is_down(tensor.role)) down_layers_.push_back(tensor.layer);
  }
  for (std::vector<int>* layers : {&value_layers_, &down_layers_}) {
    std::sort(layers->begin(), layers->end());
    layers->erase(std::unique(layers->begin(), layers->end()), layers->end());
  }
}

double NamedModel::depth(int layer) const { return static_cast<double>(layer) / std::max(layers_ - 1, 1); }

bool NamedModel::more_bits(const NamedTensor& tensor) const {
  if (tensor.role == "attn_v") return holds_more_bits(value_layers_, tensor.layer);
  return is_down(tensor.role) && holds_more_bits(down_layers_, tensor.layer);
}

double ramp_role_weight(std::string_view role) {
  for (const auto& [known, weight] : kRampRoles)
    if (known == role) return weight;
  return 1;
}

double ramp_depth_weight(const NamedTensor& tensor, const NamedModel& model) {
  if (tensor.layer < 0) return 1.5;
  const double from_middle = model.depth(tensor.layer) - 0.5;
  return 1 + 2 * from_middle * from_middle;
}

std::span<const NameScore> name_scores() { return kNameScores; }

double pooled_value(const NameScore& score, std::span<const NamedTensor> tensors, const NamedModel& model) {
  CompensatedSum sum, weight;
  for (const NamedTensor& tensor : tensors) {
    const double share = score.pooling == Pooling::kSum ? 1 : static_cast<double>(tensor.elements);
    sum.add(share * score.value(tensor, model));
    weight.add(share);
  }
  return score.pooling == Pooling::kSum || weight.value() == 0 ? sum.value() : sum.value() / weight.value();
}

}  // namespace assay
