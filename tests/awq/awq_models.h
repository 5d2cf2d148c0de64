// Small models of every family whose scales can be folded, for the tests of awq/.
#pragma once

#include "assay/awq/fold.h"
#include "tests/model/tiny_models.h"

namespace assay::awq_models {

struct Family {
  const char* name;
  const char* architecture;
  bool grouped = true;  // two heads of q read one of k and v
  bool biases = false;  // those that files of the family may have
  size_t groups = 0;    // folded, per block
};
// gpt2: the attention's input and output, the MLP's input. Grouped queries: no attention output.
inline constexpr Family kFamilies[] = {{"llama", "llama", true, false, 3}, {"llama, as many v as q, biases", "llama", false, true, 4},
                                       {"qwen2", "qwen2", true, false, 3}, {"qwen2, as many v as q", "qwen2", false, false, 4},
                                       {"qwen3", "qwen3", true, false, 3}, {"gpt2", "gpt2", false, false, 3}};

inline Metadata metadata(const Family& family) {
  Metadata keys = tiny::metadata(family.architecture);
  if (!family.grouped && std::string(family.architecture) != "gpt2")
    keys.set(std::string(family.architecture) + ".attention.head_count_kv", MetaValue::u32(4));
  return keys;
}

inline std::vector<TensorInfo> tensors(const Family& family) {
  const Hyper hyper = *parse_hyper(metadata(family), true);
  std::vector<TensorInfo> all;
  for (const TensorSpec& spec : expected_tensors(hyper)) {
    if (!spec.required && !(family.biases && spec.name.ends_with(".bias"))) continue;
    TensorInfo info;
    info.name = spec.name;
    info.n_dims = static_cast<uint32_t>(spec.dims.size());
    std::copy(spec.dims.begin(), spec.dims.end(), info.dims.begin());
    all.push_back(info);
  }
  return all;
}

inline std::shared_ptr<const Checkpoint> write(const Family& family, const std::string& path) {
  tiny::write_gguf_model(path, metadata(family), tensors(family));
  return *Checkpoint::open(path);
}

}  // namespace assay::awq_models
