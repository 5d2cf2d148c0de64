// AWQ's search and its folding on small random models of every family.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/awq/awq_search.h"
#include "assay/probe/sweep.h"
#include "tests/awq/awq_models.h"
#include "tests/base/map_unit_cache.h"

namespace assay {
namespace {

using awq_models::Family;
using awq_models::kFamilies;

constexpr double kLogitFloor = 2e-5;  // of the largest logit: float32 products of scaled numbers round elsewhere

std::vector<Window> windows_of(size_t count, size_t tokens) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    for (size_t t = 0; t < tokens; ++t) windows[w].tokens.push_back(static_cast<int32_t>(CounterRandom(5, w * tokens + t).next_below(24)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_end = static_cast<uint32_t>(tokens - 1);
  }
  return windows;
}

std::shared_ptr<const Network> load(std::shared_ptr<const Checkpoint> checkpoint) {
  auto network = Network::load(std::move(checkpoint), NetworkOptions{});
  EXPECT_TRUE(network) << network.error().message;
  return *network;
}

at::Tensor logits(std::shared_ptr<const Checkpoint> checkpoint) {
  const auto network = load(std::move(checkpoint));
  at::NoGradGuard no_grad;
  return network->head().multiply(network->final_norm(*run_blocks(*network, windows_of(2, 16))));
}

class AwqSearchTest : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> model(const Family& family) {
    return awq_models::write(family, dir_ / ("m" + std::to_string(made_++) + ".gguf"));
  }
  AwqSearch search(const Network& network, AwqOptions options = {}) {
    options.grid.group = 16;
    options.grid.bits = 3;
    return {network, network.checkpoint(), fold_groups(network.hyper(), network.checkpoint().tensors()), options,
            grid_rounder(options.grid, 1)};
  }
  testing_files::ScratchDirectory dir_;
  int made_ = 0;
};

// Any scale of any group leaves the model's function as it is: powers of two to the last bit, others within float32's rounding.
TEST_F(AwqSearchTest, FoldingAnyScalesKeepsTheLogits) {
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto base = model(family);
    const at::Tensor before = logits(base);
    for (const bool powers : {true, false}) {
      AwqResult result;
      uint64_t draw = 0;
      for (const FoldGroup& group : fold_groups(*parse_hyper(awq_models::metadata(family), true), awq_models::tensors(family))) {
        AwqScale scale;
        scale.group = group;
        for (uint64_t j = 0; j < group.width; ++j) {
          const double log2 = 6 * CounterRandom(9, draw++).next_uniform() - 3;  // 1/8 to 8
          scale.scales.push_back(static_cast<float>(std::exp2(powers ? std::round(log2) : log2)));
        }
        result.scales.push_back(scale);
      }
      const at::Tensor after = logits(*edited_checkpoint(base, folded_edits(result)));
      const double largest = (after - before).abs().max().item<double>();
      EXPECT_EQ(largest == 0, powers);  // with others nothing would have been folded
      EXPECT_LT(largest, kLogitFloor * before.abs().max().item<double>());
    }
  }
}

TEST(AwqScales, ByHandAndWithoutAUnit) {
  const std::vector<float> mean = {1, 4, 16};
  // 1, 2, 4 over sqrt(4 * 1).
  EXPECT_EQ(scales_at(mean, 0.5), (std::vector<float>{0.5F, 1, 2}));
  EXPECT_EQ(scales_at(mean, 0), (std::vector<float>{1, 1, 1}));
  const std::vector<float> thousandfold = {1000, 4000, 16000};
  for (const double alpha : {0.3, 0.5, 1.0}) {
    const auto a = scales_at(mean, alpha), b = scales_at(thousandfold, alpha);
    for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(a[j] / b[j], 1, 1e-6);
  }
  const std::vector<float> dead = {0, 1};
  EXPECT_FLOAT_EQ(scales_at(dead, 1)[0], 0.01F);        // 1e-4 over sqrt(1e-4)
  EXPECT_FLOAT_EQ(scales_at(dead, 1, true)[0], 1e-4F);  // 1e-8 over sqrt(1e-8): the source's
}

TEST(AwqErrors, OfAnOutputByHand) {
  // e = (1, 2), H = ((2, 1), (1, 3)): 2 + 2*2*1 + 4*3 = 18; a second row of zeros adds nothing.
  EXPECT_DOUBLE_EQ(output_error(at::tensor({1.0F, 2.0F, 0.0F, 0.0F}).view({2, 2}), at::tensor({2.0F, 1.0F, 1.0F, 3.0F}).view({2, 2})), 18);
}

TEST(AwqClips, CutAnOutlierThatNoTokenSees) {
  // Two bits around 0 are -m, 0, m. The outlier 2 of a channel that is never active makes the grid too coarse for 1, 1, 1.
  const at::Tensor weight = at::tensor({1.0F, 1.0F, 1.0F, 2.0F}).view({1, 4});
  at::Tensor quiet = at::eye(4);
  quiet[3][3] = 0;
  const AwqClip cut = search_clips(weight, quiet, {2, 4, false}, 1);
  ASSERT_EQ(cut.limits.size(), 1u);
  EXPECT_FLOAT_EQ(cut.shares[0], 0.55F);  // 1.1: the nearest to 1 on the way
  EXPECT_FLOAT_EQ(cut.limits[0], 1.1F);
  // Where the outlier matters most nothing is cut.
  at::Tensor loud = at::eye(4);
  loud[3][3] = 100;
  EXPECT_FLOAT_EQ(search_clips(weight, loud, {2, 4, false}, 1).shares[0], 1);
}

TEST_F(AwqSearchTest, TheBestIsNoWorseThanNoneAndNoneIsPlainRounding) {
  const auto windows = windows_of(6, 24);
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto network = load(model(family));
    for (const AwqLoss loss : {AwqLoss::kLinears, AwqLoss::kModule}) {
      AwqOptions options;
      options.loss = loss;
      const AwqSearch wanted = search(*network, options);
      const auto found = search_awq(wanted, windows);
      ASSERT_TRUE(found) << found.error().message;
      ASSERT_EQ(found->scales.size(), 3 * family.groups);
      bool any = false;
      for (const AwqScale& scale : found->scales) {
        ASSERT_EQ(scale.losses.size(), 21u);
        const double least = *std::ranges::min_element(scale.losses);
        EXPECT_EQ(scale.losses[static_cast<size_t>(std::lround(20 * scale.alpha))], least);
        EXPECT_LE(least, scale.losses[0]);
        EXPECT_GT(scale.losses[0], 0);
        any = any || scale.alpha > 0;
      }
      EXPECT_TRUE(any);
      // v (not the fused one), o, gate, up, down.
      EXPECT_EQ(found->clips.contains("blk.0.attn_q.weight"), false);
      EXPECT_EQ(found->clips.contains("blk.0.attn_qkv.weight"), false);
      EXPECT_TRUE(found->clips.contains("blk.2.ffn_down.weight"));
    }
  }
  // alpha = 0 alone: scales of 1, and the rounded model is plain rounding's, bit for bit.
  const auto base = model(kFamilies[0]);
  const auto network = load(base);
  AwqSearch none = search(*network);
  none.options.steps = 1;
  none.options.clip = false;
  const auto both = search_awq(none, windows);
  ASSERT_TRUE(both);
  AwqResult plain = *both;
  for (AwqScale& scale : plain.scales) scale.scales = scales_at(scale.mean, 0);
  std::vector<std::string> tensors;
  for (const FoldGroup& group : none.groups) tensors.insert(tensors.end(), group.readers.begin(), group.readers.end());
  TensorEdits folded = folded_edits(plain);
  append(folded, rounding_edits(tensors, plain, none.rounder));
  const auto awq = *edited_checkpoint(base, folded), rtn = *edited_checkpoint(base, rounding_edits(tensors, {}, none.rounder));
  const auto lite = *edited_checkpoint(base, unfolded_edits(plain, none.rounder));
  for (const std::string& tensor : tensors) {
    const auto expected = *rtn->read_float(*rtn->find(tensor));
    EXPECT_EQ(*awq->read_float(*awq->find(tensor)), expected) << tensor;
    EXPECT_EQ(*lite->read_float(*lite->find(tensor)), expected) << tensor;
  }
}

// The loss of linears is what the rounded matrices do to their outputs, token by token.
TEST_F(AwqSearchTest, LossesAreErrorsOfOutputs) {
  const auto network = load(model(kFamilies[0]));
  const auto windows = windows_of(6, 24);
  const AwqSearch wanted = search(*network);
  const auto found = search_awq(wanted, windows);
  ASSERT_TRUE(found);
  at::Tensor x;
  ASSERT_TRUE(run_blocks(*network, windows, [&](int layer, Site site, const at::Tensor& input) {
    if (layer == 1 && site == Site::kGate) x = input.clone();
  }));
  const auto at_ffn = std::ranges::find_if(
      found->scales, [](const AwqScale& scale) { return scale.group.layer == 1 && scale.group.place == FoldPlace::kFfnInput; });
  double error = 0, output = 0;
  for (const std::string& reader : at_ffn->group.readers) {
    const at::Tensor w = *network->plain_weight(reader);
    at::Tensor rounded = w.clone();
    const std::span<float> values(rounded.mutable_data_ptr<float>(), static_cast<size_t>(rounded.numel()));
    const std::vector<float> scales = scales_at(at_ffn->mean, 0.5);
    multiply_columns(values, scales);
    ASSERT_TRUE(wanted.rounder(reader, 32, scales, values));
    rounded.div_(at::tensor(scales));
    const at::Tensor exact = x.to(at::kDouble).matmul(w.to(at::kDouble).t());
    error += (x.to(at::kDouble).matmul(rounded.to(at::kDouble).t()) - exact).square().sum().item<double>();
    output += exact.square().sum().item<double>();
  }
  EXPECT_NEAR(at_ffn->losses[10] / (error / output), 1, 1e-4);
  EXPECT_NEAR(at_ffn->mean[3] / x.abs().mean(0)[3].item<double>(), 1, 1e-5);
}

TEST_F(AwqSearchTest, ResumesAndDoesNotDependOnThreads) {
  const auto network = load(model(kFamilies[0]));
  const auto windows = windows_of(3, 24);
  testing_units::MapUnitCache units;
  const auto first = search_awq(search(*network), windows, units);
  ASSERT_TRUE(first);
  units.units.erase("blk.1");
  const auto again = search_awq(search(*network), windows, units);
  ASSERT_TRUE(again);
  at::set_num_threads(1);
  const auto alone = search_awq(search(*network), windows);
  at::set_num_threads(2);
  ASSERT_TRUE(alone);
  for (const auto* other : {&*again, &*alone}) {
    ASSERT_EQ(other->scales.size(), first->scales.size());
    for (size_t i = 0; i < first->scales.size(); ++i) {
      EXPECT_EQ(other->scales[i].scales, first->scales[i].scales);
      EXPECT_EQ(other->scales[i].losses, first->scales[i].losses);
    }
    for (const auto& [tensor, clip] : first->clips) EXPECT_EQ(other->clips.at(tensor).limits, clip.limits);
  }
}

}  // namespace
}  // namespace assay
