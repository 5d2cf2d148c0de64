#include "assay/plan/foreign_types.h"

#include <algorithm>
#include <vector>

#include "assay/base/checked.h"
#include "assay/base/nearest_names.h"
#include "assay/base/text.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

// Types without a ggml number of upstream: name, weights and bytes of a block, bytes before each row, rows interleaved.
const std::vector<TypeSize>& ik_types() {
  static const std::vector<TypeSize> types = {
      {"iq1_bn", 64, 13, 2, 1, {}},      {"iq2_bn", 64, 16, 4, 1, {}},     {"iq2_bn_r4", 64, 16, 4, 4, {}},
      {"iq1_kt", 256, 56, 4, 1, {}},     {"iq2_kt", 256, 68, 4, 1, {}},    {"iq3_kt", 256, 100, 4, 1, {}},
      {"iq4_kt", 256, 128, 4, 1, {}},    {"iq2_ks", 256, 70, 2, 1, {}},    {"iq2_kl", 256, 86, 2, 1, {}},
      {"iq3_ks", 256, 102, 2, 1, {}},    {"iq4_kss", 256, 128, 4, 1, {}},  {"iq4_ks", 256, 136, 4, 1, {}},
      {"iq4_ks_r4", 256, 136, 4, 4, {}}, {"iq5_ks", 256, 168, 4, 1, {}},   {"iq5_ks_r4", 256, 168, 4, 4, {}},
      {"iq2_k", 256, 76, 0, 1, {}},      {"iq2_k_r4", 256, 76, 0, 4, {}},  {"iq3_k", 256, 110, 0, 1, {}},
      {"iq3_k_r4", 256, 110, 0, 4, {}},  {"iq4_k", 256, 144, 0, 1, {}},    {"iq4_k_r4", 256, 144, 0, 4, {}},
      {"iq5_k", 256, 176, 0, 1, {}},     {"iq5_k_r4", 256, 176, 0, 4, {}}, {"iq6_k", 256, 212, 0, 1, {}},
      {"iq1_s_r4", 32, 6, 2, 4, {}},     {"iq1_m_r4", 32, 7, 2, 4, {}},    {"iq2_xxs_r4", 256, 66, 0, 4, {}},
      {"iq2_xs_r4", 256, 74, 0, 4, {}},  {"iq2_s_r4", 256, 82, 0, 4, {}},  {"iq3_xxs_r4", 256, 98, 0, 4, {}},
      {"iq3_s_r4", 256, 110, 0, 4, {}},  {"iq4_nl_r4", 32, 18, 0, 4, {}},  {"iq4_xs_r8", 256, 136, 0, 8, {}},
      {"q2_k_r4", 256, 84, 0, 4, {}},    {"q3_k_r4", 256, 110, 0, 4, {}},  {"q4_k_r4", 256, 144, 0, 4, {}},
      {"q5_k_r4", 256, 176, 0, 4, {}},   {"q6_k_r4", 256, 210, 0, 4, {}},  {"q4_0_r8", 32, 18, 0, 8, {}},
      {"q5_0_r4", 32, 22, 0, 4, {}},     {"q6_0", 32, 26, 0, 1, {}},       {"q6_0_r4", 32, 26, 0, 4, {}},
      {"q8_0_r8", 32, 34, 0, 8, {}},     {"q8_k_r8", 256, 258, 0, 8, {}},  {"q8_KV", 32, 32, 8, 1, {}},
      {"q8_KV_r8", 32, 32, 4, 8, {}},    {"bf16_r16", 1, 2, 0, 16, {}},
  };
  return types;
}

// As ggml_type_name has it: lower case but for the K of the K-quants, which the names of IQ, MX and NV types do not have.
std::string ggml_name(const GgmlTypeInfo& type) {
  std::string name = lower_ascii(type.name);
  if (name.size() == 4 && name[0] == 'q' && name.ends_with("_k")) name[3] = 'K';
  return name;
}

std::vector<TypeSize> made_list() {
  std::vector<TypeSize> list;
  for (const GgmlTypeInfo& type : all_types()) list.push_back({ggml_name(type), type.block_size, type.block_bytes, 0, 1, type.type});
  list.insert(list.end(), ik_types().begin(), ik_types().end());
  return list;
}

}  // namespace

double TypeSize::bits_per_weight() const { return 8.0 * block_bytes / block_size; }

std::span<const TypeSize> all_type_sizes() {
  static const std::vector<TypeSize> list = made_list();
  return list;
}

const TypeSize* find_type_size(std::string_view name) {
  const std::string wanted = lower_ascii(name);
  for (const TypeSize& type : all_type_sizes())
    if (lower_ascii(type.name) == wanted) return &type;
  return nullptr;
}

bool is_plain_type(std::string_view name) { return name == "f32" || name == "f16" || name == "bf16"; }

tl::unexpected<Error> unknown_type(const std::string& who, std::string_view name) {
  const auto same = [&](const Preset& preset) { return lower_ascii(preset.name) == lower_ascii(name); };
  if (std::any_of(all_presets().begin(), all_presets().end(), same))
    return fail(ErrorCode::kBadInput,
                {who, "names the type '" + printable(name) + "'", "one type is needed", "a preset is a mix of types"});
  std::vector<std::string> known;
  for (const TypeSize& type : all_type_sizes()) known.push_back(lower_ascii(type.name));
  const std::vector<std::string> near = nearest_names(lower_ascii(name.substr(0, 64)), known, 3);
  return fail(ErrorCode::kBadInput, {who, "names the type '" + printable(name) + "'", "a type of ggml or ik_llama.cpp is needed",
                                     near.empty() ? "" : "did you mean " + join(near, ", ") + "?"});
}

Result<uint64_t> tensor_bytes(const TypeSize& type, const TensorInfo& tensor) {
  const std::string who = "tensor '" + printable(tensor.name) + "'";
  if (tensor.row_length() % type.block_size != 0)
    return fail(ErrorCode::kBadInput,
                {who, "has rows of " + group_digits(tensor.row_length()), type.name + " stores blocks of " + group_digits(type.block_size),
                 "llama.cpp would write another type in its place"});
  if (tensor.dims[1] % type.row_group != 0)
    return fail(ErrorCode::kBadInput,
                {who, "has " + group_digits(tensor.dims[1]) + " rows", type.name + " interleaves " + group_digits(type.row_group), ""});
  const CheckedSize row = CheckedSize(tensor.row_length() / type.block_size) * type.block_bytes + type.row_bytes;
  const CheckedSize bytes = row * CheckedSize(tensor.dims[1]) * CheckedSize(tensor.dims[2]) * CheckedSize(tensor.dims[3]);
  if (const auto value = bytes.value()) return *value;
  return fail(ErrorCode::kBadInput, {who, "is too large to count", "", ""});
}

}  // namespace assay
