#include <vector>

#include "assay/model/attention.h"
#include "assay/model/attention_rows.h"
#include "assay/model/panel_product.h"

namespace assay {
namespace {

// Rows of a tree's first row, and of its first query.
struct Place {
  int64_t row = 0, query = 0;
};

std::vector<Place> places_of(std::span<const TokenTree> trees, bool wanted) {
  std::vector<Place> places;
  Place next;
  for (const TokenTree& tree : trees) {
    places.push_back(next);
    next.row += tree.rows();
    next.query += wanted ? tree.wanted_rows() : tree.rows();
  }
  return places;
}

// Calls each(part, first row of the part's own keys, its first query, tokens before it, first wanted of its tokens) for a tree's stem and
// branches.
template <class Each>
void for_each_part(const TokenTree& tree, const Place& place, bool wanted, const Each& each) {
  Place at = place;
  const auto visit = [&](const TokenTree::Part& part, int64_t before) {
    const int64_t from = wanted ? part.wanted : 0;
    each(part, at, before, from);
    at.row += part.tokens;
    at.query += part.tokens - from;
  };
  visit(tree.stem, 0);
  for (const TokenTree::Part& branch : tree.branches) visit(branch, tree.stem.tokens);
}

// By attend(), sequence by sequence.
at::Tensor attend_trees_by_operators(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     std::span<const TokenTree> trees, bool wanted) {
  std::vector<at::Tensor> out;
  const std::vector<Place> places = places_of(trees, wanted);
  for (size_t t = 0; t < trees.size(); ++t)
    for_each_part(trees[t], places[t], wanted, [&](const TokenTree::Part& part, const Place& at, int64_t before, int64_t from) {
      if (part.tokens == from) return;
      const auto keys = [&](const at::Tensor& x) {
        const at::Tensor own = x.narrow(0, at.row, part.tokens);
        return (before > 0 ? at::cat({x.narrow(0, places[t].row, before), own}) : own).unsqueeze(0);
      };
      out.push_back(attend(hyper, q.narrow(0, at.query, part.tokens - from).unsqueeze(0), keys(k), keys(v), before + from));
    });
  return at::cat(out);
}

}  // namespace

at::Tensor attend_trees(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::span<const TokenTree> trees,
                        bool wanted) {
  if (!q.is_cpu() || !panel::float32_supported()) return attend_trees_by_operators(hyper, q, k, v, trees, wanted);
  const int64_t heads = hyper.heads, kv_heads = hyper.kv_heads, d = hyper.head_dim, shared = heads / kv_heads;
  const at::Tensor q_rows = q.contiguous(), k_rows = k.contiguous(), v_rows = v.contiguous();
  at::Tensor out = at::empty({q.size(0), heads * d}, q.options());
  const float* q_data = q_rows.const_data_ptr<float>();
  const float* k_data = k_rows.const_data_ptr<float>();
  const float* v_data = v_rows.const_data_ptr<float>();
  float* out_data = out.mutable_data_ptr<float>();
  const std::vector<Place> places = places_of(trees, wanted);
  const int64_t stride = kv_heads * d, out_stride = heads * d;
  // A task is one head of keys of one tree, with all its query heads.
  at::parallel_for(0, static_cast<int64_t>(trees.size()) * kv_heads, 1, [&](int64_t begin, int64_t end) {
    PackedKeys keys;
    for (int64_t task = begin; task < end; ++task) {
      const auto t = static_cast<size_t>(task / kv_heads);
      const int64_t kv_head = task % kv_heads, longest = trees[t].longest();
      for_each_part(trees[t], places[t], wanted, [&](const TokenTree::Part& part, const Place& at, int64_t before, int64_t from) {
        const int64_t tokens = before + part.tokens, kv_at = at.row * stride + kv_head * d;
        const AttentionShape shape{tokens, d, before + from, part.tokens - from, hyper.sliding_window < tokens ? hyper.sliding_window : 0};
        if (before == 0 && &part == &trees[t].stem) {
          keys.pack(shape, k_data + kv_at, v_data + kv_at, stride, longest);
        } else {
          keys.append(shape, before, k_data + kv_at, v_data + kv_at, stride);
        }
        if (part.tokens == from) return;
        for (int64_t head = kv_head * shared; head < (kv_head + 1) * shared; ++head) {
          const int64_t at_head = at.query * out_stride + head * d;
          const RuledOutput plain{nullptr, out_data + at_head};
          keys.attend(q_data + at_head, out_stride, std::span(&plain, 1), out_stride);
        }
      });
    }
  });
  return out;
}

}  // namespace assay
