// The sweep: one pass over the blocks for the base and many changed models at once (design.md section 5).
// Streams whose weights equal so far are one stream; a change forks inside the block where it first differs; everything unedited
// is stacked; the head of all streams is reduced to observations tile by tile. Changed models that agree on blocks 0..k share them.
// Blocks may be left out, repeated, damped or reordered, attention may follow other rules, and a stream may be pulled towards the base.
// Results do not depend on what runs together, on threads or on memory (rule of rows). Non-goals: resume (job/), statistics.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/fork.h"
#include "assay/probe/head_kernels.h"
#include "assay/text/windows.h"

namespace assay {

// One changed matrix, as the sweep sees it: where, and how to make the change.
struct ResolvedEdit {
  static constexpr int kEmbedding = -1;  // the rows looked up at the input
  static constexpr int kHead = -2;       // the output matrix
  int layer = 0;
  Site site = Site::kQ;  // for layer >= 0
  std::string key;       // equal keys, equal change
  std::function<Result<WeightChange>()> make;
};

// One run of a block: h + gamma * (what the block, or its part, adds to h).
struct ResolvedStep {
  int block = 0;
  BlockPart part = BlockPart::kBlock;
  double gamma = 1;
};

struct ResolvedAttention {
  int layer = 0;
  std::string key;  // equal keys, equal rules
  std::shared_ptr<const AttentionRules> rules;
};

// The stream after a block of its own, plus delta = base - stream, or plus delta's projection on its first principal directions.
struct ResolvedPatch {
  int layer = 0;
  int rank = 0;             // 0: delta itself
  bool cumulative = false;  // delta of the same variant without its patches (methods.md 2.7: the published form)
};

struct ResolvedVariant {
  std::vector<ResolvedEdit> edits;
  std::optional<std::vector<ResolvedStep>> steps{};  // none: every block once, in order
  std::vector<ResolvedAttention> attention{};
  std::vector<ResolvedPatch> patches{};
};

// Sees what a variant changed in the residual stream, after each block that it runs in the model's order: its stream less the unedited
// model's, [windows * tokens, d]; after the last block at scored positions only. Variants still identical to the model are not reported.
using DeltaObserver = std::function<void(size_t variant, int layer, const at::Tensor& delta)>;

struct SweepOptions {
  uint64_t memory = uint64_t{2} << 30;  // bytes for streams and logits (weights are the network's own budget)
  // Positions where a changed model's logits are not finite count as a uniform prediction, and as not finite, instead of failing.
  bool allow_non_finite = false;
  DeltaObserver deltas = {};  // may be empty
};

// All windows of a call have one length and one scored range.
using SweepSink = std::function<void(size_t variant, size_t window, std::span<const PositionObservation> positions)>;

// Runs every variant on every window. Errors: non-finite values (kBadInput), a failing edit, kInterrupted, a patch where the base is not
// at the same block (kUnsupported).
Status run_sweep(const Network& network, std::span<const Window> windows, std::span<const ResolvedVariant> variants,
                 const SweepOptions& options, const SweepSink& sink, Progress& progress = silent_progress());

// Blocks before this one a variant shares with the unedited model: -1 for a changed embedding, all for a changed head.
int first_change(const ResolvedVariant& variant, int layers);

// What a variant changes in one block, ready for products.
Result<BlockEdit> block_edit(const Network& network, const ResolvedVariant& variant, int layer);

// The residual streams of the unedited model after all blocks, at the scored positions: [windows * scored, d].
// `observe` (may be empty) sees every product: imatrix, and activations for scores; with it all positions: [windows * tokens, d].
using ProductObserver = std::function<void(int layer, Site site, const at::Tensor& x)>;
// `stream` (may be empty) sees the residual stream [windows * tokens, d] before the first block (blocks = 0) and after each; with it all
// positions too.
using StreamObserver = std::function<void(int blocks, const at::Tensor& h)>;
Result<at::Tensor> run_blocks(const Network& network, std::span<const Window> windows, const ProductObserver& observe = {},
                              const StreamObserver& stream = {});

// The next tokens that the scored positions of these windows predict, in row order.
std::vector<int32_t> scored_labels(std::span<const Window> windows);
// The tokens of windows of one length, [windows, tokens] int32.
at::Tensor token_matrix(std::span<const Window> windows);

}  // namespace assay
