#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "assay/base/text.h"
#include "assay/probe/fork.h"
#include "assay/probe/head.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBase = static_cast<size_t>(-1);         // the unedited model among a stream's members
constexpr int64_t kMaxBatchRows = 1024;                   // more rows per product gain nothing and cost cache
constexpr uint64_t kMaxHeadMemory = uint64_t{192} << 20;  // the same for logits in flight

// A stream and the variants that are still identical on it.
struct Stream {
  at::Tensor h;
  std::vector<size_t> members;
  bool carries_base() const { return std::find(members.begin(), members.end(), kBase) != members.end(); }
};

int block_of(const ResolvedEdit& edit) { return edit.layer; }

// What a variant changes in a block (or at embedding or head): its edits' keys, in a fixed order. Empty: nothing.
std::string change_key(const ResolvedVariant& variant, int layer) {
  std::vector<std::string> parts;
  for (const ResolvedEdit& edit : variant.edits)
    if (block_of(edit) == layer) parts.push_back(std::to_string(static_cast<int>(edit.site)) + ':' + edit.key);
  std::sort(parts.begin(), parts.end());
  return join(parts, "|");
}

const ResolvedEdit* find_edit(const ResolvedVariant& variant, int layer) {
  for (const ResolvedEdit& edit : variant.edits)
    if (block_of(edit) == layer) return &edit;
  return nullptr;
}

class Sweep {
 public:
  Sweep(const Network& network, std::span<const Window> windows, std::span<const ResolvedVariant> variants, const SweepOptions& options,
        const SweepSink& sink, Progress& progress)
      : network_(network),
        windows_(windows),
        variants_(variants),
        options_(options),
        sink_(sink),
        progress_(progress),
        labels_(scored_labels(windows)) {
    const Window& first = windows[0];
    shape_.sequences = static_cast<int64_t>(windows.size());
    shape_.tokens = static_cast<int64_t>(first.tokens.size());
    shape_.query_begin = 0;
    shape_.query_end = shape_.tokens;
    last_shape_ = shape_;
    last_shape_.query_begin = first.score_begin;
    last_shape_.query_end = first.score_end;
  }

  // Variants of one pass, by index into variants_.
  Status run(std::span<const size_t> chosen) {
    at::NoGradGuard no_grad;
    ASSAY_TRY(embed(chosen));
    const int layers = network_.hyper().layers;
    for (int layer = 0; layer < layers; ++layer) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "sweep: interrupted between blocks");
      ASSAY_TRY(advance(layer, layer + 1 == layers ? last_shape_ : shape_));
    }
    return finish();
  }

  int64_t stream_bytes() const { return shape_.rows() * network_.hyper().d_model * 4; }

 private:
  int64_t rows_per_batch() const {
    const auto& hyper = network_.hyper();
    const int64_t bytes_per_row = 4 * (6 * int64_t{hyper.d_model} + 3 * int64_t{hyper.d_ff} + 2 * int64_t{hyper.heads} * hyper.head_dim);
    return std::clamp<int64_t>(static_cast<int64_t>(options_.memory / 4) / bytes_per_row, shape_.rows(),
                               std::max(shape_.rows(), kMaxBatchRows));
  }

  Status embed(std::span<const size_t> chosen) {
    const at::Tensor tokens = token_matrix(windows_);
    ASSAY_ASSIGN(const at::Tensor base, network_.embed(tokens));
    std::map<std::string, std::vector<size_t>> groups;
    groups[""] = {kBase};
    for (const size_t v : chosen) groups[change_key(variants_[v], ResolvedEdit::kEmbedding)].push_back(v);
    streams_.clear();
    for (auto& [key, members] : groups) {
      Stream stream{base, std::move(members)};
      if (!key.empty()) {
        ASSAY_ASSIGN(const at::Tensor delta, find_edit(variants_[stream.members[0]], ResolvedEdit::kEmbedding)->make());
        stream.h = base + delta.index_select(0, tokens.flatten()).to(base.device());
      }
      streams_.push_back(std::move(stream));
    }
    return {};
  }

  Result<BlockDeltas> deltas_for(size_t variant, int layer) const {
    BlockDeltas deltas;
    for (const ResolvedEdit& edit : variants_[variant].edits) {
      if (block_of(edit) != layer) continue;
      ASSAY_ASSIGN(const at::Tensor change, edit.make());
      deltas[static_cast<size_t>(edit.site)] =
          std::make_shared<const Matrix>(Matrix::pack(change, compute_of_changes(network_.compute()), network_.device()));
    }
    return deltas;
  }

  // The unedited model's products in this block, where the other streams are computed from their distance to it.
  std::optional<Trunk> trunk_of_base(const Block& block, const StreamShape& shape) const {
    if (network_.compute() != Compute::kDeviations) return std::nullopt;
    const auto base = std::find_if(streams_.begin(), streams_.end(), [](const Stream& stream) { return stream.carries_base(); });
    return run_trunk(block, shape, base->h, nullptr);
  }

  // All streams through one block. Splits the members of each stream by what they change here.
  Status advance(int layer, const StreamShape& shape) {
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(layer));
    const std::optional<Trunk> base_trunk = trunk_of_base(*block, shape);
    const Trunk* base = base_trunk ? &*base_trunk : nullptr;
    std::vector<Stream> next, plain;
    for (Stream& stream : streams_) {
      const bool is_base = base != nullptr && stream.carries_base();
      std::map<std::string, std::vector<size_t>> groups;
      for (const size_t m : stream.members) groups[m == kBase ? "" : change_key(variants_[m], layer)].push_back(m);
      Stream unedited{stream.h, {}};
      if (const auto found = groups.find(""); found != groups.end()) {
        unedited.members = std::move(found->second);
        groups.erase(found);
      }
      if (groups.empty()) {
        if (is_base) unedited.h = base->output();
        (is_base ? next : plain).push_back(std::move(unedited));
        continue;
      }
      std::vector<std::vector<size_t>> children;
      for (auto& [key, members] : groups) children.push_back(std::move(members));
      if (unedited.members.empty() && children.size() == 1) {
        ASSAY_ASSIGN(const BlockDeltas deltas, deltas_for(children[0][0], layer));
        next.push_back(Stream{run_edited(*block, shape, stream.h, deltas, base), std::move(children[0])});
        continue;
      }
      const Trunk own = is_base ? *base : run_trunk(*block, shape, stream.h, base);
      auto outputs = run_forked(
          *block, shape, rows_per_batch(), stream.h, own, children.size(),
          [&](size_t child) { return deltas_for(children[child][0], layer); }, base);
      if (!outputs) return fail(std::move(outputs).error());
      for (size_t i = 0; i < children.size(); ++i) next.push_back(Stream{(*outputs)[i], std::move(children[i])});
      unedited.h = own.output();
      if (!unedited.members.empty()) next.push_back(std::move(unedited));
      stream.h.reset();
    }
    streams_.clear();
    std::vector<at::Tensor> stacked;
    for (Stream& stream : plain) stacked.push_back(std::move(stream.h));
    run_stacked(*block, shape, rows_per_batch(), stacked, base);
    for (size_t i = 0; i < plain.size(); ++i) plain[i].h = std::move(stacked[i]);
    std::move(plain.begin(), plain.end(), std::back_inserter(next));
    streams_ = std::move(next);
    return check_base(layer);
  }

  // A model whose weights are broken is named by its first broken block.
  Status check_base(int layer) const {
    for (const Stream& stream : streams_) {
      if (!stream.carries_base() || at::isfinite(stream.h.sum()).item<bool>()) continue;
      return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                         "finite activations are needed", "broken weights in this block"});
    }
    return {};
  }

  // Streams under the model's own head go together; one whose head is changed goes alone, since a head is large.
  Status finish() {
    at::Tensor base;
    std::vector<HeadStream> heads;
    std::vector<std::vector<size_t>> members;
    struct ChangedHead {
      at::Tensor hidden;
      std::vector<size_t> members;
    };
    std::vector<ChangedHead> changed;
    for (const Stream& stream : streams_) {
      std::map<std::string, std::vector<size_t>> groups;
      for (const size_t m : stream.members) {
        if (m == kBase) {
          base = stream.h;
        } else {
          groups[change_key(variants_[m], ResolvedEdit::kHead)].push_back(m);
        }
      }
      for (auto& [key, group] : groups) {
        if (key.empty()) {
          heads.push_back(HeadStream{stream.h, nullptr});
          members.push_back(std::move(group));
        } else {
          changed.push_back({stream.h, std::move(group)});
        }
      }
    }
    streams_.clear();
    ASSAY_TRY(reduce(base, heads, members));
    for (ChangedHead& one : changed) {
      ASSAY_ASSIGN(const at::Tensor change, find_edit(variants_[one.members[0]], ResolvedEdit::kHead)->make());
      const auto delta = std::make_shared<const Matrix>(Matrix::pack(change, compute_of_changes(network_.compute()), network_.device()));
      const HeadStream head{one.hidden, delta};
      ASSAY_TRY(reduce(base, {&head, 1}, {&one.members, 1}));
    }
    return {};
  }

  Status reduce(const at::Tensor& base, std::span<const HeadStream> heads, std::span<const std::vector<size_t>> members) {
    const size_t scored = windows_[0].scored();
    return compare_heads(network_, base, network_, heads, labels_, HeadOptions{std::min(options_.memory / 4, kMaxHeadMemory)},
                         [&](size_t stream, std::span<const PositionObservation> rows) {
                           for (const size_t variant : members[stream])
                             for (size_t w = 0; w < windows_.size(); ++w) sink_(variant, w, rows.subspan(w * scored, scored));
                         });
  }

  const Network& network_;
  std::span<const Window> windows_;
  std::span<const ResolvedVariant> variants_;
  const SweepOptions& options_;
  const SweepSink& sink_;
  Progress& progress_;
  std::vector<int32_t> labels_;
  StreamShape shape_, last_shape_;
  std::vector<Stream> streams_;
};

}  // namespace

std::vector<int32_t> scored_labels(std::span<const Window> windows) {
  std::vector<int32_t> labels;
  for (const Window& window : windows)
    labels.insert(labels.end(), window.labels.begin() + window.score_begin, window.labels.begin() + window.score_end);
  return labels;
}

at::Tensor token_matrix(std::span<const Window> windows) {
  const auto tokens = static_cast<int64_t>(windows[0].tokens.size());
  at::Tensor matrix = at::empty({static_cast<int64_t>(windows.size()), tokens}, at::kInt);
  for (size_t w = 0; w < windows.size(); ++w)
    std::copy(windows[w].tokens.begin(), windows[w].tokens.end(), matrix.mutable_data_ptr<int32_t>() + static_cast<int64_t>(w) * tokens);
  return matrix;
}

Status run_sweep(const Network& network, std::span<const Window> windows, std::span<const ResolvedVariant> variants,
                 const SweepOptions& options, const SweepSink& sink, Progress& progress) {
  if (windows.empty() || variants.empty()) return {};
  // Variants in the order of their first edit, so that a pass forks late and few blocks at a time.
  std::vector<size_t> order(variants.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto first_layer = [&](size_t v) {
    int first = network.hyper().layers;
    for (const ResolvedEdit& edit : variants[v].edits)
      if (edit.layer != ResolvedEdit::kHead) first = std::min(first, edit.layer);
    return first;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return first_layer(a) < first_layer(b); });

  Sweep sweep(network, windows, variants, options, sink, progress);
  const auto pass = static_cast<size_t>(std::max<int64_t>(1, static_cast<int64_t>(options.memory / 2) / sweep.stream_bytes()));
  for (size_t begin = 0; begin < order.size(); begin += pass)
    ASSAY_TRY(sweep.run(std::span<const size_t>(order).subspan(begin, std::min(pass, order.size() - begin))));
  return {};
}

Result<at::Tensor> run_blocks(const Network& network, std::span<const Window> windows, const ProductObserver& observe) {
  at::NoGradGuard no_grad;
  const auto sequences = static_cast<int64_t>(windows.size()), tokens = static_cast<int64_t>(windows[0].tokens.size());
  ASSAY_ASSIGN(at::Tensor h, network.embed(token_matrix(windows)));
  const int layers = network.hyper().layers;
  for (int layer = 0; layer < layers; ++layer) {
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network.block(layer));
    LinearFn linear;
    if (observe) {
      linear = [&](Site site, const at::Tensor& x) {
        observe(layer, site, x);
        return block->linear(site, x);
      };
    }
    // An observer wants every token's input, also in the last block.
    if (layer + 1 == layers && !observe) {
      h = block->forward_scored(h, sequences, tokens, windows[0].score_begin, windows[0].score_end, linear);
    } else {
      h = block->forward(h, sequences, tokens, linear);
    }
    if (!at::isfinite(h.sum()).item<bool>()) {
      return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                         "finite activations are needed", "broken weights in this block"});
    }
  }
  return observe ? h.reshape({sequences * tokens, -1}) : h;
}

}  // namespace assay
