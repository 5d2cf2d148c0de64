// What a model takes at run time beside its weights: KV cache and compute buffer, so that a budget of device memory becomes one of a file.
// KV cache: for every block keys and values of `context` tokens, kv_heads x head_dim each, at the cache's type; exact for llama.cpp with
// one sequence, whose cache is padded to 256 tokens. Compute buffer: an estimate for flash attention, batch rows of the widest step: the
// logits of a batch, or three streams and three feed-forward activations, in float32, and the mask. Torch-free. Non-goals: several
// sequences, models split over devices, sliding windows (their cache may be smaller than said).
#pragma once

#include <cstdint>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/model/architecture.h"

namespace assay {

struct RuntimeRequest {
  uint64_t context = 4096;            // tokens
  GgmlType kv_type = GgmlType::kF16;  // of keys and values
  uint64_t batch = 512;               // tokens of one step (llama.cpp's --ubatch-size)
};

struct RuntimeMemory {
  uint64_t kv_cache = 0, compute = 0;  // bytes
  uint64_t total() const { return kv_cache + compute; }
};

// Errors: kUsage (no context, a type that a cache row cannot hold).
Result<RuntimeMemory> runtime_memory(const Hyper& hyper, const RuntimeRequest& request);

}  // namespace assay
