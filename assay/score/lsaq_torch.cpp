// LSAQ: of each window's last token, the share of the 50 most probable tokens by the stream before the block that are still among them
// after it, both read through the unembedding without the final norm (methods.md 3.9; despite the paper's name no Jaccard index). A block
// that keeps them all does little.
#include <algorithm>
#include <set>

#include "assay/score/activation_score.h"

namespace assay {
namespace {

constexpr int64_t kTop = 50;

class Lsaq : public ActivationScore {
 public:
  ScoreInfo info() const override {
    return {.name = "lsaq",
            .what = "share of the last token's top 50 vocabulary entries that the block keeps",
            .estimand = Estimand::kRemoval,
            .higher_is_worse = false,
            .finest = Grouping::kLayer,
            .pooling = Pooling::kMean,
            .needs_text = true,
            .source = "LSAQ, as the NSDS program has it; methods.md 3.9"};
  }

  Result<std::vector<double>> numbers(const ActivationBatch& batch, const ScoreContext&) const override {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> last;  // of each stream, [windows, d]
    for (const at::Tensor& h : batch.streams) last.push_back(h.view({batch.windows, batch.tokens, -1}).select(1, batch.tokens - 1));
    const at::Tensor logits = batch.network.head().multiply(at::cat(last).contiguous()).to(at::kCPU);
    const int64_t top = std::min(kTop, logits.size(1));
    const at::Tensor ids = std::get<1>(logits.topk(top, 1)).contiguous();  // [streams * windows, top]
    const int64_t* values = ids.const_data_ptr<int64_t>();
    const auto entries = [&](size_t stream, int64_t window) {
      const int64_t* row = values + (static_cast<int64_t>(stream) * batch.windows + window) * top;
      return std::set<int64_t>(row, row + top);
    };
    std::vector<double> sums;
    for (size_t block = 0; block + 1 < batch.streams.size(); ++block) {
      double kept = 0;
      for (int64_t w = 0; w < batch.windows; ++w) {
        const std::set<int64_t> before = entries(block, w), after = entries(block + 1, w);
        kept += static_cast<double>(std::count_if(before.begin(), before.end(), [&](int64_t id) { return after.contains(id); })) /
                static_cast<double>(top);
      }
      sums.push_back(kept);
    }
    sums.push_back(static_cast<double>(batch.windows));
    return sums;
  }

  std::vector<ScoreRow> finish(std::span<const double> sums, std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    return layer_means(sums, layers);
  }
};

}  // namespace

std::unique_ptr<Score> lsaq_score() { return std::make_unique<Lsaq>(); }

}  // namespace assay
