#include "assay/plan/runtime_memory.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

// Llama-3-8B: 32 blocks, 8 key-value heads of 128: 1 GiB of KV cache at 8192 tokens in F16, as llama.cpp prints.
TEST(RuntimeMemory, OfLlama8B) {
  Hyper hyper;
  hyper.layers = 32, hyper.kv_heads = 8, hyper.head_dim = 128, hyper.d_model = 4096, hyper.d_ff = 14336, hyper.vocab = 128'256;
  RuntimeRequest request;
  request.context = 8192;
  const auto memory = runtime_memory(hyper, request);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->kv_cache, uint64_t{1} << 30);
  EXPECT_EQ(memory->compute, 512ull * (128'256 + 4096) * 4 + 8192ull * 512 * 2);
  EXPECT_EQ(memory->total(), memory->kv_cache + memory->compute);
  request.kv_type = GgmlType::kQ8_0;
  EXPECT_EQ(runtime_memory(hyper, request)->kv_cache, (uint64_t{1} << 30) * 34 / 64);
  request.context = 8000;  // padded to 8192
  EXPECT_EQ(runtime_memory(hyper, request)->kv_cache, (uint64_t{1} << 30) * 34 / 64);
}

TEST(RuntimeMemory, Refuses) {
  Hyper hyper;
  hyper.layers = 2, hyper.kv_heads = 3, hyper.head_dim = 20, hyper.d_model = 60, hyper.d_ff = 128, hyper.vocab = 100;
  EXPECT_FALSE(runtime_memory(hyper, {.context = 0}));
  EXPECT_FALSE(runtime_memory(hyper, {.kv_type = GgmlType::kQ8_0}));  // rows of 60 in blocks of 32
  EXPECT_FALSE(runtime_memory(hyper, {.context = UINT64_MAX / 2}));
}

}  // namespace
}  // namespace assay
