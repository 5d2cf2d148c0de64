// Stability (methods.md 2.10): quantize the matrices of one block to the type; delta = the change of the residual stream after the last
// block, one row per token of all windows. Share of the first principal direction, lambda_1 / sum lambda: 1, the damage pushes every token
// the same way; near 1/d, it is noise in all directions. `stability` takes the mean over tokens off first, `stability_uncentred` does not:
// a shift common to all tokens counts there alone. What a large share means for the loss is not known beforehand: a direction can be one
// that the head does not see. Says nothing of how large delta is. Cost: per layer and type the blocks from that layer on; the blocks before
// it are run once for all.
#include <algorithm>
#include <map>

#include "assay/base/payload.h"
#include "assay/score/block_walk.h"
#include "assay/score/residual_scores.h"
#include "assay/score/row_spectrum.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

// The types that all of the block's matrices can take.
std::vector<GgmlType> types_of_layer(const PassRun& run, const LayerNumbers& layer) {
  std::vector<GgmlType> types;
  for (const GgmlType type : run.types) {
    const bool all = std::all_of(layer.matrices.begin(), layer.matrices.end(), [&](const MatrixShape& matrix) {
      const std::vector<GgmlType> own = run.types_of(matrix.tensor);
      return std::find(own.begin(), own.end(), type) != own.end();
    });
    if (all && !layer.matrices.empty()) types.push_back(type);
  }
  return types;
}

// The unedited model: its streams before a block, moved on when asked for, and after the last one.
class Unedited {
 public:
  explicit Unedited(const PassRun& run) : run_(run) {}

  // Layers in ascending order.
  Result<Streams> before(int layer) {
    if (!begun_) ASSAY_TRY(begin());
    for (; at_ < layer; ++at_) ASSAY_TRY(step(*run_.network, at_, streams_));
    return streams_;
  }
  const Streams& last() const { return last_; }

 private:
  Status begin() {
    ASSAY_ASSIGN(streams_, embedded(*run_.network, run_.windows));
    last_ = streams_;
    for (int layer = 0; layer < run_.network->hyper().layers; ++layer) ASSAY_TRY(step(*run_.network, layer, last_));
    begun_ = true;
    return {};
  }

  const PassRun& run_;
  Streams streams_, last_;
  int at_ = 0;
  bool begun_ = false;
};

class Stability final : public PassScore {
 public:
  explicit Stability(bool centred) : centred_(centred) {}

  ScoreInfo info() const override {
    return {.name = centred_ ? "stability" : "stability_uncentred",
            .what = centred_ ? "share of the first principal direction in the change of the last stream, this layer at the type"
                             : "the same of the change as it is, a shift common to all tokens included",
            .finest = Grouping::kLayer,
            .pooling = Pooling::kMean,
            .by_type = true,
            .needs_text = true,
            .source = "weight-outlier harness; methods.md 2.10"};
  }

  double estimate(const PassRun& run) const override {
    const double layers = run.network->hyper().layers;
    double forwards = 0;
    for (const LayerNumbers& layer : run.layers)
      if (layer.layer >= 0) forwards += static_cast<double>(types_of_layer(run, layer).size()) * (layers - layer.layer) / layers;
    if (forwards > 0) forwards += 2;  // to the last stream, and to each layer
    return forwards * run.passes();
  }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    made.forward_equivalents = estimate(run);
    Unedited unedited(run);
    run.progress.stage(info().name, run.layers.size());
    for (size_t l = 0; l < run.layers.size(); ++l) {
      const LayerNumbers& layer = run.layers[l];
      if (layer.layer < 0) continue;
      ScoreRow row = layer_row(layer, 0);
      row.cells.clear();
      for (const GgmlType type : types_of_layer(run, layer)) {
        if (run.progress.interrupted()) return fail(ErrorCode::kInterrupted, std::string(info().name) + ": interrupted between layers");
        const std::string name = std::to_string(layer.layer) + " " + find_type(type)->name;
        ASSAY_ASSIGN(const std::string payload, run.unit(name, [&] { return share(run, unedited, layer, type); }));
        PayloadReader reader(payload);
        row.cells.push_back({type, reader.real(), 0});
        ASSAY_TRY(reader.finish());
      }
      if (!row.cells.empty()) made.rows.push_back(std::move(row));
      run.progress.update(l + 1);
    }
    if (made.rows.empty()) made.notes.emplace_back("no type can be taken by all matrices of a block");
    return made;
  }

 private:
  Result<std::string> share(const PassRun& run, Unedited& unedited, const LayerNumbers& layer, GgmlType type) const {
    ASSAY_ASSIGN(const at::Tensor delta, last_change(run, unedited, layer, type));
    PayloadWriter writer;
    writer.add(leading_share(row_eigenvalues(delta, centred_, run.context.threads)), info().name);
    return std::move(writer).finish();
  }

  // [windows * tokens, d] on the CPU.
  static Result<at::Tensor> last_change(const PassRun& run, Unedited& unedited, const LayerNumbers& layer, GgmlType type) {
    at::NoGradGuard no_grad;
    const Network& network = *run.network;
    std::map<std::string, Matrix> changes;
    for (const MatrixShape& matrix : layer.matrices) {
      ASSAY_ASSIGN(const StoredMatrix stored, run.stored(matrix.tensor, type));
      ASSAY_ASSIGN(const std::vector<float> change, stored_change(network.checkpoint(), matrix.tensor, stored, run.context.threads));
      changes.emplace(matrix.tensor, Matrix::pack(as_tensor(change, matrix.rows, matrix.columns), network.compute(), network.device()));
    }
    ASSAY_ASSIGN(Streams streams, unedited.before(layer.layer));
    ASSAY_TRY(step(network, layer.layer, streams, [&](const Block& block, Site site, const at::Tensor& x) {
      at::Tensor y = block.linear(site, x);
      const auto change = changes.find(network.tensor_name(layer.layer, site));
      if (change != changes.end()) change->second.multiply_add(x.contiguous(), y);
      return y;
    }));
    for (int above = layer.layer + 1; above < network.hyper().layers; ++above) ASSAY_TRY(step(network, above, streams));
    for (size_t w = 0; w < streams.size(); ++w) streams[w] = (streams[w] - unedited.last()[w]).to(at::kCPU);
    return at::cat(streams);
  }

  bool centred_;
};

}  // namespace

std::unique_ptr<Score> stability_score() { return std::make_unique<Stability>(true); }
std::unique_ptr<Score> stability_uncentred_score() { return std::make_unique<Stability>(false); }

}  // namespace assay
