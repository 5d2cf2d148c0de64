#include <algorithm>
#include <optional>

#include "assay/score/block_walk.h"
#include "assay/score/super_weights.h"

namespace assay {
namespace {

// The largest entry by magnitude.
struct Peak {
  double size = 0;
  int64_t channel = 0;
};
struct DownPeaks {
  Peak input, output;
  double lesser() const { return std::min(input.size, output.size); }
};

bool is(const SuperWeight& one, int layer, const DownPeaks& peaks) {
  return one.layer == layer && one.row == peaks.output.channel && one.column == peaks.input.channel;
}

Peak peak_of(const at::Tensor& values) {
  const at::Tensor sizes = values.to(at::kCPU).abs().contiguous();
  const int64_t place = sizes.argmax().item<int64_t>();
  return {sizes.view({-1})[place].item<double>(), place % sizes.size(1)};
}

// The peaks of every block; without the weights in `out`.
Result<std::vector<DownPeaks>> peaks_of(const Network& network, const Window& prompt, std::span<const SuperWeight> out) {
  std::vector<DownPeaks> peaks;
  ASSAY_ASSIGN(Streams streams, embedded(network, {&prompt, 1}));
  for (int layer = 0; layer < network.hyper().layers; ++layer) {
    DownPeaks here;
    ASSAY_TRY(step(network, layer, streams, [&](const Block& block, Site site, const at::Tensor& x) {
      at::Tensor y = block.linear(site, x);
      if (site != Site::kDown) return y;
      for (const SuperWeight& one : out)
        if (one.layer == layer) y.select(1, one.row).sub_(x.select(1, one.column), one.weight);
      here = {peak_of(x), peak_of(y)};
      return y;
    }));
    peaks.push_back(here);
  }
  return peaks;
}

// Spikes further up are perhaps its doing, so the first block's only. A weight that is out already did not make the spike that is left.
Result<std::optional<SuperWeight>> first_of(const Network& network, std::span<const DownPeaks> peaks, std::span<const SuperWeight> out,
                                            double spike) {
  for (size_t l = 0; l < peaks.size(); ++l) {
    const auto layer = static_cast<int>(l);
    if (peaks[l].lesser() <= spike || std::ranges::any_of(out, [&](const SuperWeight& one) { return is(one, layer, peaks[l]); })) continue;
    ASSAY_ASSIGN(const at::Tensor weight, network.plain_weight(network.tensor_name(layer, Site::kDown)));
    const int64_t row = peaks[l].output.channel, column = peaks[l].input.channel;
    return std::optional(SuperWeight{layer, row, column, weight[row][column].item<double>()});
  }
  return std::optional<SuperWeight>();
}

}  // namespace

Result<SuperWeightSearch> find_super_weights(const Network& network, const Window& prompt, double spike) {
  at::NoGradGuard no_grad;
  Window few = prompt;
  few.tokens.resize(std::min(few.tokens.size(), kSuperWeightTokens));
  SuperWeightSearch search;
  while (search.rounds < kSuperWeightRounds) {
    ASSAY_ASSIGN(const std::vector<DownPeaks> peaks, peaks_of(network, few, search.found));
    ++search.rounds;
    if (search.grades.empty())
      for (const DownPeaks& one : peaks) search.grades.push_back(one.lesser() / spike);
    ASSAY_ASSIGN(const std::optional<SuperWeight> next, first_of(network, peaks, search.found, spike));
    if (!next) return search;
    search.found.push_back(*next);
  }
  search.complete = false;
  return search;
}

}  // namespace assay
