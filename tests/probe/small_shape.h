// The shape of a small model for the tests of probe/: 3 blocks, width 32, 4 heads of 8, 2 of keys and values, MLP 48, vocabulary 24.
// Matrices of the attention are Q4_0, ffn_gate F32, ffn_up and ffn_down Q8_0 where their rows allow it.
#pragma once

#include "assay/probe/check_variant.h"
#include "assay/quant/codec.h"
#include "tests/model/tiny_models.h"

namespace assay::testing_variants {

inline ModelShape small_shape(const std::string& architecture = "llama") {
  const Hyper hyper = parse_hyper(tiny::metadata(architecture), true).value();
  std::vector<TensorInfo> tensors = tiny::tensors_of(hyper);
  for (TensorInfo& tensor : tensors) {
    if (tensor.n_dims != 2 || tensor.name.find("blk.") != 0 || tensor.name.find("ffn_gate") != std::string::npos) continue;
    const GgmlType type = tensor.name.find("attn") != std::string::npos ? GgmlType::kQ4_0 : GgmlType::kQ8_0;
    if (row_fits(type, tensor.row_length())) tensor.type = type;
  }
  return ModelShape(hyper, tensors);
}

}  // namespace assay::testing_variants
