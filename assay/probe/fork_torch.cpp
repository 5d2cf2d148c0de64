#include <algorithm>

#include "assay/probe/fork.h"

namespace assay {

at::Tensor query_rows(const at::Tensor& x, const StreamShape& shape) {
  if (shape.whole()) return x;
  const int64_t width = x.size(1);
  return x.reshape({shape.sequences, shape.tokens, width})
      .narrow(1, shape.query_begin, shape.query_end - shape.query_begin)
      .reshape({-1, width});
}

namespace {

size_t index_of(Site site) { return static_cast<size_t>(site); }

at::Tensor linear(const Block& block, Site site, const at::Tensor& x, const Trunk* base) {
  return base == nullptr ? block.linear(site, x) : block.linear_near(site, round_deviation(x, base->input(site)), base->product(site));
}

class Forker {
 public:
  Forker(const Block& block, const StreamShape& shape, const Trunk* base)
      : block_(block), shape_(shape), base_(base), fused_(block.has(Site::kQkv)) {}

  Trunk run_trunk(const at::Tensor& h, const BlockEdit& edit, BlockPart part) const {
    Trunk t;
    const auto product = [&](Site site, const at::Tensor& x) {
      at::Tensor y = linear(site, x);
      if (const PackedChange* change = delta(edit, site)) change->multiply_add(x, y);
      return y;
    };
    t.middle = query_rows(h, shape_);
    if (part != BlockPart::kFfn) {
      t.x_all = block_.attention_input(h);
      t.x_query = query_rows(t.x_all, shape_);
      if (fused_) {
        t.q = product(Site::kQkv, t.x_all);
      } else {
        t.q = product(Site::kQ, t.x_query);
        t.k = product(Site::kK, t.x_all);
        t.v = product(Site::kV, t.x_all);
      }
      t.context = attend(t.q, t.k, t.v, 1, edit.attention.get());
      t.projected = product(Site::kO, t.context);
      t.middle = t.middle + t.projected;
    }
    if (part == BlockPart::kAttention) return t;
    t.x_ffn = block_.ffn_input(t.middle);
    if (block_.has(Site::kGate)) t.gate = product(Site::kGate, t.x_ffn);
    t.up = product(Site::kUp, t.x_ffn);
    t.activated = block_.activate(t.gate, t.up);
    t.down = product(Site::kDown, t.activated);
    return t;
  }

  // The trunk's attention under several rules.
  std::vector<at::Tensor> contexts(const Trunk& trunk, std::span<const AttentionRules* const> rules) const {
    const auto heads =
        fused_ ? block_.heads_of_fused(trunk.q, shape_.sequences, shape_.tokens, shape_.query_begin, shape_.query_end)
               : block_.heads_of(trunk.q, trunk.k, trunk.v, shape_.sequences, shape_.tokens, shape_.query_begin, shape_.query_end);
    return block_.attention_under(heads, shape_.query_begin, rules);
  }

  // The children's outputs, all forked from one trunk; they run stacked from their fork onward. contexts: of the children whose
  // attention's result is known; the others' are undefined.
  std::vector<at::Tensor> fork(const at::Tensor& h, const Trunk& trunk, std::span<const BlockEdit> children,
                               std::vector<at::Tensor> contexts) const {
    const size_t n = children.size();
    std::vector<at::Tensor> projected(n), middle(n), gate(n), up(n), activated(n), down(n);
    fork_attention(trunk, children, std::move(contexts), projected);
    const at::Tensor residual = query_rows(h, shape_);
    for (size_t i = 0; i < n; ++i)
      if (projected[i].defined()) middle[i] = residual + projected[i];
    fork_ffn(trunk, children, middle, gate, up);
    fork_down(trunk, children, gate, up, activated, down);
    std::vector<at::Tensor> out(n);
    for (size_t i = 0; i < n; ++i) {
      const at::Tensor& base = middle[i].defined() ? middle[i] : trunk.middle;
      out[i] = base + (down[i].defined() ? down[i] : trunk.down);
    }
    return out;
  }

 private:
  at::Tensor linear(Site site, const at::Tensor& x) const { return assay::linear(block_, site, x, base_); }

  using Tensors = std::vector<at::Tensor>;

  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t streams,
                    const AttentionRules* rules = nullptr) const {
    const int64_t sequences = shape_.sequences * streams;
    if (fused_) return block_.attention_fused(q, sequences, shape_.tokens, shape_.query_begin, shape_.query_end, rules);
    return block_.attention(q, k, v, sequences, shape_.tokens, shape_.query_begin, shape_.query_end, rules);
  }

  static const PackedChange* delta(const BlockEdit& edit, Site site) { return edit.deltas[index_of(site)].get(); }

  // The parent's y plus x dW^T where the child edits `site`; undefined where it does not.
  static at::Tensor edited(const at::Tensor& y, const at::Tensor& x, const PackedChange* delta) {
    if (delta == nullptr) return {};
    at::Tensor changed = y.clone();
    delta->multiply_add(x, changed);
    return changed;
  }

  static at::Tensor stack(const Tensors& parts, const std::vector<size_t>& members) {
    Tensors chosen;
    for (const size_t i : members) chosen.push_back(parts[i]);
    return chosen.size() == 1 ? chosen[0] : at::cat(chosen);
  }

  static void unstack(const at::Tensor& all, const std::vector<size_t>& members, Tensors& parts) {
    const int64_t rows = all.size(0) / static_cast<int64_t>(members.size());
    for (size_t i = 0; i < members.size(); ++i) parts[members[i]] = all.narrow(0, static_cast<int64_t>(i) * rows, rows);
  }

  void fork_attention(const Trunk& trunk, std::span<const BlockEdit> children, Tensors context, Tensors& projected) const {
    const size_t n = children.size();
    Tensors q(n), k(n), v(n);
    std::vector<size_t> changed, alike;  // alike: of these, those under the model's own rule
    for (size_t i = 0; i < n; ++i) {
      if (context[i].defined()) {
        changed.push_back(i);
        continue;
      }
      const BlockEdit& d = children[i];
      q[i] = fused_ ? edited(trunk.q, trunk.x_all, delta(d, Site::kQkv)) : edited(trunk.q, trunk.x_query, delta(d, Site::kQ));
      if (!fused_) {
        k[i] = edited(trunk.k, trunk.x_all, delta(d, Site::kK));
        v[i] = edited(trunk.v, trunk.x_all, delta(d, Site::kV));
      }
      if (!q[i].defined() && !k[i].defined() && !v[i].defined() && !d.attention) continue;
      changed.push_back(i);
      if (!q[i].defined()) q[i] = trunk.q;
      if (!k[i].defined()) k[i] = trunk.k;
      if (!v[i].defined()) v[i] = trunk.v;
      if (d.attention) {
        context[i] = attend(q[i], k[i], v[i], 1, d.attention.get());
      } else {
        alike.push_back(i);
      }
    }
    if (!alike.empty())
      unstack(attend(stack(q, alike), fused_ ? at::Tensor() : stack(k, alike), fused_ ? at::Tensor() : stack(v, alike),
                     static_cast<int64_t>(alike.size())),
              alike, context);
    if (!changed.empty()) unstack(linear(Site::kO, stack(context, changed)), changed, projected);
    for (size_t i = 0; i < n; ++i) {
      const PackedChange* o = delta(children[i], Site::kO);
      if (o == nullptr) continue;
      if (context[i].defined()) {
        projected[i] = edited(projected[i], context[i], o);
      } else {
        projected[i] = edited(trunk.projected, trunk.context, o);
      }
    }
  }

  void fork_ffn(const Trunk& trunk, std::span<const BlockEdit> children, const Tensors& middle, Tensors& gate, Tensors& up) const {
    const bool gated = trunk.gate.defined();
    std::vector<size_t> changed;
    for (size_t i = 0; i < children.size(); ++i)
      if (middle[i].defined()) changed.push_back(i);
    Tensors x(children.size());
    if (!changed.empty()) {
      const at::Tensor all = block_.ffn_input(stack(middle, changed));
      unstack(all, changed, x);
      if (gated) unstack(linear(Site::kGate, all), changed, gate);
      unstack(linear(Site::kUp, all), changed, up);
    }
    for (size_t i = 0; i < children.size(); ++i) {
      const bool moved = x[i].defined();
      const at::Tensor& input = moved ? x[i] : trunk.x_ffn;
      if (const PackedChange* d = delta(children[i], Site::kGate)) gate[i] = edited(moved ? gate[i] : trunk.gate, input, d);
      if (const PackedChange* d = delta(children[i], Site::kUp)) up[i] = edited(moved ? up[i] : trunk.up, input, d);
    }
  }

  void fork_down(const Trunk& trunk, std::span<const BlockEdit> children, Tensors& gate, Tensors& up, Tensors& activated,
                 Tensors& down) const {
    std::vector<size_t> changed;
    for (size_t i = 0; i < children.size(); ++i) {
      if (!gate[i].defined() && !up[i].defined()) continue;
      changed.push_back(i);
      if (!gate[i].defined()) gate[i] = trunk.gate;
      if (!up[i].defined()) up[i] = trunk.up;
    }
    if (!changed.empty()) {
      const at::Tensor all = block_.activate(trunk.gate.defined() ? stack(gate, changed) : at::Tensor(), stack(up, changed));
      unstack(all, changed, activated);
      unstack(linear(Site::kDown, all), changed, down);
    }
    for (size_t i = 0; i < children.size(); ++i) {
      const PackedChange* d = delta(children[i], Site::kDown);
      if (d == nullptr) continue;
      down[i] = activated[i].defined() ? edited(down[i], activated[i], d) : edited(trunk.down, trunk.activated, d);
    }
  }

  const Block& block_;
  StreamShape shape_;
  const Trunk* base_;
  bool fused_;
};

int64_t streams_per_batch(const StreamShape& shape, int64_t rows_per_batch) {
  return std::max<int64_t>(1, rows_per_batch / std::max<int64_t>(1, shape.rows()));
}

at::Tensor run_block(const Block& block, const StreamShape& shape, const at::Tensor& h, int64_t streams) {
  return block.forward_scored(h, shape.sequences * streams, shape.tokens, shape.query_begin, shape.query_end);
}

// The block of streams h near the base: each distance is rounded once for all products that take it.
at::Tensor run_near(const Block& block, const StreamShape& one, const at::Tensor& h, int64_t streams, const Trunk& base) {
  StreamShape shape = one;
  shape.sequences *= streams;
  const at::Tensor x = block.attention_input(h);
  const at::Tensor distance = round_deviation(x, base.x_all);
  at::Tensor context;
  if (block.has(Site::kQkv)) {
    const at::Tensor qkv = block.linear_near(Site::kQkv, distance, base.q);
    context = block.attention_fused(qkv, shape.sequences, shape.tokens, shape.query_begin, shape.query_end);
  } else {
    const at::Tensor of_queries = shape.whole() ? distance : round_deviation(query_rows(x, shape), base.x_query);
    const at::Tensor q = block.linear_near(Site::kQ, of_queries, base.q);
    const at::Tensor k = block.linear_near(Site::kK, distance, base.k), v = block.linear_near(Site::kV, distance, base.v);
    context = block.attention(q, k, v, shape.sequences, shape.tokens, shape.query_begin, shape.query_end);
  }
  const at::Tensor middle = query_rows(h, shape) + linear(block, Site::kO, context, &base);
  return middle + block.mlp_near(block.ffn_input(middle), {base.x_ffn, base.gate, base.up, base.activated, base.down});
}

}  // namespace

const at::Tensor& Trunk::input(Site site) const {
  switch (site) {
    case Site::kQ:
      return x_query;
    case Site::kK:
    case Site::kV:
    case Site::kQkv:
      return x_all;
    case Site::kO:
      return context;
    case Site::kGate:
    case Site::kUp:
      return x_ffn;
    default:
      return activated;
  }
}

const at::Tensor& Trunk::product(Site site) const {
  switch (site) {
    case Site::kQ:
    case Site::kQkv:
      return q;
    case Site::kK:
      return k;
    case Site::kV:
      return v;
    case Site::kO:
      return projected;
    case Site::kGate:
      return gate;
    case Site::kUp:
      return up;
    default:
      return down;
  }
}

Trunk run_trunk(const Block& block, const StreamShape& shape, const at::Tensor& h, const Trunk* base, const BlockEdit& edit,
                BlockPart part) {
  return Forker(block, shape, base).run_trunk(h, edit, part);
}

void run_stacked(const Block& block, const StreamShape& shape, int64_t rows_per_batch, std::span<at::Tensor> streams, const Trunk* base) {
  const auto step = static_cast<size_t>(streams_per_batch(shape, rows_per_batch));
  for (size_t begin = 0; begin < streams.size(); begin += step) {
    const auto batch = streams.subspan(begin, std::min(step, streams.size() - begin));
    const at::Tensor h = batch.size() == 1 ? batch[0] : at::cat(at::TensorList(batch.data(), batch.size()));
    const auto count = static_cast<int64_t>(batch.size());
    const at::Tensor out = base == nullptr ? run_block(block, shape, h, count) : run_near(block, shape, h, count, *base);
    for (size_t i = 0; i < batch.size(); ++i) batch[i] = out.narrow(0, static_cast<int64_t>(i) * shape.query_rows(), shape.query_rows());
  }
}

namespace {

// Results of the attention of children that only have another rule, made for some of them at a time.
class SharedContexts {
 public:
  SharedContexts(const Forker& forker, const Trunk& trunk, size_t children, int64_t at_once, const ChildRules& rules_of)
      : forker_(forker), trunk_(trunk), made_(children), at_once_(static_cast<size_t>(at_once)), rules_of_(rules_of) {}

  // Undefined where the child changes what comes before its attention, or has no rule.
  at::Tensor take(size_t child) {
    if (!made_[child].defined()) make_from(child);
    return std::move(made_[child]);
  }

 private:
  void make_from(size_t child) {
    if (!rules_of_ || !rules_of_(child)) return;
    std::vector<std::shared_ptr<const AttentionRules>> rules;
    std::vector<const AttentionRules*> pointers;
    std::vector<size_t> members;
    for (; child < made_.size() && members.size() < at_once_; ++child) {
      auto own = rules_of_(child);
      if (!own) continue;
      pointers.push_back(own.get());
      rules.push_back(std::move(own));
      members.push_back(child);
    }
    std::vector<at::Tensor> contexts = forker_.contexts(trunk_, pointers);
    for (size_t i = 0; i < members.size(); ++i) made_[members[i]] = std::move(contexts[i]);
  }

  const Forker& forker_;
  const Trunk& trunk_;
  std::vector<at::Tensor> made_;
  size_t at_once_;
  const ChildRules& rules_of_;
};

}  // namespace

Result<std::vector<at::Tensor>> run_forked(const Block& block, const StreamShape& shape, int64_t rows_per_batch, int64_t contexts,
                                           const at::Tensor& parent, const Trunk& trunk, size_t children, const ChildEdits& edit_of,
                                           const ChildRules& rules_of, const Trunk* base) {
  const Forker forker(block, shape, base);
  SharedContexts shared(forker, trunk, children, contexts, rules_of);
  std::vector<at::Tensor> outputs;
  const auto step = static_cast<size_t>(streams_per_batch(shape, rows_per_batch));
  for (size_t begin = 0; begin < children; begin += step) {
    std::vector<BlockEdit> batch;
    std::vector<at::Tensor> known;
    for (size_t i = begin; i < std::min(begin + step, children); ++i) {
      ASSAY_ASSIGN(BlockEdit edit, edit_of(i));
      batch.push_back(std::move(edit));
      known.push_back(shared.take(i));
    }
    auto some = forker.fork(parent, trunk, batch, std::move(known));
    std::move(some.begin(), some.end(), std::back_inserter(outputs));
  }
  return outputs;
}

}  // namespace assay
