// A Hugging Face directory seen as GGUF: names, shapes, metadata and, tensor by tensor, bytes. Internal to model/.
#pragma once

#include <memory>

#include "assay/file/safetensors.h"
#include "assay/model/checkpoint.h"
#include "assay/model/hf_config.h"

namespace assay {

Result<std::shared_ptr<const Checkpoint>> open_hf_checkpoint(const std::string& path);

// Row r of the GGUF tensor is row permuted_row(r) of the Hugging Face tensor (methods.md 4.2.1: half-split to interleaved).
uint64_t permuted_row(uint64_t row, uint64_t head_dim);
// The divisors of the rotary frequencies that "llama3" scaling asks for (rope_freqs.weight), [dims / 2].
std::vector<float> llama3_rope_factors(const hf::RopeConfig& rope, uint64_t dims);

}  // namespace assay
