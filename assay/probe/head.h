// The head of all streams of a window group: logits in row tiles, compared with the base's tile and reduced to observations at
// once. No window's logits are ever whole in memory; base logits are recomputed per call and never stored (design.md section 5).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/head_kernels.h"
#include "assay/probe/weight_change.h"

namespace assay {

struct HeadStream {
  at::Tensor hidden;                          // [rows, d]: the last block's output at the scored positions
  std::shared_ptr<const PackedChange> delta;  // change of the head matrix, or null
};

// Called once per stream with one observation per row, rows in order. Never called twice for a stream.
using HeadSink = std::function<void(size_t stream, std::span<const PositionObservation> rows)>;

struct HeadOptions {
  uint64_t memory = uint64_t{256} << 20;  // bytes of logits in flight
  bool allow_non_finite = false;          // a stream's positions without finite logits count as a uniform prediction
};

// Compares every stream with `base` (hidden state of the unedited model) under `base_network`'s head; `network` is the head that
// the streams use (the same object for variants of one model). labels: the true next token per row.
// Non-finite logits: kBadInput naming base or stream and the row, but for streams if they are allowed.
Status compare_heads(const Network& base_network, const at::Tensor& base, const Network& network, std::span<const HeadStream> streams,
                     std::span<const int32_t> labels, const HeadOptions& options, const HeadSink& sink);

// Without a base: negative log-likelihood (nats) of each row's label.
Status head_nll(const Network& network, const at::Tensor& hidden, std::span<const int32_t> labels, const HeadOptions& options,
                std::span<double> nll);
// The same of labels at rows that ascend: a row may have several, or none. delta: change of the head matrix, or null.
struct LabelAt {
  int64_t row = 0;
  int32_t label = 0;
};
Status head_nll(const Network& network, const at::Tensor& hidden, std::span<const LabelAt> labels, const PackedChange* delta,
                const HeadOptions& options, std::span<double> nll);

}  // namespace assay
