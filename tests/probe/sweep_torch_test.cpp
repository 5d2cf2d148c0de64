#include <gtest/gtest.h>

#include "assay/base/random.h"
#include "assay/probe/changes.h"
#include "assay/probe/fork.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr const char* kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";

bool supported(Compute compute) { return compute != Compute::kDeviations || deviations_supported(at::kCPU); }

std::shared_ptr<const Network> load(Compute compute, uint64_t memory = 0) {
  auto checkpoint = Checkpoint::open(kModel);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  NetworkOptions options;
  options.compute = compute;
  options.memory_limit = memory;
  auto network = Network::load(*checkpoint, options);
  EXPECT_TRUE(network) << network.error().message;
  return *network;
}

std::vector<Window> random_windows(size_t count, size_t tokens, uint32_t score_begin) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    CounterRandom random(7, w);
    for (size_t t = 0; t < tokens; ++t) windows[w].tokens.push_back(static_cast<TokenId>(random.next_below(8192)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = score_begin;
    windows[w].score_end = static_cast<uint32_t>(tokens - 1);
    windows[w].document = static_cast<uint32_t>(w);
  }
  return windows;
}

ResolvedEdit requantize(const ChangeSource& source, int layer, Site site, const std::string& tensor, GgmlType type) {
  return ResolvedEdit{layer, site, tensor + "=" + std::to_string(static_cast<int>(type)),
                      [&source, tensor, type] { return source.requantized(tensor, type); }};
}

using Observed = std::map<std::pair<size_t, size_t>, std::vector<PositionObservation>>;

Observed run(const Network& network, std::span<const Window> windows, const std::vector<ResolvedVariant>& variants,
             uint64_t memory = uint64_t{1} << 30) {
  Observed observed;
  SweepOptions options;
  options.memory = memory;
  const Status status = run_sweep(network, windows, variants, options, [&](size_t v, size_t w, std::span<const PositionObservation> rows) {
    observed[{v, w}].assign(rows.begin(), rows.end());
  });
  EXPECT_TRUE(status) << status.error().message;
  return observed;
}

void expect_equal(const std::vector<PositionObservation>& a, const std::vector<PositionObservation>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].kl, b[i].kl) << i;
    EXPECT_EQ(a[i].nll, b[i].nll) << i;
  }
}

class SweepTest : public testing::TestWithParam<Compute> {
 protected:
  void SetUp() override {
    if (!supported(GetParam())) GTEST_SKIP() << "this CPU lacks AVX512-BF16";
  }
  std::shared_ptr<const Network> network_ = load(supported(GetParam()) ? GetParam() : Compute::kFloat32);
  ChangeSource source_{network_, nullptr, ChangeOptions{}};
  std::vector<Window> windows_ = random_windows(3, 64, 31);

  // Every site of two blocks, embedding-and-head, several at once, and nothing.
  std::vector<ResolvedVariant> variants() {
    std::vector<ResolvedVariant> all;
    const std::pair<Site, const char*> sites[] = {{Site::kQ, "attn_q"},      {Site::kK, "attn_k"},      {Site::kV, "attn_v"},
                                                  {Site::kO, "attn_output"}, {Site::kGate, "ffn_gate"}, {Site::kUp, "ffn_up"},
                                                  {Site::kDown, "ffn_down"}};
    for (const int layer : {2, 11})
      for (const auto& [site, name] : sites) {
        const std::string tensor = "blk." + std::to_string(layer) + "." + name + ".weight";
        all.push_back({{requantize(source_, layer, site, tensor, GgmlType::kQ4_0)}});
      }
    all.push_back({{requantize(source_, ResolvedEdit::kHead, Site::kQ, "token_embd.weight", GgmlType::kQ4_0),
                    requantize(source_, ResolvedEdit::kEmbedding, Site::kQ, "token_embd.weight", GgmlType::kQ4_0)}});
    all.push_back({{requantize(source_, 2, Site::kV, "blk.2.attn_v.weight", GgmlType::kQ4_0),
                    requantize(source_, 2, Site::kDown, "blk.2.ffn_down.weight", GgmlType::kQ8_0),
                    requantize(source_, 7, Site::kO, "blk.7.attn_output.weight", GgmlType::kQ4_0)}});
    all.push_back({});
    return all;
  }
};

TEST_P(SweepTest, StackedEqualsAloneBitForBit) {
  const auto all = variants();
  const Observed together = run(*network_, windows_, all);
  at::set_num_threads(1);
  for (size_t v = 0; v < all.size(); ++v)
    for (size_t w = 0; w < windows_.size(); ++w) {
      const Observed alone = run(*network_, std::span(windows_).subspan(w, 1), {all[v]}, uint64_t{4} << 20);
      expect_equal(together.at({v, w}), alone.at({0, 0}));
    }
  at::set_num_threads(2);
}

TEST_P(SweepTest, TheBaseAgainstItselfIsExactlyZero) {
  const Observed observed = run(*network_, windows_, {ResolvedVariant{}});
  for (const auto& [key, rows] : observed)
    for (const PositionObservation& row : rows) {
      EXPECT_EQ(row.kl, 0.0);
      EXPECT_EQ(row.nll - row.nll_base, 0.0);
      EXPECT_FALSE(row.flip);
    }
}

TEST_P(SweepTest, EveryChangeIsSeenAndOrderDoesNotMatter) {
  auto all = variants();
  const Observed forward = run(*network_, windows_, all);
  for (size_t v = 0; v + 1 < all.size(); ++v) EXPECT_GT(forward.at({v, 0})[5].kl, 0.0) << v;
  std::reverse(all.begin(), all.end());
  const Observed backward = run(*network_, windows_, all);
  for (size_t v = 0; v < all.size(); ++v) expect_equal(forward.at({v, 1}), backward.at({all.size() - 1 - v, 1}));
}

// A change that changes nothing goes through every product after its fork and still leaves no trace.
TEST_P(SweepTest, AChangeOfZeroIsExactlyZeroInDeviations) {
  if (GetParam() != Compute::kDeviations) GTEST_SKIP() << "only there is a product made from the distance to the base";
  const ResolvedEdit nothing{2, Site::kV, "nothing", [&]() -> Result<at::Tensor> {
                               ASSAY_ASSIGN(const at::Tensor weight, network_->plain_weight("blk.2.attn_v.weight"));
                               return at::zeros_like(weight);
                             }};
  const Observed observed = run(*network_, windows_, {{{nothing}}});
  for (const PositionObservation& row : observed.at({0, 1})) EXPECT_EQ(row.kl, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Computes, SweepTest, testing::Values(Compute::kFloat32, Compute::kBFloat16, Compute::kDeviations),
                         [](const auto& computed) { return std::string(name_of(computed.param)); });

// Rounding distances to 8 bits moves a product by 2^-9 of the distance, at random: a mean KL moves by thousandths of itself. Plain bf16,
// which rounds activations, is off by whole multiples for the smallest of these.
TEST(Sweep, DeviationsAgreeWithFloat32) {
  constexpr double kTolerance = 0.01;
  if (!supported(Compute::kDeviations)) GTEST_SKIP() << "this CPU lacks AVX512-BF16";
  const auto exact = load(Compute::kFloat32), near = load(Compute::kDeviations);
  const ChangeSource of_exact(exact, nullptr, ChangeOptions{}), of_near(near, nullptr, ChangeOptions{});
  const auto windows = random_windows(1, 256, 0);
  const auto variants = [](const ChangeSource& source) {
    std::vector<ResolvedVariant> all;
    for (const GgmlType type : {GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ2_K})
      for (const int layer : {0, 6, 11}) {
        const std::string block = "blk." + std::to_string(layer);
        all.push_back({{requantize(source, layer, Site::kQ, block + ".attn_q.weight", type)}});
        all.push_back({{requantize(source, layer, Site::kV, block + ".attn_v.weight", type)}});
        all.push_back({{requantize(source, layer, Site::kDown, block + ".ffn_down.weight", type)}});
      }
    return all;
  };
  const Observed one = run(*exact, windows, variants(of_exact)), two = run(*near, windows, variants(of_near));
  const auto mean_kl = [](const std::vector<PositionObservation>& rows) {
    double sum = 0;
    for (const PositionObservation& row : rows) sum += row.kl;
    return sum / static_cast<double>(rows.size());
  };
  for (const auto& [key, rows] : one) EXPECT_NEAR(mean_kl(two.at(key)) / mean_kl(rows), 1, kTolerance) << key.first;
}

TEST(Sweep, DeviationsAreRefusedByNameWhereTheCpuLacksThem) {
  if (supported(Compute::kDeviations)) GTEST_SKIP() << "this CPU has AVX512-BF16";
  NetworkOptions options;
  options.compute = Compute::kDeviations;
  const auto network = Network::load(*Checkpoint::open(kModel), options);
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, ErrorCode::kUnsupported);
}

// A sweep variant is the model with that tensor's weights replaced: the same KL as two whole forwards, within float32.
TEST(Sweep, EqualsAModelWithReplacedWeights) {
  const auto network = load(Compute::kFloat32);
  const ChangeSource source(network, nullptr, ChangeOptions{});
  const auto windows = random_windows(1, 64, 0);
  const std::string tensor = "blk.3.ffn_up.weight";
  const Observed swept = run(*network, windows, {{{requantize(source, 3, Site::kUp, tensor, GgmlType::kQ4_0)}}});

  at::NoGradGuard no_grad;
  const auto change = source.requantized(tensor, GgmlType::kQ4_0);
  ASSERT_TRUE(change);
  const Matrix delta = Matrix::pack(*change, Compute::kFloat32);
  const auto logits = [&](bool changed) {
    at::Tensor h = *network->embed(token_matrix(windows));
    for (int layer = 0; layer < network->hyper().layers; ++layer) {
      const auto block = *network->block(layer);
      h = block->forward(h, 1, 64, [&](Site site, const at::Tensor& x) {
        at::Tensor y = block->linear(site, x);
        return changed && layer == 3 && site == Site::kUp ? y + delta.multiply(x) : y;
      });
    }
    return network->head().multiply(network->final_norm(h)).to(at::kDouble);
  };
  const at::Tensor p = at::log_softmax(logits(false), -1), q = at::log_softmax(logits(true), -1);
  const at::Tensor kl = (p.exp() * (p - q)).sum(-1);
  for (int64_t t = 0; t < 63; ++t) EXPECT_NEAR(swept.at({0, 0})[static_cast<size_t>(t)].kl, kl[t].item<double>(), 2e-6) << t;
}

// A model that does not fit is run block by block; the memory limit cannot change a result.
TEST(Sweep, MemoryLimitDoesNotChangeTheResult) {
  const auto roomy = load(Compute::kFloat32), tight = load(Compute::kFloat32, uint64_t{8} << 20);
  const auto windows = random_windows(2, 64, 31);
  const ChangeSource a(roomy, nullptr, ChangeOptions{}), b(tight, nullptr, ChangeOptions{0, 1});
  const Observed one = run(*roomy, windows, {{{requantize(a, 5, Site::kK, "blk.5.attn_k.weight", GgmlType::kQ4_0)}}});
  const Observed two = run(*tight, windows, {{{requantize(b, 5, Site::kK, "blk.5.attn_k.weight", GgmlType::kQ4_0)}}});
  expect_equal(one.at({0, 1}), two.at({0, 1}));
}

}  // namespace
}  // namespace assay
