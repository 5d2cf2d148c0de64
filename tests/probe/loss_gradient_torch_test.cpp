// The gradient against differences of the loss as a sweep measures it, and against one weight moved alone.
#include <gtest/gtest.h>

#include "assay/base/random.h"
#include "assay/probe/loss_gradient.h"
#include "assay/probe/observation.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr double kTolerance = 0.03;  // relative: a step of finite length has curvature in it, most in the first block

TEST(LossGradient, EqualsDifferencesOfTheLoss) {
  const auto network = *Network::load(*Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m"), {});
  std::vector<Window> windows(2);
  for (size_t w = 0; w < windows.size(); ++w) {
    CounterRandom random(5, w);
    for (int t = 0; t < 40; ++t) windows[w].tokens.push_back(static_cast<TokenId>(random.next_below(8192)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = 9;
    windows[w].score_end = 39;
  }
  std::map<std::string, at::Tensor> gradients;
  const auto nll = loss_gradient(*network, windows, [&](int, const std::string& tensor, const at::Tensor& g) -> Status {
    gradients[tensor] = g.clone();
    return {};
  });
  ASSERT_TRUE(nll) << nll.error().message;
  EXPECT_EQ(gradients.size(), 84u);

  std::vector<ResolvedVariant> variants;
  std::vector<double> predicted;
  for (const int layer : {0, 5, 11})
    for (const Site site : kSites) {
      const auto found = gradients.find(network->tensor_name(layer, site));
      if (found == gradients.end()) continue;
      // Along the gradient itself, by a small step: the change is the step times its squared length.
      const at::Tensor& g = found->second;
      const double length = g.norm().item<double>();
      const at::Tensor step = g * (1e-3 / length);
      variants.push_back({{{layer, site, "up", [step]() -> Result<WeightChange> { return WeightChange(step); }}}});
      predicted.push_back(1e-3 * length);
    }
  std::vector<WindowTotals> totals(variants.size());
  const Status swept = run_sweep(*network, windows, variants, {},
                                 [&](size_t v, size_t, std::span<const PositionObservation> rows) { totals[v].add(sum_window(0, rows)); });
  ASSERT_TRUE(swept) << swept.error().message;
  for (size_t v = 0; v < variants.size(); ++v) {
    const WindowSums sums = totals[v].value();
    EXPECT_NEAR(sums.nll_difference / static_cast<double>(sums.count) / predicted[v], 1, kTolerance) << v;
    EXPECT_NEAR(sums.nll_base / static_cast<double>(sums.count), *nll, 1e-5);
  }
}

}  // namespace
}  // namespace assay
