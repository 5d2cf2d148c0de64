#include "assay/awq/fold.h"

#include <algorithm>

namespace assay {
namespace {

// The names of one block's tensors that are in the model.
class BlockNames {
 public:
  BlockNames(int layer, std::span<const TensorInfo> tensors) : stem_("blk." + std::to_string(layer) + "."), tensors_(tensors) {}

  bool has(const std::string& name) const {
    return std::ranges::any_of(tensors_, [&](const TensorInfo& tensor) { return tensor.name == stem_ + name; });
  }
  std::vector<std::string> matrices(std::initializer_list<const char*> names) const {
    std::vector<std::string> found;
    for (const char* name : names)
      if (has(name + std::string(".weight"))) found.push_back(stem_ + name + ".weight");
    return found;
  }
  // The weight and, where there is one, the bias.
  std::vector<Divided> maker(const std::string& name, uint64_t first) const {
    std::vector<Divided> all = {{stem_ + name + ".weight", first}};
    if (has(name + ".bias")) all.push_back({stem_ + name + ".bias", first});
    return all;
  }

 private:
  std::string stem_;
  std::span<const TensorInfo> tensors_;
};

}  // namespace

std::string_view name_of(FoldPlace place) {
  constexpr std::string_view kNames[] = {"attention input", "attention output", "ffn input", "ffn down"};
  return kNames[static_cast<size_t>(place)];
}

std::vector<FoldGroup> fold_groups(const Hyper& hyper, std::span<const TensorInfo> tensors) {
  const auto width = static_cast<uint64_t>(hyper.d_model), ff = static_cast<uint64_t>(hyper.d_ff);
  const auto heads = static_cast<uint64_t>(hyper.heads) * static_cast<uint64_t>(hyper.head_dim);
  std::vector<FoldGroup> groups;
  for (int layer = 0; layer < hyper.layers; ++layer) {
    const BlockNames block(layer, tensors);
    groups.push_back({layer, FoldPlace::kAttentionInput, width, block.matrices({"attn_q", "attn_k", "attn_v", "attn_qkv"}),
                      block.maker("attn_norm", 0)});
    if (hyper.heads == hyper.kv_heads)
      groups.push_back({layer, FoldPlace::kAttentionOutput, heads, block.matrices({"attn_output"}),
                        hyper.fused_qkv ? block.maker("attn_qkv", 2 * heads) : block.maker("attn_v", 0)});
    groups.push_back({layer, FoldPlace::kFfnInput, width, block.matrices({"ffn_gate", "ffn_up"}), block.maker("ffn_norm", 0)});
    if (hyper.mlp == MlpKind::kSwiGlu)
      groups.push_back({layer, FoldPlace::kFfnDown, ff, block.matrices({"ffn_down"}), block.maker("ffn_up", 0)});
  }
  return groups;
}

std::vector<std::string> fold_notes(const Hyper& hyper) {
  std::vector<std::string> notes;
  if (hyper.heads != hyper.kv_heads)
    notes.push_back("attn_output is not scaled: " + std::to_string(hyper.heads / hyper.kv_heads) +
                    " heads read each row of v (grouped-query attention), so that no row of v can be divided");
  if (hyper.mlp != MlpKind::kSwiGlu)
    notes.push_back("ffn_down is not scaled: its input comes from an activation that is not linear, so that ffn_up cannot be divided");
  return notes;
}

void multiply_columns(std::span<float> values, std::span<const float> scales) {
  for (size_t first = 0; first < values.size(); first += scales.size())
    for (size_t j = 0; j < scales.size(); ++j) values[first + j] *= scales[j];
}

TensorEdits fold_edits(const FoldGroup& group, const std::vector<float>& scales) {
  TensorEdits edits;
  const auto multiply = [scales](const TensorInfo&, std::span<float> values) -> Status {
    multiply_columns(values, scales);
    return {};
  };
  for (const std::string& reader : group.readers) edits[reader].emplace_back(multiply);
  for (const Divided& divided : group.divided) {
    edits[divided.tensor].emplace_back([scales, first = divided.first](const TensorInfo& tensor, std::span<float> values) -> Status {
      const size_t row = tensor.n_dims > 1 ? tensor.row_length() : 1;
      for (size_t i = 0; i < scales.size(); ++i)
        for (float& value : values.subspan((first + i) * row, row)) value /= scales[i];
      return {};
    });
  }
  return edits;
}

}  // namespace assay
