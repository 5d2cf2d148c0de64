// Second moments of the bundled model's inputs against a plain product of what an observer sees.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "assay/base/random.h"
#include "assay/probe/collect_moments.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

std::shared_ptr<const Network> demo() {
  static const auto network = *Network::load(*Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m"), NetworkOptions{});
  return network;
}

std::vector<Window> random_windows(size_t count, size_t tokens) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    CounterRandom random(7, w);
    for (size_t t = 0; t < tokens; ++t) windows[w].tokens.push_back(static_cast<TokenId>(random.next_below(8192)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_end = static_cast<uint32_t>(tokens - 1);
  }
  return windows;
}

using Moments = std::map<std::string, CollectedMoment>;

Moments collected(std::span<const Window> windows, const std::vector<MomentInput>& inputs, size_t first = 0) {
  Moments moments;
  const Status status =
      collect_moments(*demo(), windows, inputs, first, [&](const MomentInput& input, const CollectedMoment& moment) -> Status {
        moments[input.tensor] = moment;
        return {};
      });
  EXPECT_TRUE(status) << status.error().message;
  return moments;
}

TEST(CollectMoments, InputsAreThoseOfTheBlocks) {
  const auto inputs = moment_inputs(*demo(), true);
  ASSERT_EQ(inputs.size(), 12u * 4 + 1);
  EXPECT_EQ(inputs[0].tensor, "blk.0.attn_q.weight");
  EXPECT_EQ(inputs[0].shared, (std::vector<std::string>{"blk.0.attn_k.weight", "blk.0.attn_v.weight"}));
  EXPECT_EQ(inputs[2].tensor, "blk.0.ffn_gate.weight");
  EXPECT_EQ(inputs[2].shared, std::vector<std::string>{"blk.0.ffn_up.weight"});
  EXPECT_EQ(inputs[3].tensor, "blk.0.ffn_down.weight");
  EXPECT_EQ(inputs[3].width, 512u);
  EXPECT_EQ(inputs.back().tensor, demo()->head_tensor());
}

TEST(CollectMoments, AreTheMeanOfOuterProducts) {
  const auto windows = random_windows(20, 256);
  const auto inputs = moment_inputs(*demo(), true);
  const Moments moments = collected(windows, inputs);
  ASSERT_EQ(moments.size(), inputs.size());
  at::Tensor q, down;
  ASSERT_TRUE(run_blocks(*demo(), windows, [&](int layer, Site site, const at::Tensor& x) {
    if (layer == 5 && site == Site::kQ) q = x.to(at::kDouble);
    if (layer == 11 && site == Site::kDown) down = x.to(at::kDouble);
  }));
  const auto expect = [&](const std::string& tensor, const at::Tensor& x) {
    const at::Tensor expected = x.t().mm(x) / static_cast<double>(x.size(0));
    const CollectedMoment& moment = moments.at(tensor);
    EXPECT_EQ(moment.tokens, 20u * 256);
    EXPECT_LT((moment.all - expected).abs().max().item<double>(), 1e-5 * expected.diagonal().max().item<double>());
    EXPECT_TRUE(moment.all.equal(moment.all.t()));
  };
  expect("blk.5.attn_q.weight", q);
  expect("blk.11.ffn_down.weight", down);
  // Held back: the last quarter of the batches, of the first, middle and last block.
  EXPECT_FALSE(moments.at("blk.5.attn_q.weight").held.defined());
  const CollectedMoment& sample = moments.at("blk.11.ffn_down.weight");
  ASSERT_TRUE(sample.held.defined());
  EXPECT_EQ(sample.held_tokens, 5u * 256);
  const at::Tensor last = down.narrow(0, 15 * 256, 5 * 256), held = last.t().mm(last) / static_cast<double>(last.size(0));
  EXPECT_LT((sample.held - held).abs().max().item<double>(), 1e-5 * held.diagonal().max().item<double>());
}

TEST(CollectMoments, DoNotDependOnThreadsAndGoOnInTheMiddle) {
  const auto windows = random_windows(6, 128);
  const auto inputs = moment_inputs(*demo(), false);
  const Moments all = collected(windows, inputs);
  at::set_num_threads(1);
  const Moments again = collected(windows, inputs);
  at::set_num_threads(2);
  for (const auto& [tensor, moment] : all) EXPECT_TRUE(moment.all.equal(again.at(tensor).all)) << tensor;
  const Moments rest = collected(windows, inputs, 9);
  EXPECT_EQ(rest.size(), inputs.size() - 9);
  for (const auto& [tensor, moment] : rest) EXPECT_TRUE(moment.all.equal(all.at(tensor).all)) << tensor;
}

}  // namespace
}  // namespace assay
