#include <algorithm>

#include "assay/probe/kld_file_tiles.h"

namespace assay {

Status for_each_logits_tile(const Network& network, const at::Tensor& hidden, uint64_t memory, const LogitsSink& sink) {
  constexpr int64_t kMinimumRows = 8, kMaximumRows = 64;  // as in compare_heads
  const at::Tensor normed = network.final_norm(hidden);
  const int64_t rows = hidden.size(0), vocab = network.head().out();
  const int64_t tile =
      std::clamp<int64_t>(static_cast<int64_t>(memory / (static_cast<uint64_t>(vocab) * sizeof(float))), kMinimumRows, kMaximumRows);
  for (int64_t first = 0; first < rows; first += tile) {
    const int64_t count = std::min(tile, rows - first);
    const at::Tensor logits = network.head().multiply(normed.narrow(0, first, count)).to(at::kCPU).contiguous();
    ASSAY_TRY(sink(static_cast<uint64_t>(first), {logits.const_data_ptr<float>(), static_cast<size_t>(count * vocab)}));
  }
  return {};
}

}  // namespace assay
