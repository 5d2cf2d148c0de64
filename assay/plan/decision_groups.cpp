#include "assay/plan/decision_groups.h"

#include <algorithm>
#include <map>
#include <set>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/score/name_scores.h"

namespace assay {
namespace {

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Older files keep each expert by itself: "ffn_up.7".
bool is_single_expert(std::string_view role) {
  const size_t dot = role.find('.');
  return role.starts_with("ffn_") && dot != std::string_view::npos && dot + 1 < role.size() &&
         role.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
}

// The kinds that both rules see alike; kOther: they differ, or nobody knows.
GroupKind clear_kind(std::string_view role, bool state_space) {
  if (role.starts_with("nextn.")) return GroupKind::kDraft;
  if (role.starts_with("ssm_")) return GroupKind::kSsm;
  if (state_space && (role == "attn_qkv" || role == "attn_gate")) return GroupKind::kGdn;
  if (role.starts_with("ffn_gate_inp") || role.starts_with("exp_probs_b")) return GroupKind::kGates;
  if (role.ends_with("_shexp")) return GroupKind::kShared;
  if (role.ends_with("_exps") || is_single_expert(role)) return GroupKind::kExperts;
  return GroupKind::kOther;
}

GroupKind kind_of(std::string_view role, bool state_space, GroupRule rule) {
  if (const GroupKind clear = clear_kind(role, state_space); clear != GroupKind::kOther) return clear;
  if (rule == GroupRule::kRamp && role.starts_with("attn_")) return GroupKind::kAttention;
  if (holds(role, "norm")) return GroupKind::kNorms;
  if (role.starts_with("attn_")) return GroupKind::kAttention;
  return role.starts_with("ffn_") ? GroupKind::kFfn : GroupKind::kOther;
}

}  // namespace

std::string_view name_of(GroupKind kind) {
  constexpr std::string_view kNames[] = {"attn", "gdn", "ssm", "ffn", "shared", "experts", "gates", "norms", "draft", "other", "global"};
  return kNames[static_cast<size_t>(kind)];
}

const DecisionGroup* ModelStructure::find(std::string_view group) const {
  const auto found = std::find_if(groups.begin(), groups.end(), [&](const DecisionGroup& one) { return one.name == group; });
  return found == groups.end() ? nullptr : &*found;
}

Result<ModelStructure> model_structure(std::vector<TensorInfo> tensors, GroupRule rule) {
  if (tensors.empty()) return fail(ErrorCode::kBadInput, "model: has no tensors");
  ModelStructure structure;
  std::vector<NamedTensor> named;
  std::set<std::string_view> names;
  std::set<int> state_space;
  CheckedSize all;
  for (const TensorInfo& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      return fail(ErrorCode::kBadInput, {"model", "has tensor '" + printable(tensor.name) + "' twice", "each once", ""});
    CheckedSize elements = 1;
    for (uint32_t d = 0; d < tensor.n_dims; ++d) elements = elements * tensor.dims[d];
    all = all + elements;
    if (!all.valid()) return fail(ErrorCode::kBadInput, "tensor '" + printable(tensor.name) + "': size overflows");
    named.push_back(named_tensor(tensor.name, *elements.value()));
    if (named.back().layer >= 0 && named.back().role.starts_with("ssm_")) state_space.insert(named.back().layer);
    structure.layers = std::max(structure.layers, named.back().layer + 1);
  }
  std::map<std::string, size_t> places;
  for (size_t t = 0; t < named.size(); ++t) {
    const NamedTensor& tensor = named[t];
    const GroupKind kind = tensor.layer < 0 ? GroupKind::kGlobal : kind_of(tensor.role, state_space.contains(tensor.layer), rule);
    const std::string name =
        kind == GroupKind::kGlobal ? "global." + tensor.role : "layer." + std::to_string(tensor.layer) + "." + std::string(name_of(kind));
    const auto [place, is_new] = places.emplace(name, structure.groups.size());
    if (is_new) structure.groups.push_back({name, kind, tensor.layer, tensor.role, {}, 0});
    DecisionGroup& group = structure.groups[place->second];
    group.tensors.push_back(t);
    group.elements += tensor.elements;
    structure.group_of.push_back(place->second);
  }
  structure.tensors = std::move(tensors);
  return structure;
}

}  // namespace assay
