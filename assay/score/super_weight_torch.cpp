// Super weights (arXiv 2411.07191; methods.md 3.13): one forward of the first 16 tokens of the text; where a block's ffn_down has an entry
// beyond 50 in its input and one in its output, the weight at (channel of the output's largest entry, channel of the input's) makes a
// massive activation that the rest of the model needs. It is taken out (its product subtracted) and the search begins anew, until no block
// has both. The value of every ffn_down, with its super weights in place: min(max|input|, max|output|) / 50, above 1 exactly where the rule
// fires, and a number that models without spikes have too: how close the block comes. Coordinates and weights are in the notes. Needs a
// text: no data-free form exists, the input spike is made by tokens. Leaves out all other matrices, and whether removing the weight really
// hurts: measure that with a variant (docs/variants.md: zero).
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/payload.h"
#include "assay/score/block_walk.h"
#include "assay/score/residual_scores.h"

namespace assay {
namespace {

constexpr size_t kPromptTokens = 16;
constexpr double kSpike = 50;
constexpr int kMostRounds = 16;

// The largest entry by magnitude.
struct Peak {
  double size = 0;
  int64_t channel = 0;
};
struct DownPeaks {
  Peak input, output;
  bool spike() const { return input.size > kSpike && output.size > kSpike; }
  double grade() const { return std::min(input.size, output.size) / kSpike; }
};

struct SuperWeight {
  int layer = 0;
  int64_t row = 0, column = 0;
  double weight = 0;
  bool is(int at_layer, const DownPeaks& peaks) const {
    return layer == at_layer && row == peaks.output.channel && column == peaks.input.channel;
  }
};

Peak peak_of(const at::Tensor& values) {
  const at::Tensor sizes = values.to(at::kCPU).abs().contiguous();
  const int64_t place = sizes.argmax().item<int64_t>();
  return {sizes.view({-1})[place].item<double>(), place % sizes.size(1)};
}

Window prompt_of(const PassRun& run) {
  Window window = run.windows[0];
  window.tokens.resize(std::min(window.tokens.size(), kPromptTokens));
  return window;
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

class SuperWeights final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "super_weight",
            .what = "spikes in ffn_down's input and output: the lesser peak over 50",
            .pooling = Pooling::kMean,
            .needs_text = true,
            .source = "arXiv 2411.07191; methods.md 3.13"};
  }

  // One round, and one more for each that is found.
  double estimate(const PassRun& run) const override {
    return kMostRounds * static_cast<double>(kPromptTokens) / static_cast<double>(run.windows[0].tokens.size());
  }

  Result<PassRows> rows(const PassRun& run) const override {
    run.progress.stage(info().name, 1);
    ASSAY_ASSIGN(const std::string payload, run.unit("search", [&] { return search(run); }));
    PayloadReader reader(payload);
    const std::vector<double> grades = reader.reals(), found = reader.reals();
    const uint64_t rounds = reader.number();
    ASSAY_TRY(reader.finish());
    PassRows made;
    made.forward_equivalents =
        static_cast<double>(rounds * prompt_of(run).tokens.size()) / static_cast<double>(run.windows[0].tokens.size());
    for (const LayerNumbers& layer : run.layers)
      for (const MatrixShape& matrix : layer.matrices)
        if (layer.layer >= 0 && matrix.role.role == Role::kFfnDown)
          made.rows.push_back(matrix_row(matrix, grades.at(static_cast<size_t>(layer.layer))));
    for (size_t i = 0; i + 3 < found.size(); i += 4)
      made.notes.push_back(fmt::format("super weight at layer {:.0f}, row {:.0f}, column {:.0f} of ffn_down: {:g}", found[i], found[i + 1],
                                       found[i + 2], found[i + 3]));
    if (found.empty()) made.notes.push_back(fmt::format("no super weight: no block has a spike beyond {:g} in both", kSpike));
    if (rounds == kMostRounds) made.notes.push_back(fmt::format("the search ended after {} rounds: there may be more", kMostRounds));
    return made;
  }

 private:
  static Result<std::string> search(const PassRun& run) {
    const Window prompt = prompt_of(run);
    std::vector<SuperWeight> out;
    std::vector<double> grades;
    uint64_t rounds = 0;
    while (rounds < kMostRounds) {
      ASSAY_ASSIGN(const std::vector<DownPeaks> peaks, peaks_of(*run.network, prompt, out));
      ++rounds;
      if (grades.empty())
        for (const DownPeaks& one : peaks) grades.push_back(one.grade());
      ASSAY_ASSIGN(const std::optional<SuperWeight> next, first_of(*run.network, peaks, out));
      if (!next) break;
      out.push_back(*next);
    }
    std::vector<double> found;
    for (const SuperWeight& one : out)
      found.insert(found.end(), {double(one.layer), static_cast<double>(one.row), static_cast<double>(one.column), one.weight});
    PayloadWriter writer;
    writer.add(std::span<const double>(grades), "super weight grades");
    writer.add(std::span<const double>(found), "super weights");
    writer.add(rounds);
    return std::move(writer).finish();
  }

  // Spikes further up are perhaps its doing, so the first block's only. A weight that is out already did not make the spike that is left.
  static Result<std::optional<SuperWeight>> first_of(const Network& network, std::span<const DownPeaks> peaks,
                                                     std::span<const SuperWeight> out) {
    for (size_t l = 0; l < peaks.size(); ++l) {
      const auto layer = static_cast<int>(l);
      if (!peaks[l].spike() || std::ranges::any_of(out, [&](const SuperWeight& one) { return one.is(layer, peaks[l]); })) continue;
      ASSAY_ASSIGN(const at::Tensor weight, network.plain_weight(network.tensor_name(layer, Site::kDown)));
      const int64_t row = peaks[l].output.channel, column = peaks[l].input.channel;
      return std::optional(SuperWeight{layer, row, column, weight[row][column].item<double>()});
    }
    return std::optional<SuperWeight>();
  }
};

}  // namespace

std::unique_ptr<Score> super_weight_score() { return std::make_unique<SuperWeights>(); }

}  // namespace assay
