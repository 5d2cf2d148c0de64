// The model, text and store of a Q-PSA study, and what it measures on them. Internal to job/.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/job/measure_variants.h"
#include "assay/probe/changes.h"
#include "assay/probe/resolve_variant.h"
#include "assay/probe/variant_families.h"
#include "assay/study/layer_scores.h"
#include "assay/study/qpsa_result.h"

namespace assay {

// What one variant did on the whole text.
struct VariantEffect {
  double kl = 0, nll_difference = 0;  // nats per token
  bool finite = true;                 // false: positions without finite logits are in the sums as a uniform prediction
  bool empty = false;                 // the variant changes no weight: a code at the end of its range
  std::vector<SparseWeight> weights;  // of a variant that changes a few weights of one matrix
  std::vector<WindowSums> segments;   // of the text, for intervals; empty unless asked for
};

// One side of a sample: what it changes.
struct SampledChange {
  size_t sample = 0;
  std::vector<SparseWeight> weights;
};

// Samples of one mode, both ways, as measured and as one gradient predicts them.
struct QpsaSamples {
  std::vector<SampledEffect> effects;    // published: perplexity, broken samples left out
  std::vector<SampledEffect> capped;     // broken positions count as a uniform prediction
  std::vector<SampledEffect> predicted;  // level mode: |g . step| in perplexity
  std::vector<double> both_sides;        // (up + down) / 2 of the signed changes of perplexity, where both sides count; else 0
  std::vector<uint64_t> places;          // byte mode: of the byte in its tensor
  std::vector<double> weights_changed;   // by the mean of both sides
  std::map<std::string, std::vector<SampledChange>> changes;  // of each tensor, for predict()
};

// Which samples to take: numbers [first, end) of every matrix; a sample's place depends on its number alone.
struct SampleRange {
  uint64_t first = 0, end = 0;
  std::vector<int> layers;
};

class QpsaRunner {
 public:
  static Result<std::unique_ptr<QpsaRunner>> open(const std::string& model, const TextInput& text, const RunSettings& settings,
                                                  Progress& progress);

  int layers() const { return model_.network->hyper().layers; }
  const OpenModel& model() const { return model_; }
  const ProbeSet& set() const { return set_; }
  const ModelShape& shape() const { return *shape_; }
  double noise_floor() const { return noise_floor_; }
  double base_ppl() const { return base_ppl_; }
  UnitStore& store() { return *store_; }
  double forward_equivalents() const { return forward_equivalents_; }

  // `segment`: also keep the sums of so many scored positions; 0: do not.
  Result<std::vector<VariantEffect>> measure(std::span<const Variant> variants, size_t segment = 0);
  // Change of perplexity for a change of mean NLL.
  double ppl_change(double nll_difference) const;
  // Appends to `samples`.
  Status sample(Family::Kind kind, const SampleRange& range, const std::vector<std::string>& tensors, uint64_t seed, QpsaSamples& samples);
  // Fills `predicted` of level samples, and the mean of |g . step| over all weights per layer, from one gradient.
  Status predict(QpsaSamples& samples, const std::vector<int>& layers, const std::vector<std::string>& tensors, QpsaShortcut& shortcut);

 private:
  QpsaRunner() = default;
  OpenModel model_;
  ProbeSet set_;
  std::unique_ptr<ModelShape> shape_;
  std::unique_ptr<ChangeSource> changes_;
  std::unique_ptr<VariantResolver> resolver_;
  std::unique_ptr<UnitStore> store_;
  SweepOptions sweep_;
  Progress* progress_ = nullptr;
  double noise_floor_ = 0, base_ppl_ = 0, forward_equivalents_ = 0;
};

}  // namespace assay
