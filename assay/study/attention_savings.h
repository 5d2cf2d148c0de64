// What a decoder would read and compute per token with attention replaced, from counts; no measurement, no cache of anything but keys and
// values in full. For one layer, n tokens behind the one at hand, head size d, H query heads on G heads of keys, b bytes a number:
//   full    reads K and V, 2 n d G;                        computes q.k and p.V, 4 n d H
//   top-k   reads K, and k rows of V per query head;       computes q.k, 2 n d H, and k rows, 2 k d H
//   low-rank of rank r: Z = P_r^T V of every token is kept beside V, since the residual's coefficients are sum_i p_i Z_i - Z_top.
//           reads K, one row of V per query head, and Z: r numbers a token for each *query* head, or V itself where that is fewer
//           (r H >= d G); computes q.k 2 n d H, p.Z 2 n r H, P_r (..) 2 d r H, and Z of the new token, 2 d r H
// Softmax is left out on both sides; so are the weights of P_r, read once per token: d r H numbers, counted in `bytes`.
// Keys are always read whole: the largest score is not known before. Halving is the most that top-1 can save.
#pragma once

#include <cstdint>

namespace assay {

struct DecoderShape {
  int layers = 0;  // replaced
  int heads = 0, kv_heads = 0, head_dim = 0;
  uint64_t context = 0;           // n
  uint64_t bytes_per_number = 2;  // of the cache
};

// Per token, over all replaced layers.
struct DecoderCost {
  double bytes = 0;  // read
  double flops = 0;  // a multiplication and an addition are two
  double cache = 0;  // bytes kept for these layers
};

DecoderCost full_cost(const DecoderShape& shape);
DecoderCost top_k_cost(const DecoderShape& shape, int k);
DecoderCost low_rank_cost(const DecoderShape& shape, int rank);

}  // namespace assay
