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

constexpr int64_t kMaxBatchRows = 1024;                   // more rows per product gain nothing and cost cache
constexpr uint64_t kMaxHeadMemory = uint64_t{192} << 20;  // the same for logits in flight,
constexpr uint64_t kMaxHeadRows = 1024;                   // and for the rows they are of

// Who a stream is carried for: the unedited model, a variant, or a variant without its patches.
struct Member {
  static constexpr size_t kNone = static_cast<size_t>(-1);
  size_t variant = kNone;  // kNone: the base
  bool unpatched = false;
  bool is_base() const { return variant == kNone; }
  auto operator<=>(const Member&) const = default;
};

// A residual stream and those who are still identical on it.
struct Stream {
  at::Tensor h;
  std::vector<Member> members;
  size_t position = 0;  // steps done
  bool carries_base() const {
    return std::any_of(members.begin(), members.end(), [](const Member& member) { return member.is_base(); });
  }
};

// What a variant changes in a block (or at embedding or head), in a fixed order. Empty: nothing.
std::string change_key(const ResolvedVariant& variant, int layer) {
  std::vector<std::string> parts;
  for (const ResolvedEdit& edit : variant.edits)
    if (edit.layer == layer) parts.push_back(std::to_string(static_cast<int>(edit.site)) + ':' + edit.key);
  for (const ResolvedAttention& attention : variant.attention)
    if (attention.layer == layer) parts.push_back("attention:" + attention.key);
  std::sort(parts.begin(), parts.end());
  return join(parts, "|");
}

const ResolvedEdit* find_edit(const ResolvedVariant& variant, int layer) {
  for (const ResolvedEdit& edit : variant.edits)
    if (edit.layer == layer) return &edit;
  return nullptr;
}

bool is_cumulative(const ResolvedVariant& variant) {
  return std::any_of(variant.patches.begin(), variant.patches.end(), [](const ResolvedPatch& patch) { return patch.cumulative; });
}

// Groups the members of a stream by a key, in the order of the keys.
template <class KeyOf>
auto grouped(const std::vector<Member>& members, const KeyOf& key_of) {
  std::map<decltype(key_of(members[0])), std::vector<Member>> groups;
  for (const Member& member : members) groups[key_of(member)].push_back(member);
  return groups;
}

// delta [sequences * rows, d] projected, sequence by sequence, on the first `rank` principal directions of its rows (centred; the
// projection is of delta as it is).
at::Tensor project(const at::Tensor& delta, int64_t sequences, int rank) {
  at::Tensor out = at::empty_like(delta);
  const int64_t rows = delta.size(0) / sequences;
  for (int64_t s = 0; s < sequences; ++s) {
    const at::Tensor own = delta.narrow(0, s * rows, rows).to(at::kDouble);
    const auto [u, sigma, vt] = at::linalg_svd(own - own.mean(0, true), false);
    const at::Tensor directions = vt.narrow(0, 0, std::min<int64_t>(rank, vt.size(0)));
    out.narrow(0, s * rows, rows).copy_(own.matmul(directions.t()).matmul(directions));
  }
  return out;
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
    for (int layer = 0; layer < network.hyper().layers; ++layer) in_order_.push_back({layer});
  }

  // Variants of one pass, by index into variants_.
  Status run(std::span<const size_t> chosen) {
    at::NoGradGuard no_grad;
    ASSAY_TRY(embed(chosen));
    while (std::any_of(streams_.begin(), streams_.end(), [&](const Stream& stream) { return !finished(stream.members, stream.position); }))
      for (int layer = 0; layer < network_.hyper().layers; ++layer) {
        if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "sweep: interrupted between blocks");
        ASSAY_TRY(visit(layer));
        if (options_.deltas) report_deltas(layer);
      }
    return finish();
  }

  int64_t stream_bytes() const { return shape_.rows() * network_.hyper().d_model * 4; }

 private:
  const ResolvedVariant& variant_of(const Member& member) const { return variants_[member.variant]; }

  const std::vector<ResolvedStep>& steps_of(const Member& member) const {
    return member.is_base() || !variant_of(member).steps ? in_order_ : *variant_of(member).steps;
  }
  bool finished(const std::vector<Member>& members, size_t position) const {
    return std::all_of(members.begin(), members.end(), [&](const Member& member) { return position >= steps_of(member).size(); });
  }

  int64_t rows_per_batch() const {
    const auto& hyper = network_.hyper();
    const int64_t bytes_per_row = 4 * (6 * int64_t{hyper.d_model} + 3 * int64_t{hyper.d_ff} + 2 * int64_t{hyper.heads} * hyper.head_dim);
    return std::clamp<int64_t>(static_cast<int64_t>(options_.memory / 4) / bytes_per_row, shape_.rows(),
                               std::max(shape_.rows(), kMaxBatchRows));
  }

  // Results of one attention under different rules that are held at a time; more gains little.
  int64_t contexts_at_once() const {
    constexpr int64_t kMost = 16;
    const int64_t bytes = 4 * shape_.rows() * int64_t{network_.hyper().heads} * network_.hyper().head_dim;
    return std::clamp<int64_t>(static_cast<int64_t>(options_.memory / 8) / bytes, 1, kMost);
  }

  Status embed(std::span<const size_t> chosen) {
    const at::Tensor tokens = token_matrix(windows_);
    ASSAY_ASSIGN(const at::Tensor base, network_.embed(tokens));
    std::vector<Member> all = {Member{}};
    for (const size_t v : chosen) {
      all.push_back({v, false});
      if (is_cumulative(variants_[v])) all.push_back({v, true});
    }
    streams_.clear();
    const auto key_of = [&](const Member& member) {
      return member.is_base() ? std::string() : change_key(variant_of(member), ResolvedEdit::kEmbedding);
    };
    for (auto& [key, members] : grouped(all, key_of)) {
      Stream stream{base, members};
      if (!key.empty()) {
        ASSAY_ASSIGN(const WeightChange change, find_edit(variant_of(members[0]), ResolvedEdit::kEmbedding)->make());
        stream.h = base + change.rows(tokens.flatten(), network_.hyper().d_model).to(base.device());
      }
      streams_.push_back(std::move(stream));
    }
    return {};
  }

  Result<BlockEdit> edit_for(const Member& member, int layer) const { return block_edit(network_, variant_of(member), layer); }

  // The member's rule at this block, if it changes nothing that its attention reads.
  std::shared_ptr<const AttentionRules> rules_alone(const Member& member, int layer) const {
    for (const ResolvedEdit& edit : variant_of(member).edits)
      if (edit.layer == layer && (edit.site == Site::kQ || edit.site == Site::kK || edit.site == Site::kV || edit.site == Site::kQkv))
        return nullptr;
    for (const ResolvedAttention& attention : variant_of(member).attention)
      if (attention.layer == layer) return attention.rules;
    return nullptr;
  }

  // The members of each stream that are due at this block, as streams of their own; the others stay.
  std::vector<Stream> take_due(int layer) {
    std::vector<Stream> due, waiting;
    for (Stream& stream : streams_) {
      const auto is_due = [&](const Member& member) {
        const auto& steps = steps_of(member);
        return stream.position < steps.size() && steps[stream.position].block == layer;
      };
      for (auto& [now, members] : grouped(stream.members, is_due)) (now ? due : waiting).push_back({stream.h, members, stream.position});
    }
    streams_ = std::move(waiting);
    return due;
  }

  // All streams that are due at this block, until none is: a repeated block runs again while its weights are at hand.
  Status visit(int layer) {
    std::vector<Stream> due = take_due(layer);
    if (due.empty()) return {};
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(layer));
    std::optional<Trunk> base;  // the unedited model's products, where the other streams are computed from their distance to it
    if (network_.compute() == Compute::kDeviations) {
      const auto found = std::find_if(due.begin(), due.end(), [](const Stream& stream) { return stream.carries_base(); });
      if (found == due.end())
        return fail(ErrorCode::kUnsupported, {"compute mode 'deviations'", "block " + std::to_string(layer) + " runs out of order",
                                              "float32 or bf16", "the unedited model is not at this block then"});
      const bool last = found->position + 1 == in_order_.size();
      base = run_trunk(*block, last ? last_shape_ : shape_, found->h, nullptr);
    }
    for (; !due.empty(); due = take_due(layer)) ASSAY_TRY(advance(layer, *block, due, base ? &*base : nullptr));
    return check_base(layer);
  }

  // Streams whose last step this is run on scored positions only.
  Status advance(int layer, const Block& block, const std::vector<Stream>& due, const Trunk* base) {
    std::vector<Stream> moved;
    for (const bool last : {false, true}) {
      std::vector<Stream> alike;
      for (const Stream& stream : due) {
        const auto is_last = [&](const Member& member) { return stream.position + 1 == steps_of(member).size(); };
        auto groups = grouped(stream.members, is_last);
        if (!groups[last].empty()) alike.push_back({stream.h, groups[last], stream.position});
      }
      // The base's products at hand have the shape of the base's own step.
      const bool fits = base != nullptr && base->middle.size(0) == (last ? last_shape_ : shape_).query_rows();
      if (base != nullptr && !fits && !alike.empty())
        return fail(ErrorCode::kUnsupported,
                    {"compute mode 'deviations'", "a variant ends at another block than the model", "float32 or bf16", ""});
      ASSAY_TRY(advance(layer, block, last ? last_shape_ : shape_, alike, base, moved));
    }
    ASSAY_TRY(patch(layer, moved));
    std::move(moved.begin(), moved.end(), std::back_inserter(streams_));
    return {};
  }

  // What a member does in the block at this step.
  struct Work {
    std::string changes;
    BlockPart part = BlockPart::kBlock;
    auto operator<=>(const Work&) const = default;
  };

  Status advance(int layer, const Block& block, const StreamShape& shape, std::vector<Stream>& due, const Trunk* base,
                 std::vector<Stream>& moved) {
    std::vector<Stream> plain;
    for (Stream& stream : due) {
      const bool is_base = base != nullptr && stream.carries_base();
      auto groups = grouped(stream.members, [&](const Member& member) {
        if (member.is_base()) return Work{};
        return Work{change_key(variant_of(member), layer), steps_of(member)[stream.position].part};
      });
      std::vector<Member> unedited;
      if (const auto found = groups.find(Work{}); found != groups.end()) {
        unedited = std::move(found->second);
        groups.erase(found);
      }
      const auto whole =
          std::count_if(groups.begin(), groups.end(), [](const auto& group) { return group.first.part == BlockPart::kBlock; });
      const bool fork = whole > 0 && whole + (unedited.empty() ? 0 : 1) > 1;
      std::vector<std::vector<Member>> children;
      for (auto& [work, members] : groups) {
        if (fork && work.part == BlockPart::kBlock) {
          children.push_back(std::move(members));
          continue;
        }
        ASSAY_ASSIGN(const BlockEdit edit, edit_for(members[0], layer));
        const at::Tensor out = run_trunk(block, shape, stream.h, base, edit, work.part).output();
        step({stream.h, std::move(members), stream.position}, shape, out, moved);
      }
      if (children.empty()) {
        if (unedited.empty()) continue;
        Stream one{stream.h, std::move(unedited), stream.position};
        if (is_base) {
          step(std::move(one), shape, base->output(), moved);
        } else {
          plain.push_back(std::move(one));
        }
        continue;
      }
      const Trunk own = is_base ? *base : run_trunk(block, shape, stream.h, base);
      auto outputs = run_forked(
          block, shape, rows_per_batch(), contexts_at_once(), stream.h, own, children.size(),
          [&](size_t child) { return edit_for(children[child][0], layer); },
          [&](size_t child) { return rules_alone(children[child][0], layer); }, base);
      if (!outputs) return fail(std::move(outputs).error());
      for (size_t i = 0; i < children.size(); ++i) step({stream.h, std::move(children[i]), stream.position}, shape, (*outputs)[i], moved);
      if (!unedited.empty()) step({stream.h, std::move(unedited), stream.position}, shape, own.output(), moved);
      stream.h.reset();
    }
    std::vector<at::Tensor> stacked;
    for (const Stream& stream : plain) stacked.push_back(stream.h);
    run_stacked(block, shape, rows_per_batch(), stacked, base);
    for (size_t i = 0; i < plain.size(); ++i) step(std::move(plain[i]), shape, stacked[i], moved);
    return {};
  }

  // A stream after its step: from its input h and the block's output; members whose steps are damped differently part here.
  void step(Stream stream, const StreamShape& shape, const at::Tensor& out, std::vector<Stream>& moved) const {
    const auto gamma_of = [&](const Member& member) { return steps_of(member)[stream.position].gamma; };
    for (auto& [gamma, members] : grouped(stream.members, gamma_of)) {
      at::Tensor h = out;
      if (gamma != 1) {
        const at::Tensor in = query_rows(stream.h, shape);
        h = in + (out - in) * gamma;
      }
      moved.push_back({h, members, stream.position + 1});
    }
  }

  // Pulls patched members' streams towards the base.
  Status patch(int layer, std::vector<Stream>& moved) const {
    std::vector<Stream> patched;
    for (Stream& stream : moved) {
      std::vector<Member> untouched;
      for (const Member& member : stream.members) {
        std::vector<ResolvedPatch> patches;
        if (!member.is_base() && !member.unpatched)
          for (const ResolvedPatch& one : variant_of(member).patches)
            if (one.layer == layer) patches.push_back(one);
        if (patches.empty()) {
          untouched.push_back(member);
          continue;
        }
        at::Tensor h = stream.h;
        for (const ResolvedPatch& one : patches) {
          ASSAY_ASSIGN(const at::Tensor from, stream_of(moved, Member{}, h, layer));
          at::Tensor of = h;
          if (one.cumulative) {
            ASSAY_ASSIGN(of, stream_of(moved, Member{member.variant, true}, h, layer));
          }
          if (one.rank == 0 && !one.cumulative) {
            h = from;  // exactly: h + (from - h) would round
            continue;
          }
          const at::Tensor delta = from - of;
          h = h + (one.rank == 0 ? delta : project(delta, shape_.sequences, one.rank));
        }
        patched.push_back({h, {member}, stream.position});
      }
      stream.members = std::move(untouched);
    }
    std::erase_if(moved, [](const Stream& stream) { return stream.members.empty(); });
    std::move(patched.begin(), patched.end(), std::back_inserter(moved));
    return {};
  }

  // The stream after this block that a member is on, with as many rows as `like`.
  Result<at::Tensor> stream_of(const std::vector<Stream>& moved, const Member& member, const at::Tensor& like, int layer) const {
    for (const Stream& stream : moved) {
      if (std::find(stream.members.begin(), stream.members.end(), member) == stream.members.end()) continue;
      if (stream.h.size(0) == like.size(0)) return stream.h;
      if (stream.h.size(0) == shape_.rows()) return query_rows(stream.h, last_shape_);
    }
    return fail(ErrorCode::kUnsupported, {"residual patch after block " + std::to_string(layer), "the unedited model is not there then",
                                          "blocks in the model's own order", ""});
  }

  void report_deltas(int layer) const {
    const auto in_order = [&](const Member& member) { return member.is_base() || !variant_of(member).steps; };
    const auto done = static_cast<size_t>(layer) + 1;
    const auto base = std::find_if(streams_.begin(), streams_.end(),
                                   [&](const Stream& stream) { return stream.carries_base() && stream.position == done; });
    if (base == streams_.end()) return;
    for (const Stream& stream : streams_) {
      if (stream.carries_base() || stream.position != done) continue;
      at::Tensor delta;
      for (const Member& member : stream.members) {
        if (member.unpatched || !in_order(member)) continue;
        if (!delta.defined()) delta = stream.h - base->h;
        options_.deltas(member.variant, layer, delta);
      }
    }
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
    std::vector<std::vector<Member>> members;
    struct ChangedHead {
      at::Tensor hidden;
      std::vector<Member> members;
    };
    std::vector<ChangedHead> changed;
    for (const Stream& stream : streams_) {
      // Without a single step a stream still has all positions.
      const at::Tensor hidden = stream.position == 0 ? query_rows(stream.h, last_shape_) : stream.h;
      std::vector<Member> seen;
      for (const Member& member : stream.members) {
        if (member.is_base()) base = hidden;
        if (!member.is_base() && !member.unpatched) seen.push_back(member);
      }
      for (auto& [key, group] : grouped(seen, [&](const Member& member) { return change_key(variant_of(member), ResolvedEdit::kHead); })) {
        if (key.empty()) {
          heads.push_back(HeadStream{hidden, nullptr});
          members.push_back(group);
        } else {
          changed.push_back({hidden, group});
        }
      }
    }
    streams_.clear();
    ASSAY_TRY(reduce(base, heads, members));
    for (ChangedHead& one : changed) {
      ASSAY_ASSIGN(const WeightChange change, find_edit(variant_of(one.members[0]), ResolvedEdit::kHead)->make());
      const HeadStream head{one.hidden, std::make_shared<const PackedChange>(
                                            PackedChange::pack(change, compute_of_changes(network_.compute()), network_.device()))};
      ASSAY_TRY(reduce(base, {&head, 1}, {&one.members, 1}));
    }
    return {};
  }

  Status reduce(const at::Tensor& base, std::span<const HeadStream> heads, std::span<const std::vector<Member>> members) {
    const size_t scored = windows_[0].scored();
    const uint64_t row_bytes = static_cast<uint64_t>(network_.head().out()) * sizeof(float);
    const HeadOptions head{std::min({options_.memory / 4, kMaxHeadMemory, kMaxHeadRows * row_bytes}), options_.allow_non_finite};
    return compare_heads(network_, base, network_, heads, labels_, head, [&](size_t stream, std::span<const PositionObservation> rows) {
      for (const Member& member : members[stream])
        for (size_t w = 0; w < windows_.size(); ++w) sink_(member.variant, w, rows.subspan(w * scored, scored));
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
  std::vector<ResolvedStep> in_order_;
  std::vector<Stream> streams_;
};

}  // namespace

int first_change(const ResolvedVariant& variant, int layers) {
  int first = layers;
  for (const ResolvedEdit& edit : variant.edits)
    if (edit.layer != ResolvedEdit::kHead) first = std::min(first, edit.layer);
  for (const ResolvedAttention& attention : variant.attention) first = std::min(first, attention.layer);
  for (const ResolvedPatch& patch : variant.patches) first = std::min(first, patch.layer);
  if (!variant.steps) return first;
  const std::vector<ResolvedStep>& steps = *variant.steps;
  for (int i = 0; i < first; ++i) {
    const auto at = static_cast<size_t>(i);
    if (at >= steps.size() || steps[at].block != i || steps[at].part != BlockPart::kBlock || steps[at].gamma != 1) return i;
  }
  return first;
}

Result<BlockEdit> block_edit(const Network& network, const ResolvedVariant& variant, int layer) {
  BlockEdit block;
  for (const ResolvedEdit& edit : variant.edits) {
    if (edit.layer != layer) continue;
    ASSAY_ASSIGN(const WeightChange change, edit.make());
    block.deltas[static_cast<size_t>(edit.site)] =
        std::make_shared<const PackedChange>(PackedChange::pack(change, compute_of_changes(network.compute()), network.device()));
  }
  for (const ResolvedAttention& attention : variant.attention)
    if (attention.layer == layer) block.attention = attention.rules;
  return block;
}

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
  const auto first_layer = [&](size_t v) { return first_change(variants[v], network.hyper().layers); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return first_layer(a) < first_layer(b); });

  Sweep sweep(network, windows, variants, options, sink, progress);
  const auto pass = static_cast<size_t>(std::max<int64_t>(1, static_cast<int64_t>(options.memory / 2) / sweep.stream_bytes()));
  for (size_t begin = 0; begin < order.size(); begin += pass)
    ASSAY_TRY(sweep.run(std::span<const size_t>(order).subspan(begin, std::min(pass, order.size() - begin))));
  return {};
}

Result<at::Tensor> run_blocks(const Network& network, std::span<const Window> windows, const ProductObserver& observe,
                              const StreamObserver& stream) {
  at::NoGradGuard no_grad;
  const auto sequences = static_cast<int64_t>(windows.size()), tokens = static_cast<int64_t>(windows[0].tokens.size());
  ASSAY_ASSIGN(at::Tensor h, network.embed(token_matrix(windows)));
  const int layers = network.hyper().layers;
  if (stream) stream(0, h);
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
    if (layer + 1 == layers && !observe && !stream) {
      h = block->forward_scored(h, sequences, tokens, windows[0].score_begin, windows[0].score_end, linear);
    } else {
      h = block->forward(h, sequences, tokens, linear);
    }
    if (!at::isfinite(h.sum()).item<bool>()) {
      return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                         "finite activations are needed", "broken weights in this block"});
    }
    if (stream) stream(layer + 1, h.reshape({sequences * tokens, -1}));
  }
  return observe || stream ? h.reshape({sequences * tokens, -1}) : h;
}

}  // namespace assay
