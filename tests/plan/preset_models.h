// Models that exist only as metadata and tiny tensors (two rows each), to see which types a preset gives them; and one line of
// text per model and preset that says so. Shared by the committed table of observations and the interop test that makes it.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/plan/recipe.h"

namespace assay::preset_models {

struct PresetModel {
  std::string architecture = "llama";
  uint32_t layers = 0, width = 0, ffn = 0, heads = 0, kv_heads = 0, experts = 0;
  bool tied = false;

  std::string describe() const {
    std::ostringstream out;
    out << "model " << architecture << ' ' << layers << ' ' << width << ' ' << ffn << ' ' << heads << ' ' << kv_heads << ' ' << experts
        << ' ' << tied;
    return out.str();
  }
  static PresetModel parse(const std::string& line) {
    PresetModel model;
    std::string word;
    std::istringstream(line) >> word >> model.architecture >> model.layers >> model.width >> model.ffn >> model.heads >> model.kv_heads >>
        model.experts >> model.tied;
    return model;
  }

  Metadata metadata() const {
    Metadata result;
    result.set("general.architecture", MetaValue::string(architecture));
    result.set("general.file_type", MetaValue::u32(0));
    const auto number = [&](const char* key, uint32_t value) { result.set(architecture + key, MetaValue::u32(value)); };
    number(".block_count", layers);
    number(".context_length", 128);
    number(".embedding_length", width);
    number(".feed_forward_length", ffn);
    number(".attention.head_count", heads);
    number(".attention.head_count_kv", kv_heads);
    number(".rope.dimension_count", width / heads);
    number(".vocab_size", 2);
    if (experts != 0) {
      number(".expert_count", experts);
      number(".expert_used_count", 2);
    }
    result.set(architecture + ".attention.layer_norm_rms_epsilon", MetaValue::f32(1e-5F));
    result.set(architecture + ".attention.layer_norm_epsilon", MetaValue::f32(1e-5F));
    return result;
  }

  std::vector<TensorInfo> tensors() const {
    std::vector<TensorInfo> list;
    const auto add = [&](const std::string& name, uint64_t row, uint64_t rows, uint64_t matrices = 1) {
      TensorInfo tensor;
      tensor.name = name;
      tensor.n_dims = rows == 0 ? 1 : matrices > 1 ? 3 : 2;
      tensor.dims = {row, std::max<uint64_t>(1, rows), matrices, 1};
      list.push_back(tensor);
    };
    add("token_embd.weight", width, 2);
    if (architecture == "gpt2") add("position_embd.weight", width, 2);
    for (uint32_t layer = 0; layer < layers; ++layer) {
      const std::string block = "blk." + std::to_string(layer) + ".";
      add(block + "attn_norm.weight", width, 0);
      if (architecture == "gpt2") {
        add(block + "attn_qkv.weight", width, 2);
        add(block + "attn_qkv.bias", width, 0);
      } else {
        for (const char* part : {"attn_q", "attn_k", "attn_v"}) add(block + part + ".weight", width, 2);
      }
      add(block + "attn_output.weight", width, 2);
      add(block + "ffn_norm.weight", width, 0);
      if (experts != 0) {
        add(block + "ffn_gate_inp.weight", width, experts);
        for (const char* part : {"ffn_gate_exps", "ffn_up_exps"}) add(block + part + ".weight", width, 2, experts);
        add(block + "ffn_down_exps.weight", ffn, 2, experts);
      } else {
        if (architecture != "gpt2") add(block + "ffn_gate.weight", width, 2);
        add(block + "ffn_up.weight", width, 2);
        add(block + "ffn_down.weight", ffn, 2);
      }
    }
    add("output_norm.weight", width, 0);
    if (!tied) add("output.weight", width, 2);
    return list;
  }
};

// The types of a file's matrices as "all=Q4_K attn_v=3*Q6_K,2*Q4_K output=Q6_K": the commonest type, then every part (tensor name
// without its block) that differs, in runs of layers.
inline std::string describe(const std::vector<std::pair<std::string, GgmlType>>& types) {
  std::vector<std::string> parts;
  std::map<std::string, std::vector<GgmlType>> by_part;
  std::map<GgmlType, int> counts;
  for (const auto& [name, type] : types) {
    std::string part = name.substr(0, name.rfind('.'));
    if (part.starts_with("blk.")) part = part.substr(part.find('.', 4) + 1);
    if (!by_part.contains(part)) parts.push_back(part);
    by_part[part].push_back(type);
    ++counts[type];
  }
  GgmlType commonest = types.front().second;
  for (const auto& [type, count] : counts)
    if (count > counts[commonest]) commonest = type;
  std::string text = std::string("all=") + find_type(commonest)->name;
  for (const std::string& part : parts) {
    const std::vector<GgmlType>& list = by_part[part];
    std::string runs;
    for (size_t begin = 0, end; begin < list.size(); begin = end) {
      for (end = begin; end < list.size() && list[end] == list[begin];) ++end;
      runs +=
          (begin == 0 ? "" : ",") + (end - begin == list.size() ? "" : std::to_string(end - begin) + "*") + find_type(list[begin])->name;
    }
    if (runs != find_type(commonest)->name) text += " " + part + "=" + runs;
  }
  return text;
}

// The same line for a recipe.
inline std::string describe(const Recipe& recipe, const std::vector<TensorInfo>& tensors) {
  std::vector<std::pair<std::string, GgmlType>> types;
  for (const TensorInfo& tensor : tensors)
    if (const auto found = recipe.types.find(tensor.name); found != recipe.types.end()) types.emplace_back(*found);
  return describe(types);
}

}  // namespace assay::preset_models
