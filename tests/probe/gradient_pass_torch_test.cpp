// What the pass gives its readers, against sums made window by window; what memory may and may not change; drawn labels.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "assay/probe/gradient_pass.h"
#include "assay/probe/loss_gradient.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

constexpr int64_t kTokens = 12;
constexpr double kRounding = 2e-6;  // float32 sums of a dozen rows, relative to the largest entry

std::shared_ptr<const Network> tiny_network(const std::string& architecture) {
  const std::string path = testing::TempDir() + "/assay-gradient-pass-" + architecture + ".gguf";
  const Metadata metadata = tiny::metadata(architecture);
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)));
  const auto network = Network::load(*Checkpoint::open(path), NetworkOptions{});
  EXPECT_TRUE(network) << network.error().message;
  std::filesystem::remove(path);
  return *network;
}

std::vector<Window> some_windows(size_t count, bool alike = false) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    CounterRandom random(11, alike ? 0 : w);
    for (int64_t t = 0; t < kTokens; ++t) windows[w].tokens.push_back(static_cast<TokenId>(random.next_below(24)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = 4;
    windows[w].score_end = kTokens - 1;
  }
  return windows;
}

struct Keeper : GradientReader {
  GradientLabels labels = GradientLabels::kText;
  GradientNeeds wanted{true, true, true, true};
  std::string only;  // a tensor; empty: all
  std::vector<std::string> order;
  std::map<std::string, MatrixGradient> matrices;
  std::map<std::string, std::vector<at::Tensor>> by_window;

  GradientNeeds needs(const MatrixPlace& place, GradientLabels of) const override {
    return of == labels && (only.empty() ? place.layer >= 0 : only == place.tensor) ? wanted : GradientNeeds{};
  }
  Status window(const MatrixPlace& place, GradientLabels, size_t window, const at::Tensor& gradient) override {
    EXPECT_EQ(by_window[place.tensor].size(), window);
    by_window[place.tensor].push_back(gradient.clone());
    return {};
  }
  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    order.push_back(place.tensor);
    matrices[place.tensor] = gradients[labels];
    return {};
  }
};

Result<GradientLosses> run(const Network& network, std::span<const Window> windows, GradientReader& reader,
                           const GradientPassOptions& options = {}) {
  GradientReader* const readers[] = {&reader};
  return gradient_pass(network, windows, readers, options);
}

double distance(const at::Tensor& a, const at::Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

class Families : public testing::TestWithParam<const char*> {};

TEST_P(Families, SumsAreThoseOfSingleWindows) {
  const auto network = tiny_network(GetParam());
  const auto windows = some_windows(3);
  Keeper all;
  const auto losses = run(*network, windows, all);
  ASSERT_TRUE(losses) << losses.error().message;
  std::map<std::string, at::Tensor> mean, squares;
  double loss = 0;
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto one = loss_gradient(*network, {&windows[w], 1}, [&](int, const std::string& tensor, const at::Tensor& g) -> Status {
      EXPECT_LT(distance(all.by_window[tensor][w], g), kRounding) << tensor;
      mean[tensor] = mean[tensor].defined() ? mean[tensor] + g / 3 : g / 3;
      squares[tensor] = squares[tensor].defined() ? squares[tensor] + g * g : g * g;
      return {};
    });
    ASSERT_TRUE(one);
    EXPECT_NEAR(losses->windows[w], *one, 1e-6);
    loss += *one / 3;
  }
  EXPECT_NEAR(losses->mean, loss, 1e-6);
  EXPECT_EQ(all.order.size(), mean.size());
  EXPECT_EQ(all.order.front().substr(0, 5), "blk.2");  // from the last block to the first
  EXPECT_EQ(all.order.back().substr(0, 5), "blk.0");
  for (const auto& [tensor, gradient] : all.matrices) {
    EXPECT_LT(distance(gradient.mean, mean.at(tensor)), kRounding) << tensor;
    EXPECT_LT(distance(gradient.squares, squares.at(tensor)), kRounding) << tensor;
    // Squares of sums are not sums of squares (methods.md 9, item 23).
    EXPECT_GT(distance(gradient.squares, gradient.mean.square() * 3), 0.1) << tensor;
    ASSERT_EQ(gradient.rows.size(), windows.size());
    EXPECT_EQ(gradient.scored, static_cast<uint64_t>(kTokens - 5));
    for (size_t w = 0; w < windows.size(); ++w) {
      EXPECT_EQ(gradient.rows[w].x.size(0), kTokens);
      EXPECT_LT(distance(gradient.rows[w].g.t().matmul(gradient.rows[w].x), all.by_window[tensor][w]), kRounding) << tensor;
    }
  }
}

TEST_P(Families, MemoryAndThreadsChangeNoBit) {
  const auto network = tiny_network(GetParam());
  const auto windows = some_windows(3);
  Keeper plenty, little;
  const auto losses = run(*network, windows, plenty);
  ASSERT_TRUE(losses);
  GradientPassOptions options;
  const uint64_t input = 3 * kTokens * 32 * 4,
                 trace = 3 * kTokens * 4 * static_cast<uint64_t>(BlockTrace::floats_per_row(network->hyper()));
  options.memory = 5 * input;  // of three blocks' inputs, the last one's gradient and one more: the second is made again
  const int threads = at::get_num_threads();
  const auto expect_same = [&](const Keeper& other, const GradientLosses& of_other) {
    EXPECT_EQ(of_other.windows, losses->windows) << options.memory;
    for (const auto& [tensor, gradient] : plenty.matrices) {
      EXPECT_TRUE(at::equal(gradient.mean, other.matrices.at(tensor).mean)) << tensor << options.memory;
      EXPECT_TRUE(at::equal(gradient.squares, other.matrices.at(tensor).squares)) << tensor << options.memory;
    }
  };
  at::set_num_threads(1);
  const auto with_little = run(*network, windows, little, options);
  at::set_num_threads(threads);
  ASSERT_TRUE(with_little);
  expect_same(little, *with_little);
  for (const uint64_t traces : {0, 1, 2}) {  // all inputs are kept, and traces of the last blocks
    options.memory = 5 * input + input + traces * trace;
    Keeper some;
    const auto with_some = run(*network, windows, some, options);
    ASSERT_TRUE(with_some);
    expect_same(some, *with_some);
  }
  options.memory = input;
  Keeper none;
  const auto refused = run(*network, windows, none, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().message.find("are needed"), std::string::npos) << refused.error().message;
}

INSTANTIATE_TEST_SUITE_P(All, Families, testing::Values("llama", "qwen2", "qwen3", "gpt2"));

// At the ends of the model: predictions are kept or made again.
TEST_P(Families, MemoryChangesNoBitOfTheHead) {
  const auto network = tiny_network(GetParam());
  const auto windows = some_windows(3);
  Keeper plenty, little;
  plenty.only = little.only = network->head_tensor();
  plenty.wanted = little.wanted = {.mean = true, .squares = true};
  ASSERT_TRUE(run(*network, windows, plenty));
  GradientPassOptions options;
  options.memory = 5 * 3 * kTokens * 32 * 4;  // three blocks' inputs, a gradient and one more: nothing for predictions
  ASSERT_TRUE(run(*network, windows, little, options));
  const MatrixGradient &kept = plenty.matrices.at(plenty.only), &again = little.matrices.at(plenty.only);
  EXPECT_GT(kept.mean.abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(kept.mean, again.mean));
  EXPECT_TRUE(at::equal(kept.squares, again.squares));
}

TEST(GradientPass, ReadersGetWhatTheyAskForAndNoMore) {
  const auto network = tiny_network("llama");
  const auto windows = some_windows(2);
  Keeper squares, one, drawn;
  squares.wanted = {.squares = true};
  one.wanted = {.mean = true};
  one.only = "blk.1.attn_k.weight";
  drawn.wanted = {.mean = true};
  drawn.labels = GradientLabels::kDrawn;
  GradientReader* const readers[] = {&squares, &one, &drawn};
  const auto losses = gradient_pass(*network, windows, readers);
  ASSERT_TRUE(losses) << losses.error().message;
  EXPECT_TRUE(squares.by_window.empty());
  EXPECT_TRUE(squares.matrices.at("blk.0.attn_q.weight").rows.empty());
  EXPECT_FALSE(squares.matrices.at("blk.0.attn_q.weight").mean.defined());
  EXPECT_EQ(one.order, std::vector<std::string>{one.only});
  EXPECT_EQ(drawn.matrices.size(), squares.matrices.size());
  EXPECT_GT(distance(drawn.matrices.at(one.only).mean, one.matrices.at(one.only).mean), 0.1);
  // Alone or beside others: the same bits. No reader: losses alone.
  Keeper alone;
  alone.only = one.only;
  ASSERT_TRUE(run(*network, windows, alone));
  EXPECT_TRUE(at::equal(alone.matrices.at(one.only).mean, one.matrices.at(one.only).mean));
  const auto bare = gradient_pass(*network, windows, {});
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->mean, losses->mean);
}

// Under the model's own labels the expected gradient is 0: the mean of n draws has 1/sqrt(n) of one draw's length.
TEST(GradientPass, DrawnLabelsAreTheModelsOwn) {
  constexpr size_t kDraws = 400;
  const auto network = tiny_network("llama");
  const auto windows = some_windows(kDraws, true);
  Keeper drawn, text;
  drawn.labels = GradientLabels::kDrawn;
  drawn.wanted = text.wanted = {.mean = true, .squares = true};
  GradientReader* const readers[] = {&drawn, &text};
  GradientPassOptions options;
  options.seed = 3;
  ASSERT_TRUE(gradient_pass(*network, windows, readers, options));
  for (const auto& [tensor, gradient] : drawn.matrices) {
    const double one = std::sqrt(gradient.squares.sum().item<double>() / kDraws);
    EXPECT_LT(gradient.mean.norm().item<double>(), 2 * one / std::sqrt(static_cast<double>(kDraws))) << tensor;
    const MatrixGradient& same = text.matrices.at(tensor);  // one label each: no such cancelling
    EXPECT_GT(same.mean.norm().item<double>(), 0.9 * std::sqrt(same.squares.sum().item<double>() / kDraws)) << tensor;
  }
  Keeper again, other;
  again.labels = other.labels = GradientLabels::kDrawn;
  ASSERT_TRUE(run(*network, std::span(windows).subspan(0, 4), again, options));
  options.seed = 4;
  ASSERT_TRUE(run(*network, std::span(windows).subspan(0, 4), other, options));
  EXPECT_FALSE(at::equal(again.by_window.begin()->second[1], other.by_window.begin()->second[1]));
  EXPECT_FALSE(at::equal(again.by_window.begin()->second[0], again.by_window.begin()->second[1]));
}

}  // namespace
}  // namespace assay
