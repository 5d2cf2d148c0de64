// Block influence and its relatives: how far a block turns or moves the residual stream (methods.md 3.11), and LIM, which takes the cosine
// of each feature over the tokens instead of each token over the features (3.9).
#include <functional>

#include "assay/score/activation_score.h"

namespace assay {
namespace {

// Means over tokens of a distance between the streams before and after `span` blocks.
class StreamScore : public ActivationScore {
 public:
  // [rows] of a pair of streams [rows, d].
  using Distance = std::function<at::Tensor(const at::Tensor& before, const at::Tensor& after)>;

  StreamScore(ScoreInfo info, Distance distance, int span = 1, bool skip_first = false)
      : info_(info), distance_(std::move(distance)), span_(span), skip_first_(skip_first) {}

  ScoreInfo info() const override { return info_; }

  // Per block the sum over tokens; then their number.
  Result<std::vector<double>> numbers(const ActivationBatch& batch, const ScoreContext&) const override {
    at::NoGradGuard no_grad;
    std::vector<double> sums;
    const auto blocks = static_cast<int>(batch.streams.size()) - 1;
    int64_t counted = 0;
    for (int block = 0; block < blocks; ++block) {
      // Near the end the window of blocks is cut short.
      const auto last = static_cast<size_t>(std::min(block + span_, blocks));
      at::Tensor distances = distance_(batch.streams[static_cast<size_t>(block)], batch.streams[last]).view({batch.windows, batch.tokens});
      if (skip_first_) distances = distances.narrow(1, 1, batch.tokens - 1);
      sums.push_back(distances.sum(at::kDouble).item<double>());
      counted = distances.numel();
    }
    sums.push_back(static_cast<double>(counted));
    return sums;
  }

  std::vector<ScoreRow> finish(std::span<const double> sums, std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    return layer_means(sums, layers);
  }

 private:
  ScoreInfo info_;
  Distance distance_;
  int span_;
  bool skip_first_;
};

ScoreInfo stream_info(std::string_view name, std::string_view what, std::string_view source) {
  return {.name = name,
          .what = what,
          .estimand = Estimand::kRemoval,
          .finest = Grouping::kLayer,
          .pooling = Pooling::kMean,
          .needs_text = true,
          .source = source};
}

at::Tensor one_less_cosine(const at::Tensor& a, const at::Tensor& b) { return 1 - at::cosine_similarity(a, b, 1, 1e-12); }

// 1 - cosine over the tokens of a window, feature by feature.
class Lim : public ActivationScore {
 public:
  ScoreInfo info() const override {
    return stream_info("lim", "1 - cosine of each feature's values over the tokens, before and after the block",
                       "LIM, as the NSDS program has it; methods.md 3.9");
  }
  Result<std::vector<double>> numbers(const ActivationBatch& batch, const ScoreContext&) const override {
    at::NoGradGuard no_grad;
    std::vector<double> sums;
    const auto by_window = [&](const at::Tensor& h) { return h.view({batch.windows, batch.tokens, -1}); };
    for (size_t block = 0; block + 1 < batch.streams.size(); ++block)
      sums.push_back((1 - at::cosine_similarity(by_window(batch.streams[block]), by_window(batch.streams[block + 1]), 1, 1e-12))
                         .mean(1)
                         .sum(at::kDouble)
                         .item<double>());
    sums.push_back(static_cast<double>(batch.windows));
    return sums;
  }
  std::vector<ScoreRow> finish(std::span<const double> sums, std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    return layer_means(sums, layers);
  }
};

}  // namespace

std::unique_ptr<Score> block_influence_score() {
  return std::make_unique<StreamScore>(
      stream_info("bi", "1 - cosine between the streams before and after the block", "BI (ShortGPT); methods.md 3.11"), one_less_cosine);
}
std::unique_ptr<Score> block_influence_rest_score() {
  return std::make_unique<StreamScore>(
      stream_info("bi_rest", "BI without each window's first token, whose activations are massive", "methods.md 3.11"), one_less_cosine, 1,
      true);
}
std::unique_ptr<Score> block_influence_window_score() {
  return std::make_unique<StreamScore>(stream_info("bi_window2", "BI over this block and the next", "methods.md 3.11, windows of blocks"),
                                       one_less_cosine, 2);
}
std::unique_ptr<Score> norm_ratio_score() {
  return std::make_unique<StreamScore>(
      stream_info("norm_ratio", "length of what the block adds over the length of the stream after it", "EvoPress; methods.md 3.11"),
      [](const at::Tensor& a, const at::Tensor& b) { return (b - a).norm(2, 1) / b.norm(2, 1).clamp_min(1e-12); });
}
std::unique_ptr<Score> stream_step_score() {
  return std::make_unique<StreamScore>(stream_info("l2_step", "length of what the block adds to the stream", "EvoPress; methods.md 3.11"),
                                       [](const at::Tensor& a, const at::Tensor& b) { return (b - a).norm(2, 1); });
}
std::unique_ptr<Score> unit_step_score() {
  return std::make_unique<StreamScore>(
      stream_info("l2_unit_step", "distance between the streams' directions before and after the block", "EvoPress; methods.md 3.11"),
      [](const at::Tensor& a, const at::Tensor& b) {
        const auto unit = [](const at::Tensor& h) { return h / h.norm(2, 1, true).clamp_min(1e-12); };
        return (unit(b) - unit(a)).norm(2, 1);
      });
}
std::unique_ptr<Score> lim_score() { return std::make_unique<Lim>(); }

}  // namespace assay
