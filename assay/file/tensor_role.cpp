#include "assay/file/tensor_role.h"

#include <array>
#include <charconv>
#include <utility>

namespace assay {
namespace {

constexpr std::array<std::pair<Role, std::string_view>, 21> kNames = {{
    {Role::kTokenEmbd, "token_embd"},
    {Role::kPositionEmbd, "position_embd"},
    {Role::kOutput, "output"},
    {Role::kOutputNorm, "output_norm"},
    {Role::kRopeFreqs, "rope_freqs"},
    {Role::kAttnNorm, "attn_norm"},
    {Role::kAttnQ, "attn_q"},
    {Role::kAttnK, "attn_k"},
    {Role::kAttnV, "attn_v"},
    {Role::kAttnQkv, "attn_qkv"},
    {Role::kAttnOutput, "attn_output"},
    {Role::kAttnQNorm, "attn_q_norm"},
    {Role::kAttnKNorm, "attn_k_norm"},
    {Role::kFfnNorm, "ffn_norm"},
    {Role::kFfnGate, "ffn_gate"},
    {Role::kFfnUp, "ffn_up"},
    {Role::kFfnDown, "ffn_down"},
    {Role::kFfnGateExps, "ffn_gate_exps"},
    {Role::kFfnUpExps, "ffn_up_exps"},
    {Role::kFfnDownExps, "ffn_down_exps"},
    {Role::kFfnGateInp, "ffn_gate_inp"},
}};

bool remove_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

}  // namespace

TensorRole role_of(std::string_view tensor_name) {
  TensorRole result;
  std::string_view stem = tensor_name;
  result.is_bias = remove_suffix(stem, ".bias");
  if (!result.is_bias) remove_suffix(stem, ".weight");
  if (stem.starts_with("blk.")) {
    const char* begin = stem.data() + 4;
    const char* end = stem.data() + stem.size();
    int layer = -1;
    const auto [rest, error] = std::from_chars(begin, end, layer);
    if (error != std::errc{} || layer < 0 || rest == end || *rest != '.') return result;
    result.layer = layer;
    stem = std::string_view(rest + 1, static_cast<size_t>(end - rest - 1));
  }
  for (const auto& [role, name] : kNames)
    if (name == stem) result.role = role;
  return result;
}

std::string_view name_of(Role role) {
  for (const auto& [known, name] : kNames)
    if (known == role) return name;
  return "other";
}

bool is_attention(Role role) {
  return role == Role::kAttnQ || role == Role::kAttnK || role == Role::kAttnV || role == Role::kAttnQkv || role == Role::kAttnOutput;
}

bool is_ffn(Role role) {
  return role == Role::kFfnGate || role == Role::kFfnUp || role == Role::kFfnDown || role == Role::kFfnGateExps ||
         role == Role::kFfnUpExps || role == Role::kFfnDownExps;
}

std::string group_of(std::string_view tensor, Grouping by) {
  const TensorRole role = role_of(tensor);
  if (by == Grouping::kTensor || role.layer < 0) return std::string(tensor);
  const std::string layer = "blk." + std::to_string(role.layer);
  if (by == Grouping::kLayer) return layer;
  return layer + (is_attention(role.role) ? ".attention" : ".ffn");
}

}  // namespace assay
