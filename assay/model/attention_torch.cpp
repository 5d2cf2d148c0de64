#include <limits>

#include "assay/model/attention.h"

namespace assay {
namespace {

// [queries, tokens]: 0 where the query may look, -infinity elsewhere.
at::Tensor causal_mask(int64_t query_begin, int64_t queries, int64_t tokens, int64_t window, const at::TensorOptions& options) {
  const at::TensorOptions integers = options.dtype(at::kLong);
  const at::Tensor row = at::arange(query_begin, query_begin + queries, integers).unsqueeze(1);
  const at::Tensor column = at::arange(tokens, integers).unsqueeze(0);
  at::Tensor hidden = column > row;
  if (window > 0) hidden = hidden.logical_or(row - column >= window);
  return at::zeros({queries, tokens}, options).masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

}  // namespace

at::Tensor attend(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin) {
  const int64_t sequences = q.size(0), queries = q.size(1), tokens = k.size(1);
  const int64_t shared = hyper.heads / hyper.kv_heads;
  const int64_t window = hyper.sliding_window < tokens ? hyper.sliding_window : 0;
  const auto by_head = [](const at::Tensor& x, int64_t times) {
    const at::Tensor turned = x.transpose(1, 2);
    return times == 1 ? turned : turned.repeat_interleave(times, 1);
  };
  const bool whole = query_begin == 0 && queries == tokens && window == 0;
  const std::optional<at::Tensor> mask =
      whole ? std::nullopt : std::optional(causal_mask(query_begin, queries, tokens, window, q.options()));
  const at::Tensor out = at::scaled_dot_product_attention(by_head(q, 1), by_head(k, shared), by_head(v, shared), mask, 0.0, whole);
  return out.transpose(1, 2).reshape({sequences * queries, int64_t{hyper.heads} * hyper.head_dim});
}

}  // namespace assay
