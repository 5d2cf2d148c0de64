// Causal attention of one query head over one sequence, without gradient: the panel products (panel_product.h) with a row-wise softmax
// between them. float32 throughout. Torch-free; one call per (sequence, head), thread-safe with a scratch per thread.
// Several rules share scores, softmax, largest weight and context, and each gives the same bits as alone.
// Rule of rows: a query's result depends on that query and the keys and values it may look at only.
// Non-goals: CPUs without panel::float32_supported().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/model/attention_rules.h"

namespace assay {

struct AttentionShape {
  int64_t tokens = 0;  // keys and values
  int64_t head_dim = 0;
  int64_t query_begin = 0;  // positions of the queries: query_begin, query_begin + 1, ...
  int64_t queries = 0;
  int64_t window = 0;  // how many positions back a query looks, itself included; 0: all
};

// The keys that some queries may look at, to whole panels: tokens [from, from + count), those behind the last token included.
struct KeyRange {
  int64_t from = 0, count = 0;
};
KeyRange keys_of(const AttentionShape& shape, int64_t query, int64_t queries);
// Scores of the query-th query over `range` -> exponentials, 0 where it may not look; returns their sum.
float exponentials(const AttentionShape& shape, const KeyRange& range, int64_t query, float* scores);
// x [tokens, head_dim] of one head, `stride` floats between tokens, as panels of 64 tokens: the weights of a product over head_dim.
void pack_tokens(const AttentionShape& shape, const float* x, int64_t stride, std::vector<float>& panels);

// What one rule makes of a head's queries, [queries, head_dim] with the caller's stride. rule: null for plain attention.
struct RuledOutput {
  const HeadRule* rule = nullptr;
  float* out = nullptr;
};

// What a head's queries look at, for diagnostics and bases: [queries] each, [queries, head_dim] the last two (null: not wanted).
struct HeadFacts {
  int32_t* top = nullptr;     // the token with the largest weight, the earliest of equals
  float* largest = nullptr;   // its weight p_1
  float* second = nullptr;    // p_2; 0 where a query sees one token only
  float* context = nullptr;   // sum_i p_i V_i, as plain attention gives it
  float* residual = nullptr;  // context - V_top
  int64_t stride = 0;         // of context and residual
};

// Keys and values of one head of one sequence, packed; used for every query head that shares them.
class PackedKeys {
 public:
  // k, v: [tokens, head_dim] with `stride` floats between tokens. capacity: tokens that append() may reach; 0: none.
  void pack(const AttentionShape& shape, const float* k, const float* v, int64_t stride, int64_t capacity = 0);
  // The first `kept` tokens stay, k and v are those from there on; what was behind is forgotten. shape.tokens: of both together.
  void append(const AttentionShape& shape, int64_t kept, const float* k, const float* v, int64_t stride);
  // q: [queries, head_dim] with q_stride; outputs with out_stride.
  void attend(const float* q, int64_t q_stride, std::span<const RuledOutput> outputs, int64_t out_stride);
  // The same pass over the keys, looked at instead of replaced.
  void inspect(const float* q, int64_t q_stride, const HeadFacts& facts);

 private:
  // Rows [begin, begin + count) of one pass over the keys that they may look at.
  struct Pass {
    int64_t begin = 0, count = 0;
    KeyRange range;
  };
  // Calls body(pass) with exponentials in scores_ and one over their sums in inverse_.
  template <class Body>
  void for_each_pass(const float* q, int64_t q_stride, const Body& body);
  void context(const Pass& pass, float* out, int64_t out_stride) const;
  void keep_largest(const Pass& pass, int k, float* out, int64_t out_stride);
  void project(const Pass& pass, const HeadRule& rule, float* out, int64_t out_stride);
  void copy_value(int64_t token, float* to) const;

  AttentionShape shape_;
  int64_t room_ = 0;                  // tokens, whole panels
  std::vector<float> keys_, values_;  // panels of 64 keys [d, 64]; panels of 64 of d [room, 64]
  std::vector<float> queries_, scores_, inverse_;
  std::vector<float> context_, top_, residual_, along_, basis_;  // of a pass, where a rule needs them
  std::vector<int64_t> places_;
};

}  // namespace assay
