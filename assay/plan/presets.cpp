#include "assay/plan/presets.h"

#include <algorithm>
#include <map>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using T = GgmlType;

constexpr Preset kPresets[] = {
    {"Q2_K_S", 21, T::kQ2_K},   {"Q2_K", 10, T::kQ2_K},     {"Q3_K_S", 11, T::kQ3_K}, {"Q3_K_M", 12, T::kQ3_K}, {"Q3_K_L", 13, T::kQ3_K},
    {"IQ4_XS", 30, T::kIQ4_XS}, {"IQ4_NL", 25, T::kIQ4_NL}, {"Q4_0", 2, T::kQ4_0},    {"Q4_K_S", 14, T::kQ4_K}, {"Q4_K_M", 15, T::kQ4_K},
    {"Q4_1", 3, T::kQ4_1},      {"Q5_0", 8, T::kQ5_0},      {"Q5_K_S", 16, T::kQ5_K}, {"Q5_K_M", 17, T::kQ5_K}, {"Q5_1", 9, T::kQ5_1},
    {"Q6_K", 18, T::kQ6_K},     {"Q8_0", 7, T::kQ8_0},      {"F16", 1, T::kF16},      {"BF16", 32, T::kBF16},   {"F32", 0, T::kF32},
};

// "More bits" layers: the first eighth, the last eighth, every third between.
bool more_bits(int i, int n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

struct Place {
  int index = 0;  // among the tensors of its role, by layer
  int count = 0;
};

T value_type(std::string_view preset, T base, Place p, const PresetContext& context) {
  const uint32_t gqa = context.heads / std::max(1u, context.kv_heads);
  if (preset == "Q2_K") return gqa >= 4 ? T::kQ4_K : T::kQ3_K;
  if (preset == "Q2_K_S" && gqa >= 4) return T::kQ4_K;
  if (preset == "Q3_K_M") return p.index < 2 ? T::kQ5_K : T::kQ4_K;
  if (preset == "Q3_K_L") return T::kQ5_K;
  if ((preset == "IQ4_NL" || preset == "IQ4_XS") && gqa >= 4) return T::kQ5_K;
  if ((preset == "Q4_K_M" || preset == "Q5_K_M") && more_bits(p.index, p.count)) return T::kQ6_K;
  if (preset == "Q4_K_S" && p.index < 4) return T::kQ5_K;
  return base;
}

T down_type(std::string_view preset, T base, Place p, const PresetContext& context) {
  const bool first_eighth = p.index < p.count / 8;
  if (preset == "Q2_K") return T::kQ3_K;
  if (preset == "Q2_K_S" && first_eighth) return T::kQ4_K;
  if (preset == "Q3_K_M") return p.index < p.count / 16 ? T::kQ5_K : T::kQ4_K;
  if (preset == "Q3_K_L") return T::kQ5_K;
  if ((preset == "Q4_K_M" || preset == "Q5_K_M") && more_bits(p.index, p.count)) return T::kQ6_K;
  if ((preset == "IQ4_NL" || preset == "IQ4_XS") && first_eighth && !context.has_imatrix) return T::kQ5_K;
  if (preset == "Q4_K_S" && first_eighth) return T::kQ5_K;
  if (preset == "Q4_0" && first_eighth && context.has_imatrix) return T::kQ4_1;
  if (preset == "Q5_0" && first_eighth && context.has_imatrix) return T::kQ5_1;
  return base;
}

T output_projection_type(std::string_view preset, T base) {
  if (preset == "Q2_K") return T::kQ3_K;
  if (preset == "Q3_K_M") return T::kQ4_K;
  if (preset == "Q3_K_L") return T::kQ5_K;
  return base;
}

T fused_type(std::string_view preset, T base) {
  if (preset == "Q3_K_M" || preset == "Q3_K_L") return T::kQ4_K;
  if (preset == "Q4_K_M") return T::kQ5_K;
  if (preset == "Q5_K_M") return T::kQ6_K;
  return base;
}

T wanted_type(const Preset& preset, const TensorInfo& tensor, Role role, bool is_head, Place place, const PresetContext& context) {
  if (context.pure) return preset.base;
  if (is_head) {
    if (tensor.row_length() % 256 != 0) return T::kQ8_0;
    return preset.base == T::kQ8_0 ? T::kQ8_0 : T::kQ6_K;
  }
  switch (role) {
    case Role::kAttnV: return value_type(preset.name, preset.base, place, context);
    case Role::kAttnQkv: return fused_type(preset.name, preset.base);
    case Role::kAttnOutput: return output_projection_type(preset.name, preset.base);
    case Role::kFfnDown:
    case Role::kFfnDownExps: return down_type(preset.name, preset.base, place, context);
    default: return preset.base;
  }
}

}  // namespace

std::span<const Preset> all_presets() { return kPresets; }

Result<const Preset*> find_preset(std::string_view name) {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) {
    if (lower_ascii(preset.name) == lower_ascii(name)) return &preset;
    names.emplace_back(preset.name);
  }
  return fail(ErrorCode::kUsage, {"preset '" + printable(name) + "'", "is not known", "known: " + join(names, ", "), ""});
}

PresetContext preset_context(const Metadata& metadata, bool has_imatrix) {
  PresetContext context;
  context.has_imatrix = has_imatrix;
  const auto architecture = metadata.get_string("general.architecture");
  if (!architecture || !*architecture) return context;
  const auto number = [&](const char* key, uint32_t fallback) {
    const auto value = metadata.get_u64(**architecture + key);
    return value && *value ? static_cast<uint32_t>(**value) : fallback;
  };
  context.heads = number(".attention.head_count", 1);
  context.kv_heads = number(".attention.head_count_kv", context.heads);
  return context;
}

bool is_quantizable(const TensorInfo& tensor) {
  const TensorRole role = role_of(tensor.name);
  if (tensor.n_dims < 2 || !tensor.name.ends_with("weight") || tensor.name.ends_with("_norm.weight")) return false;
  return role.role != Role::kFfnGateInp && role.role != Role::kPositionEmbd && role.role != Role::kRopeFreqs;
}

GgmlType fallback_type(GgmlType wanted, uint64_t row_length) {
  if (row_fits(wanted, row_length)) return wanted;
  GgmlType other = T::kF16;
  switch (wanted) {
    case T::kQ4_K: other = T::kQ5_0; break;
    case T::kQ5_K: other = T::kQ5_1; break;
    case T::kQ6_K: other = T::kQ8_0; break;
    case T::kQ2_K:
    case T::kQ3_K:
    case T::kTQ1_0:
    case T::kTQ2_0:
    case T::kQ2_0: other = T::kQ4_0; break;
    case T::kIQ1_S:
    case T::kIQ1_M:
    case T::kIQ2_XXS:
    case T::kIQ2_XS:
    case T::kIQ2_S:
    case T::kIQ3_XXS:
    case T::kIQ3_S:
    case T::kIQ4_XS: other = T::kIQ4_NL; break;
    default: break;
  }
  return row_fits(other, row_length) ? other : T::kF16;
}

Recipe preset_recipe(const Preset& preset, std::span<const TensorInfo> tensors, const PresetContext& context) {
  const bool has_output = std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) { return t.name == "output.weight"; });
  std::map<Role, std::vector<int>> layers;  // of each role, ascending
  for (const TensorInfo& tensor : tensors) {
    const TensorRole role = role_of(tensor.name);
    if (is_quantizable(tensor) && role.layer >= 0) layers[role.role].push_back(role.layer);
  }
  for (auto& [role, list] : layers) std::sort(list.begin(), list.end());
  Recipe recipe;
  for (const TensorInfo& tensor : tensors) {
    if (!is_quantizable(tensor)) continue;
    const TensorRole role = role_of(tensor.name);
    const bool is_head = role.role == Role::kOutput || (role.role == Role::kTokenEmbd && !has_output);
    const auto& list = layers[role.role];
    const Place place{static_cast<int>(std::lower_bound(list.begin(), list.end(), role.layer) - list.begin()), static_cast<int>(list.size())};
    const bool plain = !find_type(preset.base)->quantized;
    recipe.types[tensor.name] = plain ? preset.base : fallback_type(wanted_type(preset, tensor, role.role, is_head, place, context), tensor.row_length());
  }
  return recipe;
}

}  // namespace assay
