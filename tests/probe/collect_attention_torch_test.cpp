// What heads look at, against a plain computation that builds every attention matrix in double, on small models of every family; bases and
// the rules that use them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "assay/model/attention.h"
#include "assay/probe/attention_basis.h"
#include "assay/probe/collect_attention.h"
#include "assay/probe/sweep.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

constexpr double kTolerance = 2e-5;  // float32 contexts against double, relative to a head's energy

class CollectAttention : public testing::TestWithParam<const char*> {
 protected:
  // Queries and keys are scaled up, so that heads differ in how peaked they are.
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) / (std::string("assay-attention-") + GetParam() + ".gguf");
    Metadata metadata = tiny::metadata(GetParam());
    const auto hyper = parse_hyper(metadata, true);
    ASSERT_TRUE(hyper) << hyper.error().message;
    tiny::write_gguf_model(path_.string(), metadata, tiny::tensors_of(*hyper), [](const TensorInfo& tensor, std::span<float> values) {
      if (tensor.name.find("attn_q") == std::string::npos) return;
      for (float& value : values) value *= 4;
    });
    auto network = Network::load(*Checkpoint::open(path_), {});
    ASSERT_TRUE(network) << network.error().message;
    network_ = *network;
    for (size_t w = 0; w < 3; ++w) {
      Window window;
      CounterRandom random(5, w);
      for (size_t t = 0; t < 70; ++t) window.tokens.push_back(static_cast<TokenId>(random.next_below(24)));
      window.labels.assign(window.tokens.begin() + 1, window.tokens.end());
      window.score_end = 69;
      windows_.push_back(std::move(window));
    }
  }
  void TearDown() override { std::filesystem::remove(path_); }

  Block::Heads heads_of(int layer, const Window& window) {
    at::NoGradGuard no_grad;
    const auto tokens = static_cast<int64_t>(window.tokens.size());
    at::Tensor h = *network_->embed(token_matrix(std::span(&window, 1)));
    for (int i = 0; i < layer; ++i) h = (*network_->block(i))->forward(h, 1, tokens);
    const auto block = *network_->block(layer);
    const at::Tensor x = block->attention_input(h);
    if (block->has(Site::kQkv)) return block->heads_of_fused(block->linear(Site::kQkv, x), 1, tokens, 0, tokens);
    return block->heads_of(block->linear(Site::kQ, x), block->linear(Site::kK, x), block->linear(Site::kV, x), 1, tokens, 0, tokens);
  }

  // The whole matrix of weights of one query head, [tokens, tokens] in double, and its values.
  std::pair<at::Tensor, at::Tensor> naive(const Block::Heads& heads, int head) const {
    const Hyper& hyper = network_->hyper();
    const int64_t shared = hyper.heads / hyper.kv_heads, tokens = heads.q.size(1);
    const at::Tensor q = heads.q[0].select(1, head).to(at::kDouble), k = heads.k[0].select(1, head / shared).to(at::kDouble);
    const at::Tensor hidden = at::ones({tokens, tokens}, at::kBool).triu(1);
    const at::Tensor scores = (q.matmul(k.t()) / std::sqrt(static_cast<double>(hyper.head_dim))).masked_fill(hidden, -INFINITY);
    return {scores.softmax(-1), heads.v[0].select(1, head / shared).to(at::kDouble)};
  }

  static at::Tensor square_of(const SecondMoment& moment) {
    const auto d = static_cast<int64_t>(moment.sum.size());
    return at::tensor(moment.square, at::kDouble).view({d, d});
  }

  std::filesystem::path path_;
  std::shared_ptr<const Network> network_;
  std::vector<Window> windows_;
};

TEST_P(CollectAttention, EqualsTheWholeMatrix) {
  const int layer = 1;
  const auto sums = collect_attention(*network_, windows_, {{layer}, true, 0.05, 1, 0});
  ASSERT_TRUE(sums) << sums.error().message;
  ASSERT_EQ(sums->moments.size(), 1u);
  const LayerMoments& moments = sums->moments.at(layer);
  const Hyper& hyper = network_->hyper();
  ASSERT_EQ(moments.residual.size(), static_cast<size_t>(hyper.heads));
  ASSERT_EQ(moments.values.size(), static_cast<size_t>(hyper.kv_heads));
  for (int head = 0; head < hyper.heads; ++head) {
    at::Tensor residual = at::zeros({hyper.head_dim, hyper.head_dim}, at::kDouble), context = residual.clone(), values = residual.clone();
    at::Tensor sum = at::zeros({hyper.head_dim}, at::kDouble);
    double ratio = 0, margin = 0;
    for (const Window& window : windows_) {
      const auto [p, v] = naive(heads_of(layer, window), head);
      const at::Tensor c = p.matmul(v), e = c - v.index_select(0, p.argmax(-1));
      residual += e.t().matmul(e);
      context += c.t().matmul(c);
      values += v.t().matmul(v);
      sum += e.sum(0);
      EXPECT_EQ(e[0].abs().max().item<double>(), 0);  // one token: nothing is left out
      const auto [largest, at] = p.topk(2, -1);
      for (int64_t t = kFirstDiagnosed; t < p.size(0); ++t) {
        ratio += (largest[t][1] / largest[t][0]).item<double>();
        margin += (largest[t][0] - largest[t][1]).item<double>();
      }
    }
    const auto at = static_cast<size_t>(head);
    const auto near = [](const at::Tensor& found, const at::Tensor& expected) {
      EXPECT_LT((found - expected).abs().max().item<double>(), kTolerance * (1e-3 + expected.abs().max().item<double>()));
    };
    near(square_of(moments.residual[at]), residual);
    near(square_of(moments.context[at]), context);
    near(square_of(moments.values[at * static_cast<size_t>(hyper.kv_heads) / static_cast<size_t>(hyper.heads)]), values);
    near(at::tensor(moments.residual[at].sum, at::kDouble), sum);
    EXPECT_EQ(moments.residual[at].count, 3u * 70);
    const HeadDiagnostics& own = sums->of(layer, head);
    EXPECT_EQ(own.queries, 3u * 54);
    EXPECT_NEAR(own.ratio, ratio, 1e-4 * 162);
    EXPECT_NEAR(own.margin, margin, 1e-4 * 162);
    EXPECT_GT(own.stable, 0u);
  }
}

TEST_P(CollectAttention, NeitherThreadsNorBatchesChangeABit) {
  at::set_num_threads(1);
  AttentionRequest request{{0, 2}, true, 0.05, 3, 0};
  const auto one = collect_attention(*network_, windows_, request);
  at::set_num_threads(3);
  const auto many = collect_attention(*network_, windows_, request);
  at::set_num_threads(2);
  const std::string bytes = *to_payload(*one);
  EXPECT_EQ(bytes, *to_payload(*many));
  // Windows apart, each under its own number.
  AttentionSums apart;
  for (size_t w = 0; w < windows_.size(); ++w) {
    request.first_window = w;
    apart.add(*collect_attention(*network_, std::span(windows_).subspan(w, 1), request));
  }
  EXPECT_EQ(bytes, *to_payload(apart));
  // And back from bytes; half of them, or other heads, are refused.
  const auto read = attention_sums_from_payload(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(bytes, *to_payload(*read));
  EXPECT_FALSE(attention_sums_from_payload(std::string_view(bytes).substr(0, bytes.size() / 2)));
  AttentionSums wrong = *one;
  wrong.moments.at(0).context.pop_back();
  const std::string broken = *to_payload(wrong);
  EXPECT_FALSE(attention_sums_from_payload(broken));
}

TEST_P(CollectAttention, NoiseMovesSomeQueriesAndNoneWithoutIt) {
  const auto none = collect_attention(*network_, windows_, {{}, true, 0, 3, 0}),
             much = collect_attention(*network_, windows_, {{}, true, 3, 3, 0});
  uint64_t queries = 0, stable = 0;
  for (size_t i = 0; i < none->diagnostics.size(); ++i) {
    EXPECT_EQ(none->diagnostics[i].stable, none->diagnostics[i].queries);
    queries += much->diagnostics[i].queries;
    stable += much->diagnostics[i].stable;
  }
  EXPECT_LT(stable, queries);
}

TEST_P(CollectAttention, BasesAreOrthonormalAndTheResidualsKeepsMost) {
  const auto sums = collect_attention(*network_, windows_, {{1}, false, 0, 1, 0});
  const LayerMoments& moments = sums->moments.at(1);
  const int64_t d = network_->hyper().head_dim;
  for (int head = 0; head < network_->hyper().heads; ++head) {
    const SecondMoment& residual = moments.residual[static_cast<size_t>(head)];
    const HeadBasis own = basis_of(BasisKind::kResidual, moments, 1, head, 9);
    for (const BasisKind kind : kBasisKinds) {
      const HeadBasis basis = basis_of(kind, moments, 1, head, 9);
      const at::Tensor rows = at::tensor(*basis.rows).view({d, d}).to(at::kDouble);
      EXPECT_LT((rows.matmul(rows.t()) - at::eye(d, at::kDouble)).abs().max().item<double>(), 1e-5) << name_of(kind);
      EXPECT_NEAR(retained_share(residual, *basis.rows, static_cast<int>(d)), 1, 1e-5) << name_of(kind);
      for (const int rank : {1, 3})
        EXPECT_LE(retained_share(residual, *basis.rows, rank), retained_share(residual, *own.rows, rank) + 1e-6) << name_of(kind);
    }
    // Eigenvalues are what the directions keep.
    double energy = 0, all = 0;
    for (size_t i = 0; i < own.energy.size(); ++i) {
      if (i < 3) energy += own.energy[i];
      all += own.energy[i];
      EXPECT_LE(own.energy[i], own.energy[i == 0 ? 0 : i - 1]);
    }
    EXPECT_NEAR(retained_share(residual, *own.rows, 3), energy / all, 1e-6);
    EXPECT_NE(*basis_of(BasisKind::kRandom, moments, 1, head, 9, 0).rows, *basis_of(BasisKind::kRandom, moments, 1, head, 9, 1).rows);
  }
}

// r = head_dim is full, and a rank's rule is top-1 plus the projection, on the whole matrix.
TEST_P(CollectAttention, LowRankRulesAreTheProjectionOfTheWholeMatrix) {
  const auto sums = collect_attention(*network_, windows_, {{1}, false, 0, 1, 0});
  const Hyper& hyper = network_->hyper();
  const Block::Heads heads = heads_of(1, windows_[0]);
  for (const int rank : {1, 3, hyper.head_dim}) {
    AttentionRules rules(static_cast<size_t>(hyper.heads));
    for (int head = 0; head < hyper.heads; ++head)
      rules[static_cast<size_t>(head)] = {HeadRule::Kind::kLowRank, rank,
                                          basis_of(BasisKind::kResidual, sums->moments.at(1), 1, head, 9).rows};
    const AttentionRules* const both[] = {nullptr, &rules};
    const auto out = (*network_->block(1))->attention_under(heads, 0, both);
    const double apart = (out[0] - out[1]).abs().max().item<double>();
    EXPECT_EQ(apart < 1e-5, rank == hyper.head_dim) << apart;
    for (int head = 0; head < hyper.heads; ++head) {
      const auto [p, v] = naive(heads, head);
      const at::Tensor basis =
          at::tensor(*rules[static_cast<size_t>(head)].basis).view({-1, hyper.head_dim}).narrow(0, 0, rank).to(at::kDouble);
      const at::Tensor top = v.index_select(0, p.argmax(-1));
      const at::Tensor expected = top + (p.matmul(v) - top).matmul(basis.t()).matmul(basis);
      const at::Tensor found = out[1].narrow(1, head * hyper.head_dim, hyper.head_dim);
      EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4) << rank << " head " << head;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CollectAttention, testing::Values("llama", "qwen3", "gpt2"));

}  // namespace
}  // namespace assay
