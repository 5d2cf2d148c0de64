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
    {"Q2_K_S", 21, T::kQ2_K, true}, {"Q2_K", 10, T::kQ2_K},     {"Q3_K_S", 11, T::kQ3_K},   {"Q3_K_M", 12, T::kQ3_K},
    {"Q3_K_L", 13, T::kQ3_K},       {"IQ4_XS", 30, T::kIQ4_XS}, {"IQ4_NL", 25, T::kIQ4_NL}, {"Q4_0", 2, T::kQ4_0},
    {"Q4_K_S", 14, T::kQ4_K},       {"Q4_K_M", 15, T::kQ4_K},   {"Q4_1", 3, T::kQ4_1},      {"Q5_0", 8, T::kQ5_0},
    {"Q5_K_S", 16, T::kQ5_K},       {"Q5_K_M", 17, T::kQ5_K},   {"Q5_1", 9, T::kQ5_1},      {"Q6_K", 18, T::kQ6_K},
    {"Q8_0", 7, T::kQ8_0},          {"F16", 1, T::kF16},        {"BF16", 32, T::kBF16},     {"F32", 0, T::kF32},
};

// The parts of a block that have rules. A fused qkv matrix follows the rules of attn_v.
enum class Part { kNone, kValue, kKey, kAttnOutput, kFfnDown };

// Which of the n tensors of a part, by layer (integer divisions as in llama.cpp).
enum class Where {
  kAll,
  kFirst2,
  kFirst4,
  kFirstEighth,     // i < n / 8
  kFirstSixteenth,  // i < n / 16
  kMoreBits,        // the first eighth, the last eighth, every third between
};

enum class When { kAlways, kFourQueriesPerKey, kImatrix, kNoImatrix };

struct Rule {
  std::string_view preset;
  Part part;
  Where where;
  When when;
  T type;
};

// The first rule that applies decides; otherwise the base type stays.
constexpr Rule kRules[] = {
    {"Q2_K", Part::kValue, Where::kAll, When::kFourQueriesPerKey, T::kQ4_K},
    {"Q2_K", Part::kValue, Where::kAll, When::kAlways, T::kQ3_K},
    {"Q2_K", Part::kFfnDown, Where::kAll, When::kAlways, T::kQ3_K},
    {"Q2_K", Part::kAttnOutput, Where::kAll, When::kAlways, T::kQ3_K},
    {"Q2_K_S", Part::kValue, Where::kAll, When::kFourQueriesPerKey, T::kQ4_K},
    {"Q2_K_S", Part::kFfnDown, Where::kFirstEighth, When::kAlways, T::kQ4_K},
    {"Q3_K_M", Part::kValue, Where::kFirst2, When::kAlways, T::kQ5_K},
    {"Q3_K_M", Part::kValue, Where::kAll, When::kAlways, T::kQ4_K},
    {"Q3_K_M", Part::kFfnDown, Where::kFirstSixteenth, When::kAlways, T::kQ5_K},
    {"Q3_K_M", Part::kFfnDown, Where::kAll, When::kAlways, T::kQ4_K},
    {"Q3_K_M", Part::kAttnOutput, Where::kAll, When::kAlways, T::kQ4_K},
    {"Q3_K_L", Part::kValue, Where::kAll, When::kAlways, T::kQ5_K},
    {"Q3_K_L", Part::kFfnDown, Where::kAll, When::kAlways, T::kQ5_K},
    {"Q3_K_L", Part::kAttnOutput, Where::kAll, When::kAlways, T::kQ5_K},
    {"IQ4_XS", Part::kValue, Where::kAll, When::kFourQueriesPerKey, T::kQ5_K},
    {"IQ4_XS", Part::kFfnDown, Where::kFirstEighth, When::kNoImatrix, T::kQ5_K},
    {"IQ4_NL", Part::kValue, Where::kAll, When::kFourQueriesPerKey, T::kQ5_K},
    {"IQ4_NL", Part::kFfnDown, Where::kFirstEighth, When::kNoImatrix, T::kQ5_K},
    {"Q4_0", Part::kFfnDown, Where::kFirstEighth, When::kImatrix, T::kQ4_1},
    {"Q5_0", Part::kFfnDown, Where::kFirstEighth, When::kImatrix, T::kQ5_1},
    {"Q4_K_S", Part::kValue, Where::kFirst4, When::kAlways, T::kQ5_K},
    {"Q4_K_S", Part::kFfnDown, Where::kFirstEighth, When::kAlways, T::kQ5_K},
    {"Q4_K_M", Part::kValue, Where::kMoreBits, When::kAlways, T::kQ6_K},
    {"Q4_K_M", Part::kFfnDown, Where::kMoreBits, When::kAlways, T::kQ6_K},
    {"Q5_K_M", Part::kValue, Where::kMoreBits, When::kAlways, T::kQ6_K},
    {"Q5_K_M", Part::kFfnDown, Where::kMoreBits, When::kAlways, T::kQ6_K},
};

// Models of eight experts: keys and values are small beside the experts and get Q8_0, these presets' attn_output Q5_K.
constexpr std::string_view kEightExpertOutputBump[] = {"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"};

Part part_of(Role role) {
  switch (role) {
    case Role::kAttnV:
    case Role::kAttnQkv:
      return Part::kValue;
    case Role::kAttnK:
      return Part::kKey;
    case Role::kAttnOutput:
      return Part::kAttnOutput;
    case Role::kFfnDown:
    case Role::kFfnDownExps:
      return Part::kFfnDown;
    default:
      return Part::kNone;
  }
}

struct Place {
  int index = 0;  // among the tensors of its part, by layer
  int count = 0;
};

bool is_at(Where where, Place place) {
  const auto [i, n] = place;
  switch (where) {
    case Where::kAll:
      return true;
    case Where::kFirst2:
      return i < 2;
    case Where::kFirst4:
      return i < 4;
    case Where::kFirstEighth:
      return i < n / 8;
    case Where::kFirstSixteenth:
      return i < n / 16;
    case Where::kMoreBits:
      return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  return false;
}

bool holds(When when, const PresetContext& context) {
  switch (when) {
    case When::kAlways:
      return true;
    case When::kFourQueriesPerKey:
      return context.heads / std::max(1U, context.kv_heads) >= 4;
    case When::kImatrix:
      return context.has_imatrix;
    case When::kNoImatrix:
      return !context.has_imatrix;
  }
  return false;
}

// Llama-2/3 70B and Qwen2 72B by their shape: eight query heads share a value matrix, more bits for it cost little.
bool is_70b(const PresetContext& context) {
  if (context.blocks != 80) return false;
  return context.architecture == "qwen2" || (context.architecture == "llama" && context.heads != context.kv_heads);
}

T block_type(const Preset& preset, Part part, Place place, const PresetContext& context) {
  const bool eight_experts = context.experts == 8;
  if (eight_experts && (part == Part::kValue || part == Part::kKey)) return T::kQ8_0;
  if (eight_experts && part == Part::kAttnOutput) {
    const bool bump =
        std::find(std::begin(kEightExpertOutputBump), std::end(kEightExpertOutputBump), preset.name) != std::end(kEightExpertOutputBump);
    return bump ? T::kQ5_K : preset.base;
  }
  T type = preset.base;
  for (const Rule& rule : kRules) {
    if (rule.preset != preset.name || rule.part != part || !is_at(rule.where, place) || !holds(rule.when, context)) continue;
    type = rule.type;
    break;
  }
  if (part == Part::kValue && is_70b(context) && (type == T::kQ3_K || type == T::kQ4_K)) type = T::kQ5_K;
  return type;
}

// llama.cpp's replacement where a row does not divide into the type's blocks.
constexpr std::pair<T, T> kFallbacks[] = {
    {T::kQ2_K, T::kQ4_0},    {T::kQ3_K, T::kQ4_0},      {T::kQ4_K, T::kQ5_0},      {T::kQ5_K, T::kQ5_1},
    {T::kQ6_K, T::kQ8_0},    {T::kTQ1_0, T::kQ4_0},     {T::kTQ2_0, T::kQ4_0},     {T::kQ2_0, T::kQ4_0},
    {T::kIQ1_S, T::kIQ4_NL}, {T::kIQ1_M, T::kIQ4_NL},   {T::kIQ2_XXS, T::kIQ4_NL}, {T::kIQ2_XS, T::kIQ4_NL},
    {T::kIQ2_S, T::kIQ4_NL}, {T::kIQ3_XXS, T::kIQ4_NL}, {T::kIQ3_S, T::kIQ4_NL},   {T::kIQ4_XS, T::kIQ4_NL},
};

// File types of mixes that are no presets here, by their base.
constexpr std::pair<T, uint32_t> kOtherFileTypes[] = {
    {T::kIQ2_XXS, 19}, {T::kIQ2_XS, 20}, {T::kIQ3_XXS, 23}, {T::kIQ1_S, 24}, {T::kIQ3_S, 26}, {T::kIQ2_S, 28}, {T::kIQ1_M, 31},
    {T::kTQ1_0, 36},   {T::kTQ2_0, 37},  {T::kMXFP4, 38},   {T::kNVFP4, 39}, {T::kQ1_0, 40},  {T::kQ2_0, 41},
};

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

uint32_t file_type_of(GgmlType most_common) {
  const std::string name = find_type(most_common)->name;
  for (const Preset& preset : kPresets)
    if (preset.name == name || preset.name == name + "_M") return preset.file_type;
  for (const auto& [type, file_type] : kOtherFileTypes)
    if (type == most_common) return file_type;
  return 0;
}

PresetContext preset_context(const Metadata& metadata, bool has_imatrix) {
  PresetContext context;
  context.has_imatrix = has_imatrix;
  if (const auto architecture = metadata.get_string("general.architecture"); architecture && *architecture)
    context.architecture = **architecture;
  // Head counts may be one number or one per layer; the first layer's is what counts.
  const auto number = [&](const char* key, uint32_t otherwise) {
    const std::string name = context.architecture + key;
    if (const auto one = metadata.get_u64(name); one && *one) return static_cast<uint32_t>(**one);
    if (const auto many = metadata.get_i64s(name); many && *many && !(*many)->empty()) return static_cast<uint32_t>((*many)->front());
    return otherwise;
  };
  context.heads = number(".attention.head_count", 1);
  context.kv_heads = number(".attention.head_count_kv", context.heads);
  context.blocks = number(".block_count", 0);
  context.experts = number(".expert_count", 0);
  return context;
}

bool is_quantizable(const TensorInfo& tensor) {
  if (tensor.n_dims < 2 || !tensor.name.ends_with("weight") || tensor.name.ends_with("_norm.weight")) return false;
  if (tensor.name.ends_with("ssm_conv1d.weight")) return false;  // rows of 4
  const Role role = role_of(tensor.name).role;
  return role != Role::kFfnGateInp && role != Role::kPositionEmbd && role != Role::kRopeFreqs;
}

bool is_output_matrix(const TensorInfo& tensor, bool tied) { return tensor.name == (tied ? "token_embd.weight" : "output.weight"); }

bool is_tied(std::span<const TensorInfo> tensors) {
  return std::none_of(tensors.begin(), tensors.end(), [](const TensorInfo& tensor) { return tensor.name == "output.weight"; });
}

GgmlType fallback_type(GgmlType wanted, uint64_t row_length) {
  if (row_fits(wanted, row_length)) return wanted;
  for (const auto& [type, other] : kFallbacks)
    if (type == wanted && row_fits(other, row_length)) return other;
  return T::kF16;
}

Recipe preset_recipe(const Preset& preset, std::span<const TensorInfo> tensors, const PresetContext& context) {
  const bool tied = is_tied(tensors), plain = !find_type(preset.base)->quantized;
  std::map<Part, std::vector<int>> layers;  // that have a tensor of the part, ascending
  for (const TensorInfo& tensor : tensors) {
    const TensorRole role = role_of(tensor.name);
    if (is_quantizable(tensor) && role.layer >= 0) layers[part_of(role.role)].push_back(role.layer);
  }
  for (auto& [part, list] : layers) std::sort(list.begin(), list.end());
  Recipe recipe;
  for (const TensorInfo& tensor : tensors) {
    if (!is_quantizable(tensor)) continue;
    T type = preset.base;
    if (!plain && !context.pure) {
      if (is_output_matrix(tensor, tied)) {
        type = preset.base == T::kQ8_0 || tensor.row_length() % 256 != 0 ? T::kQ8_0 : T::kQ6_K;
      } else if (const TensorRole role = role_of(tensor.name); role.layer >= 0) {
        const Part part = part_of(role.role);
        const auto& list = layers[part];
        Place place{static_cast<int>(std::lower_bound(list.begin(), list.end(), role.layer) - list.begin()), static_cast<int>(list.size())};
        // The thresholds of ffn_down are those of the model before pruning; attn_v counts what is left.
        if (part == Part::kFfnDown && context.blocks != 0) place.count = static_cast<int>(context.blocks);
        type = block_type(preset, part, place, context);
      }
    }
    recipe.types[tensor.name] = plain ? type : fallback_type(type, tensor.row_length());
  }
  return recipe;
}

}  // namespace assay
