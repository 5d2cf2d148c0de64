// One block for many streams: streams without an edit here are stacked and run together; edited ones fork from their parent
// inside the block, at the first edited matrix, and re-use everything the parent computed before it (design.md section 5).
// In compute mode deviations the unedited model's own products are made first; every other stream's product is the unedited one's plus
// the product of its distance (Matrix::add_deviation), whatever stream it forks from.
// An edit is additive, y' = y + x dW^T, by kind and never by load, so a forked stream equals the same stream run alone bit for bit.
// Non-goals: what an edit is (weight_change.h), the order of blocks and the head (sweep.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/variant.h"
#include "assay/probe/weight_change.h"

namespace assay {

using BlockPart = ScheduleEdit::Part;

// The rows of one stream: `sequences` windows of `tokens` tokens; in the last block queries, output projection and feed-forward
// run on positions [query_begin, query_end) only.
struct StreamShape {
  int64_t sequences = 1;
  int64_t tokens = 0;
  int64_t query_begin = 0;
  int64_t query_end = 0;
  bool whole() const { return query_begin == 0 && query_end == tokens; }
  int64_t rows() const { return sequences * tokens; }
  int64_t query_rows() const { return sequences * (query_end - query_begin); }
};

// What one stream changes in one block: matrices, and the rule of attention; null where it changes nothing.
struct BlockEdit {
  std::array<std::shared_ptr<const PackedChange>, kSiteCount> deltas;
  std::shared_ptr<const AttentionRules> attention;
};

// Everything a stream computes in a block; children alias what lies before their first edit.
struct Trunk {
  at::Tensor x_all, x_query, q, k, v, context, projected, middle, x_ffn, gate, up, activated, down;
  at::Tensor output() const { return down.defined() ? middle + down : middle; }
  // Input and output (with the bias in it) of a product.
  const at::Tensor& input(Site site) const;
  const at::Tensor& product(Site site) const;
};

// In the functions below `base` is the unedited model's trunk in compute mode deviations, and null in the others.
// One stream with its edits (default: none) through the block, or through the part of it that runs.
Trunk run_trunk(const Block& block, const StreamShape& shape, const at::Tensor& h, const Trunk* base, const BlockEdit& edit = {},
                BlockPart part = BlockPart::kBlock);

// Runs `block` on streams h (each [rows, d]), none of them edited here; at most `rows_per_batch` rows at a time.
// Replaces each h by the block's output (query rows only, if the shape says so).
void run_stacked(const Block& block, const StreamShape& shape, int64_t rows_per_batch, std::span<at::Tensor> streams, const Trunk* base);

// Makes the edits of child i; asked for just before they are needed, dropped just after.
using ChildEdits = std::function<Result<BlockEdit>(size_t child)>;

// The rule of child i's attention where it changes nothing before it; null for the others. Such children share one pass over the keys.
using ChildRules = std::function<std::shared_ptr<const AttentionRules>(size_t child)>;

// Forks `children` children from a parent [rows, d] whose trunk is given; returns their outputs. Bit-equal to run_trunk for each child.
// contexts: of so many children with rules the attention's results [rows, heads * head_dim] are there at once.
Result<std::vector<at::Tensor>> run_forked(const Block& block, const StreamShape& shape, int64_t rows_per_batch, int64_t contexts,
                                           const at::Tensor& parent, const Trunk& trunk, size_t children, const ChildEdits& edit_of,
                                           const ChildRules& rules_of, const Trunk* base);

// The rows of x [sequences * tokens, width] at the shape's query positions.
at::Tensor query_rows(const at::Tensor& x, const StreamShape& shape);

}  // namespace assay
