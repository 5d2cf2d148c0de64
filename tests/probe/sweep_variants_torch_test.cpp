// What a sweep does besides changing whole matrices: schedules, attention rules, patches of the stream, a few weights, broken logits.
// Each against the same thing done by hand on one stream.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/model/attention.h"
#include "assay/probe/changes.h"
#include "assay/probe/observation.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr double kTolerance = 2e-6;  // of a KL per position: float32 logits of two orders of summation
constexpr int64_t kTokens = 48;

class SweepVariants : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto network = Network::load(*Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m"), {});
    ASSERT_TRUE(network) << network.error().message;
    network_ = *network;
  }

  void SetUp() override {
    for (size_t w = 0; w < 2; ++w) {
      Window window;
      CounterRandom random(11, w);
      for (int64_t t = 0; t < kTokens; ++t) window.tokens.push_back(static_cast<TokenId>(random.next_below(8192)));
      window.labels.assign(window.tokens.begin() + 1, window.tokens.end());
      window.score_begin = 7;
      window.score_end = kTokens - 1;
      windows_.push_back(window);
    }
  }

  using Rows = std::vector<PositionObservation>;
  std::map<std::pair<size_t, size_t>, Rows> run(const std::vector<ResolvedVariant>& variants, bool allow_non_finite = false) {
    std::map<std::pair<size_t, size_t>, Rows> observed;
    SweepOptions options;
    options.allow_non_finite = allow_non_finite;
    const Status status = run_sweep(
        *network_, windows_, variants, options,
        [&](size_t v, size_t w, std::span<const PositionObservation> rows) { observed[{v, w}].assign(rows.begin(), rows.end()); });
    EXPECT_TRUE(status) << status.error().message;
    return observed;
  }

  // All positions of the first window after `blocks`, which gets the stream and carries it on.
  using Blocks = std::function<at::Tensor(at::Tensor h)>;
  std::vector<double> kl_by_hand(const Blocks& blocks) {
    at::NoGradGuard no_grad;
    const at::Tensor h = *network_->embed(token_matrix(std::span(windows_).subspan(0, 1)));
    const auto log_p = [&](const at::Tensor& out) {
      return at::log_softmax(network_->head().multiply(network_->final_norm(out)).to(at::kDouble), -1);
    };
    const at::Tensor p = log_p(through(h, in_order())), q = log_p(blocks(h));
    const at::Tensor kl = (p.exp() * (p - q)).sum(-1);
    std::vector<double> scored;
    for (int64_t t = windows_[0].score_begin; t < windows_[0].score_end; ++t) scored.push_back(kl[t].item<double>());
    return scored;
  }

  std::vector<int> in_order() const {
    std::vector<int> order(static_cast<size_t>(network_->hyper().layers));
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  at::Tensor block(int layer, const at::Tensor& h) const { return (*network_->block(layer))->forward(h, 1, kTokens); }
  at::Tensor through(at::Tensor h, const std::vector<int>& order) const {
    for (const int layer : order) h = block(layer, h);
    return h;
  }

  void expect_kl(const Rows& rows, const std::vector<double>& expected) {
    ASSERT_EQ(rows.size(), expected.size());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(rows[i].kl, expected[i], kTolerance * (1 + expected[i])) << i;
  }

  static ResolvedVariant schedule(std::vector<ResolvedStep> steps) {
    ResolvedVariant variant;
    variant.steps = std::move(steps);
    return variant;
  }
  std::vector<ResolvedStep> steps(const std::vector<int>& order) const {
    std::vector<ResolvedStep> all;
    for (const int layer : order) all.push_back({layer});
    return all;
  }
  // One weight of a matrix, by how much.
  static ResolvedEdit one_weight(int layer, Site site, SparseWeight weight) {
    WeightChange change;
    change.sparse = {weight};
    return {layer, site, fmt_key(weight), [change] { return change; }};
  }
  static std::string fmt_key(const SparseWeight& w) {
    return std::to_string(w.row) + ',' + std::to_string(w.column) + '=' + std::to_string(w.value);
  }

  static std::shared_ptr<const Network> network_;
  std::vector<Window> windows_;
};
std::shared_ptr<const Network> SweepVariants::network_;

TEST_F(SweepVariants, SchedulesAreWhatTheySay) {
  const std::vector<std::vector<int>> orders = {
      {0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11},           // one left out
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},            // the last left out
      {0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},     // one twice
      {0, 1, 2, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},  // a range twice
      {0, 2, 1, 3, 4, 5, 6, 7, 8, 9, 11, 10},        // exchanged
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11},    // the last twice
      {},                                            // nothing
  };
  std::vector<ResolvedVariant> variants;
  for (const auto& order : orders) variants.push_back(schedule(steps(order)));
  const auto observed = run(variants);
  for (size_t v = 0; v < orders.size(); ++v)
    expect_kl(observed.at({v, 0}), kl_by_hand([&](at::Tensor h) { return through(std::move(h), orders[v]); }));
}

TEST_F(SweepVariants, DampedAndPartialBlocks) {
  auto damped = steps(in_order());
  damped[4].gamma = 0.5;
  damped.insert(damped.begin() + 5, {4, BlockPart::kBlock, 0.5});
  auto no_attention = steps(in_order());
  no_attention[3].part = BlockPart::kFfn;
  auto no_ffn = steps(in_order());
  no_ffn[11].part = BlockPart::kAttention;
  const auto observed = run({schedule(damped), schedule(no_attention), schedule(no_ffn)});
  const std::vector<int> order = in_order();
  const auto head = [&](int end) { return std::vector<int>(order.begin(), order.begin() + end); };
  const auto tail = [&](int begin) { return std::vector<int>(order.begin() + begin, order.end()); };
  expect_kl(observed.at({0, 0}), kl_by_hand([&](at::Tensor h) {
              h = through(h, head(4));
              for (int i = 0; i < 2; ++i) h = h + 0.5 * (block(4, h) - h);
              return through(h, tail(5));
            }));
  expect_kl(observed.at({1, 0}), kl_by_hand([&](at::Tensor h) {
              h = through(h, head(3));
              h = h + (*network_->block(3))->mlp((*network_->block(3))->ffn_input(h));
              return through(h, tail(4));
            }));
  expect_kl(observed.at({2, 0}), kl_by_hand([&](at::Tensor h) {
              h = through(h, head(11));
              const auto last = *network_->block(11);
              const at::Tensor x = last->attention_input(h);
              const at::Tensor context =
                  last->attention(last->linear(Site::kQ, x), last->linear(Site::kK, x), last->linear(Site::kV, x), 1, kTokens, 0, kTokens);
              return h + last->linear(Site::kO, context);
            }));
}

// A few weights, two thin matrices and a whole one that are the same change.
TEST_F(SweepVariants, FormsOfAChangeAgree) {
  for (const Site site : {Site::kQ, Site::kV, Site::kO, Site::kUp, Site::kDown}) {
    const at::Tensor weight = *network_->plain_weight(network_->tensor_name(5, site));
    at::Tensor left = at::zeros({weight.size(0), 1}), right = at::zeros({1, weight.size(1)});
    left[3][0] = 0.5f;
    right[0][9] = 0.25f;
    right[0][10] = -1.0f;
    WeightChange thin, sparse;
    thin.left = left;
    thin.right = right;
    sparse.sparse = {{3, 9, 0.125f}, {3, 10, -0.5f}};
    const WeightChange dense(left.matmul(right));
    std::vector<ResolvedVariant> variants;
    for (const WeightChange& change : {thin, sparse, dense})
      variants.push_back({{{5, site, std::to_string(variants.size()), [change] { return change; }}}});
    const auto observed = run(variants);
    for (size_t t = 0; t < observed.at({0, 1}).size(); ++t) {
      EXPECT_GT(observed.at({2, 1})[t].kl, 0);
      EXPECT_NEAR(observed.at({0, 1})[t].kl, observed.at({2, 1})[t].kl, 1e-6);
      EXPECT_NEAR(observed.at({1, 1})[t].kl, observed.at({2, 1})[t].kl, 1e-6);
    }
  }
}

AttentionRules rules_of(const Network& network, HeadRule rule, std::optional<size_t> only = {}) {
  AttentionRules rules(static_cast<size_t>(network.hyper().heads));
  for (size_t head = 0; head < rules.size(); ++head)
    if (!only || *only == head) rules[head] = rule;
  return rules;
}

// The fast path against plain operators, with queries in the middle of the sequence.
TEST_F(SweepVariants, AttentionRulesAgreeWithPlainOperators) {
  const Hyper& hyper = network_->hyper();
  at::manual_seed(3);
  const at::Tensor q = at::randn({2, 20, hyper.heads, hyper.head_dim}), k = at::randn({2, 30, hyper.kv_heads, hyper.head_dim}),
                   v = at::randn({2, 30, hyper.kv_heads, hyper.head_dim});
  HeadRule low_rank{HeadRule::Kind::kLowRank};
  const at::Tensor basis = std::get<0>(at::linalg_qr(at::randn({hyper.head_dim, 3}))).t().contiguous();
  low_rank.k = 3;
  low_rank.basis = std::make_shared<const std::vector<float>>(basis.const_data_ptr<float>(), basis.const_data_ptr<float>() + basis.numel());
  HeadRule one_direction = low_rank;
  one_direction.k = 1;
  std::vector<AttentionRules> all;
  for (const HeadRule& rule : {HeadRule{}, HeadRule{HeadRule::Kind::kTop1}, HeadRule{HeadRule::Kind::kTopK, 4}, low_rank, one_direction,
                               HeadRule{HeadRule::Kind::kTopK, 2}})
    all.push_back(rules_of(*network_, rule));
  all.push_back(rules_of(*network_, low_rank, 1));  // one head of four
  std::vector<const AttentionRules*> pointers = {nullptr};
  for (const AttentionRules& rules : all) pointers.push_back(&rules);
  const std::vector<at::Tensor> together = attend_under(hyper, q, k, v, 10, pointers),
                                plain = attend_by_rules(hyper, q, k, v, 10, pointers);
  for (size_t i = 0; i < pointers.size(); ++i) {
    EXPECT_LT((together[i] - plain[i]).abs().max().item<float>(), 5e-6) << i;
    // What shares scores and context is what it is alone, bit for bit.
    EXPECT_TRUE(at::equal(together[i], attend_fast(hyper, q, k, v, 10, pointers[i]))) << i;
  }
  const AttentionRules full = rules_of(*network_, HeadRule{});
  EXPECT_TRUE(at::equal(attend_fast(hyper, q, k, v, 10, &full), attend_fast(hyper, q, k, v, 10)));
}

TEST_F(SweepVariants, AttentionRulesApplyWhereTheySay) {
  const auto with = [&](int layer, const std::string& key, const AttentionRules& rules) {
    ResolvedVariant variant;
    variant.attention = {{layer, key, std::make_shared<const AttentionRules>(rules)}};
    return variant;
  };
  const AttentionRules top = rules_of(*network_, HeadRule{HeadRule::Kind::kTop1}, 1);
  const auto observed = run({with(4, "full", rules_of(*network_, HeadRule{})), with(4, "top-1", top),
                             with(4, "all", rules_of(*network_, HeadRule{HeadRule::Kind::kTopK, kTokens}))});
  for (const PositionObservation& row : observed.at({0, 0})) EXPECT_EQ(row.kl, 0);
  for (const PositionObservation& row : observed.at({2, 0})) EXPECT_LT(row.kl, 1e-9);
  expect_kl(observed.at({1, 0}), kl_by_hand([&](at::Tensor h) {
              const std::vector<int> order = in_order();
              h = through(h, {order.begin(), order.begin() + 4});
              const auto own = *network_->block(4);
              const at::Tensor x = own->attention_input(h);
              const at::Tensor context = own->attention(own->linear(Site::kQ, x), own->linear(Site::kK, x), own->linear(Site::kV, x), 1,
                                                        kTokens, 0, kTokens, &top);
              const at::Tensor middle = h + own->linear(Site::kO, context);
              return through(middle + own->mlp(own->ffn_input(middle)), {order.begin() + 5, order.end()});
            }));
}

TEST_F(SweepVariants, PatchesBringTheStreamBack) {
  const ResolvedEdit edit = one_weight(3, Site::kDown, {5, 7, 2.0f});
  const auto patched = [&](std::vector<ResolvedPatch> patches) {
    ResolvedVariant variant{{edit}};
    variant.patches = std::move(patches);
    return variant;
  };
  std::vector<ResolvedPatch> everywhere;
  for (int layer = 0; layer < 12; ++layer) everywhere.push_back({layer, 0, true});
  const auto observed = run(
      {patched({}), patched({{3, 0}}), patched({{8, 0}}), patched({{3, 1}}), patched({{3, 256}}), patched({{11, 0}}), patched(everywhere)});
  const auto mean = [&](size_t v) {
    double sum = 0;
    for (const PositionObservation& row : observed.at({v, 0})) sum += row.kl;
    return sum;
  };
  EXPECT_GT(mean(0), 1e-3);
  for (const size_t exact : {1, 2, 5}) EXPECT_EQ(mean(exact), 0) << exact;
  // One weight of ffn_down moves the stream along one axis at its block: one direction is all of it.
  EXPECT_LT(mean(3), 1e-6 * mean(0));
  EXPECT_LT(mean(4), 1e-6 * mean(0));
  // The published form adds every block's delta to a stream that the first one had already brought back.
  expect_kl(observed.at({6, 0}), kl_by_hand([&](at::Tensor h) {
              at::Tensor base = h, edited = h, own = h;
              const auto run_block = [&](int layer, const at::Tensor& in) {
                return (*network_->block(layer))->forward(in, 1, kTokens, [&](Site site, const at::Tensor& x) {
                  at::Tensor y = (*network_->block(layer))->linear(site, x);
                  if (layer == 3 && site == Site::kDown) y.select(1, 5).add_(x.select(1, 7), 2.0);
                  return y;
                });
              };
              for (int layer = 0; layer < 12; ++layer) {
                base = block(layer, base);
                edited = run_block(layer, edited);
                own = run_block(layer, own) + (base - edited);
              }
              return own;
            }));
}

TEST_F(SweepVariants, StackedEqualsAlone) {
  std::vector<ResolvedVariant> all = {{}, {{one_weight(2, Site::kV, {1, 2, 0.5f})}}, {{one_weight(2, Site::kUp, {9, 2, 0.5f})}}};
  all.push_back(schedule(steps({0, 1, 2, 2, 3, 5, 6, 7, 8, 9, 10})));
  all.push_back({{one_weight(2, Site::kUp, {9, 2, 0.5f})}, steps({0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})});
  all.push_back({{one_weight(2, Site::kUp, {9, 2, 0.5f})}, {}, {}, {{2, 1}}});
  all.push_back({{}, {}, {{2, "t", std::make_shared<const AttentionRules>(rules_of(*network_, HeadRule{HeadRule::Kind::kTop1}))}}});
  // Rules that share a pass over the keys, one that cannot, and rules in two blocks.
  HeadRule low_rank{HeadRule::Kind::kLowRank};
  const auto d = static_cast<size_t>(network_->hyper().head_dim);
  std::vector<float> axes(3 * d);
  for (size_t i = 0; i < 3; ++i) axes[i * d + 5 * i] = 1;
  low_rank.basis = std::make_shared<const std::vector<float>>(axes);
  const auto ruled = [&](int layer, const std::string& key, const HeadRule& rule, std::optional<size_t> head = {}) {
    return ResolvedAttention{layer, key, std::make_shared<const AttentionRules>(rules_of(*network_, rule, head))};
  };
  const auto add = [&](std::vector<ResolvedAttention> attention) { all.push_back({{}, {}, std::move(attention)}); };
  for (const int k : {1, 3}) {
    low_rank.k = k;
    add({ruled(2, "low " + std::to_string(k), low_rank)});
  }
  add({ruled(2, "top-4", {HeadRule::Kind::kTopK, 4})});
  add({ruled(2, "head", {HeadRule::Kind::kTop1}, 1)});
  add({ruled(2, "low 3", low_rank), ruled(5, "low 3", low_rank)});
  add({ruled(2, "low 3", low_rank), ruled(5, "full", {})});
  all.push_back({{one_weight(2, Site::kV, {1, 2, 0.5f})}, {}, {ruled(2, "low 3", low_rank)}});
  all.push_back({{one_weight(2, Site::kUp, {9, 2, 0.5f})}, {}, {ruled(2, "low 3", low_rank)}});
  const auto together = run(all);
  for (size_t v = 0; v < all.size(); ++v) {
    const auto alone = run({all[v]});
    for (size_t t = 0; t < alone.at({0, 1}).size(); ++t) {
      EXPECT_EQ(together.at({v, 1})[t].kl, alone.at({0, 1})[t].kl) << v;
      EXPECT_EQ(together.at({v, 1})[t].nll, alone.at({0, 1})[t].nll) << v;
    }
  }
}

TEST_F(SweepVariants, BrokenLogitsAreRefusedOrCountedAsUniform) {
  const ResolvedVariant broken{{one_weight(3, Site::kDown, {5, 7, std::nanf("")})}};
  const Status status = run_sweep(*network_, windows_, std::span(&broken, 1), {}, [](auto...) {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  const auto observed = run({broken, {{one_weight(3, Site::kDown, {5, 7, 0.1f})}}}, true);
  for (const PositionObservation& row : observed.at({0, 0})) {
    EXPECT_FALSE(row.finite);
    EXPECT_NEAR(row.nll, std::log(8192.0), 1e-6);  // weights are float32
  }
  EXPECT_EQ(sum_window(0, observed.at({0, 0})).non_finite, windows_[0].scored());
  const auto alone = run({{{one_weight(3, Site::kDown, {5, 7, 0.1f})}}});
  for (size_t t = 0; t < alone.at({0, 0}).size(); ++t) {
    EXPECT_TRUE(observed.at({1, 0})[t].finite);
    EXPECT_EQ(observed.at({1, 0})[t].kl, alone.at({0, 0})[t].kl);
  }
}

}  // namespace
}  // namespace assay
