#include <gtest/gtest.h>

#include <filesystem>

#include "assay/model/network.h"
#include "assay/model/panel_product.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

// float32 gradients that went through products, a softmax and a norm in another order of summation: relative to the largest one.
constexpr double kTolerance = 2e-5;

struct Case {
  const char* architecture;
  int64_t sequences, tokens;
  uint32_t window;  // 0: none
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.architecture << ' ' << c.sequences << 'x' << c.tokens << " window " << c.window;
}

std::shared_ptr<const Network> tiny_network(const Case& c) {
  const std::string path = testing::TempDir() + "/assay-block-gradient-" + c.architecture + ".gguf";
  Metadata metadata = tiny::metadata(c.architecture);
  if (c.window > 0) metadata.set(std::string(c.architecture) + ".attention.sliding_window", MetaValue::u32(c.window));
  const auto hyper = parse_hyper(metadata, false);
  EXPECT_TRUE(hyper) << hyper.error().message;
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*hyper));
  const auto network = Network::load(*Checkpoint::open(path), NetworkOptions{});
  EXPECT_TRUE(network) << network.error().message;
  std::filesystem::remove(path);
  return *network;
}

void expect_close(const at::Tensor& got, const at::Tensor& wanted, const std::string& what) {
  ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
  const double largest = wanted.abs().max().item<double>();
  EXPECT_GT(largest, 0) << what;
  EXPECT_LT((got - wanted).abs().max().item<double>(), kTolerance * largest) << what;
}

class BlockGradients : public testing::TestWithParam<Case> {
 protected:
  BlockGradients() : network_(tiny_network(GetParam())) {
    at::manual_seed(5);
    h_ = at::randn({GetParam().sequences * GetParam().tokens, 32});
    g_ = at::randn_like(h_);
  }
  std::shared_ptr<const Network> network_;
  at::Tensor h_, g_;
};

// Every family: rotary embeddings of both kinds or none, norms of both kinds and of heads, fused and biased products, both MLPs.
TEST_P(BlockGradients, EqualThoseOfTheOperators) {
  const auto [architecture, sequences, tokens, window] = GetParam();
  for (int layer = 0; layer < network_->hyper().layers; ++layer) {
    const auto block = *network_->plain_block(layer);
    const BlockGradient own = block->backward(h_, g_, sequences, tokens);
    const BlockGradient reference = block->backward_by_operators(h_, g_, sequences, tokens);
    expect_close(own.input, reference.input, "input");
    ASSERT_EQ(own.sites.size(), reference.sites.size());
    for (const SiteGradient& site : own.sites) {
      const auto same = std::find_if(reference.sites.begin(), reference.sites.end(), [&](const auto& r) { return r.site == site.site; });
      ASSERT_NE(same, reference.sites.end());
      expect_close(site.x, same->x, std::string(name_of(site.site)) + " x");
      expect_close(site.g, same->g, std::string(name_of(site.site)) + " g");
    }
  }
}

// Neither the other sequences nor the threads change a bit.
TEST_P(BlockGradients, OfASequenceDoNotDependOnWhatRunsWithIt) {
  if (!panel::float32_supported()) GTEST_SKIP() << "this CPU takes ATen's operators";
  const auto [architecture, sequences, tokens, window] = GetParam();
  const auto block = *network_->plain_block(1);
  const BlockGradient all = block->backward(h_, g_, sequences, tokens);
  const int threads = at::get_num_threads();
  for (const int other : {1, 3}) {
    at::set_num_threads(other);
    const int64_t first = (sequences - 1) * tokens;
    const BlockGradient last = block->backward(h_.narrow(0, first, tokens), g_.narrow(0, first, tokens), 1, tokens);
    EXPECT_TRUE(last.input.equal(all.input.narrow(0, first, tokens)));
    for (size_t i = 0; i < all.sites.size(); ++i) EXPECT_TRUE(last.sites[i].g.equal(all.sites[i].g.narrow(0, first, tokens)));
  }
  at::set_num_threads(threads);
}

TEST_P(BlockGradients, FinalNorm) {
  const at::Tensor input = h_.clone().requires_grad_(true);
  const at::Tensor wanted = torch::autograd::grad({network_->final_norm_plain(input)}, {input}, {g_})[0];
  expect_close(network_->final_norm_gradient(h_, g_), wanted, "final norm");
}

// Token counts around a panel of 64 and a block of 48 queries.
INSTANTIATE_TEST_SUITE_P(Families, BlockGradients,
                         testing::Values(Case{"llama", 3, 12, 0}, Case{"llama", 2, 130, 0}, Case{"qwen2", 2, 64, 0},
                                         Case{"qwen2", 1, 97, 50}, Case{"qwen3", 2, 49, 0}, Case{"gpt2", 2, 65, 0}));

}  // namespace
}  // namespace assay
