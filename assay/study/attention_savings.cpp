#include "assay/study/attention_savings.h"

#include <algorithm>

namespace assay {
namespace {

struct Counts {
  double n, d, heads, kv_heads, bytes, layers;
  explicit Counts(const DecoderShape& shape)
      : n(static_cast<double>(shape.context)),
        d(shape.head_dim),
        heads(shape.heads),
        kv_heads(shape.kv_heads),
        bytes(static_cast<double>(shape.bytes_per_number)),
        layers(shape.layers) {}
};

}  // namespace

DecoderCost full_cost(const DecoderShape& shape) {
  const Counts c(shape);
  const double numbers = 2 * c.n * c.d * c.kv_heads;
  return {c.layers * numbers * c.bytes, c.layers * 4 * c.n * c.d * c.heads, c.layers * numbers * c.bytes};
}

DecoderCost top_k_cost(const DecoderShape& shape, int k) {
  const Counts c(shape);
  const double kept = std::min<double>(k, c.n), rows = std::min(kept * c.heads, c.n * c.kv_heads);  // no more rows than there are
  const double read = c.n * c.d * c.kv_heads + rows * c.d;
  return {c.layers * read * c.bytes, c.layers * (2 * c.n * c.d * c.heads + 2 * kept * c.d * c.heads), full_cost(shape).cache};
}

DecoderCost low_rank_cost(const DecoderShape& shape, int rank) {
  const Counts c(shape);
  const DecoderCost full = full_cost(shape);
  const double projected = rank * c.heads, values = c.d * c.kv_heads;  // numbers per token behind
  const double flops = c.layers * (2 * c.n * c.d * c.heads + 2 * c.n * rank * c.heads + 4 * c.d * rank * c.heads);
  if (projected >= values) return {full.bytes, std::min(flops, full.flops), full.cache};  // the values themselves are fewer
  const double read = c.n * c.d * c.kv_heads + c.n * projected + c.heads * c.d + c.d * rank * c.heads;
  return {c.layers * read * c.bytes, flops, full.cache + c.layers * c.n * projected * c.bytes};
}

}  // namespace assay
