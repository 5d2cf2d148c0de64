// LieQ's compactness (methods.md 3.9): for the outputs of a block's Q, K and V, p = eigenvalues of their covariance over tokens over their
// sum, and exp(-entropy of p), which is 1 over the effective number of directions; of the model less that of the same model with random
// weights (model/random_checkpoint.h: the matrices' own standard deviations, norms 1, biases 0), mean over the three. Each model's own
// forward, on the first 2,048 tokens of the text. Larger: training has folded the layer onto fewer directions, and LieQ gives it more bits.
// Differs from the published: one sentence there; which random model is not said. Leaves out the feed-forward, the sizes of errors and
// types.
#include <array>

#include "assay/base/payload.h"
#include "assay/model/random_checkpoint.h"
#include "assay/score/block_walk.h"
#include "assay/score/residual_scores.h"
#include "assay/score/row_spectrum.h"

namespace assay {
namespace {

constexpr size_t kTokens = 2048;

// At least one.
std::span<const Window> first_windows(const PassRun& run) {
  const size_t count = std::max<size_t>(1, kTokens / run.windows[0].tokens.size());
  return run.windows.first(std::min(count, run.windows.size()));
}

class Lieq final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "lieq",
            .what = "concentration of Q, K and V outputs' spectra, less that of a random model",
            .finest = Grouping::kLayer,
            .pooling = Pooling::kMean,
            .needs_text = true,
            .source = "LieQ; methods.md 3.9"};
  }

  // A forward of each model.
  double estimate(const PassRun& run) const override { return 2 * static_cast<double>(first_windows(run).size()); }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    made.forward_equivalents = estimate(run);
    run.progress.stage(info().name, 2);
    ASSAY_ASSIGN(const std::vector<double> trained, found(run, "model", [&] { return run.network; }));
    run.progress.update(1);
    ASSAY_ASSIGN(const std::vector<double> random, found(run, "random " + std::to_string(run.context.seed), [&] {
                   const std::shared_ptr<const Checkpoint> trained_one(run.network, &run.network->checkpoint());
                   return Network::load(std::make_shared<RandomCheckpoint>(trained_one, run.context.seed, run.context.threads),
                                        run.network_options);
                 }));
    run.progress.update(2);
    for (const LayerNumbers& layer : run.layers) {
      if (layer.layer < 0) continue;
      const auto l = static_cast<size_t>(layer.layer);
      made.rows.push_back(layer_row(layer, trained.at(l) - random.at(l)));
    }
    return made;
  }

 private:
  // Concentration of every block, of the model that `load` gives.
  static Result<std::vector<double>> found(const PassRun& run, const std::string& name,
                                           const std::function<Result<std::shared_ptr<const Network>>()>& load) {
    if (run.progress.interrupted()) return fail(ErrorCode::kInterrupted, "lieq: interrupted between models");
    ASSAY_ASSIGN(const std::string payload, run.unit(name, [&]() -> Result<std::string> {
      ASSAY_ASSIGN(const std::shared_ptr<const Network> network, load());
      ASSAY_ASSIGN(const std::vector<double> values, by_block(*network, first_windows(run), run.context.threads));
      PayloadWriter writer;
      writer.add(std::span<const double>(values), "lieq");
      return std::move(writer).finish();
    }));
    PayloadReader reader(payload);
    std::vector<double> values = reader.reals();
    ASSAY_TRY(reader.finish());
    return values;
  }

  static Result<std::vector<double>> by_block(const Network& network, std::span<const Window> windows, int threads) {
    std::vector<double> values;
    ASSAY_ASSIGN(Streams streams, embedded(network, windows));
    for (int layer = 0; layer < network.hyper().layers; ++layer) {
      std::array<std::vector<at::Tensor>, 3> outputs;  // of each window
      ASSAY_TRY(step(network, layer, streams, [&](const Block& block, Site site, const at::Tensor& x) {
        const at::Tensor y = block.linear(site, x);
        take(network.hyper(), site, y, outputs);
        return y;
      }));
      double sum = 0;
      for (const std::vector<at::Tensor>& one : outputs) sum += concentration(row_eigenvalues(at::cat(one), true, threads));
      values.push_back(sum / 3);
    }
    return values;
  }

  static void take(const Hyper& hyper, Site site, const at::Tensor& y, std::array<std::vector<at::Tensor>, 3>& outputs) {
    const auto add = [&](size_t which, const at::Tensor& values) {
      outputs[which].push_back(values.to(at::kCPU).clone());
    };  // attention may turn y in place
    if (site == Site::kQ) add(0, y);
    if (site == Site::kK) add(1, y);
    if (site == Site::kV) add(2, y);
    if (site != Site::kQkv) return;
    const int64_t q = int64_t{hyper.heads} * hyper.head_dim, k = int64_t{hyper.kv_heads} * hyper.head_dim;
    add(0, y.narrow(1, 0, q));
    add(1, y.narrow(1, q, k));
    add(2, y.narrow(1, q + k, k));
  }
};

}  // namespace

std::unique_ptr<Score> lieq_score() { return std::make_unique<Lieq>(); }

}  // namespace assay
