// Scores that are measured: each names changed models, one sweep runs those of all such scores, equal ones once (probe/sweep.h), and each
// score makes its rows of what they did to the text. Torch-free. Non-goals: running them (job/score_variants.cpp).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/probe/check_variant.h"
#include "assay/probe/variant.h"
#include "assay/score/score_run.h"

namespace assay {

struct VariantPlan {
  const ModelShape& shape;
  std::span<const LayerNumbers> layers;                                      // -1 first; without numbers
  std::function<std::vector<GgmlType>(const std::string& tensor)> types_of;  // target types that the matrix can take
  std::span<const GgmlType> types;                                           // all target types
  uint64_t seed = 0;
};

// What a changed model did to the text.
struct MeasuredEffect {
  double kl = 0;              // to the unchanged model, nats per token
  double standard_error = 0;  // of `kl`, over windows; 0: one window
  double nll_change = 0;      // nats per token
  double ppl_change = 0;      // of the perplexity
  bool empty = false;         // the variant changes nothing: a code at the end of its range
  bool finite = true;         // false: positions without finite logits are in the sums as a uniform prediction
  std::vector<double> kls;    // by window
};

// Standard error of a mean over windows; 0: one window.
double error_over_windows(std::span<const double> values);

class VariantScore : public Score {
 public:
  // Names of variants do not matter.
  virtual Result<std::vector<Variant>> variants(const VariantPlan& plan) const = 0;
  // effects: of variants(), in their order. `notes`: what a reader must know.
  virtual std::vector<ScoreRow> rows(const VariantPlan& plan, std::span<const MeasuredEffect> effects,
                                     std::vector<std::string>& notes) const = 0;
  // Effects that are not finite are left out, and the score says so; false: they count.
  virtual bool leaves_out_broken() const { return false; }
};

inline WeightEdit requantize_edit(std::string tensor, GgmlType type) {
  WeightEdit edit;
  edit.tensor = std::move(tensor);
  edit.action = WeightEdit::Action::kType;
  edit.type = type;
  return edit;
}

}  // namespace assay
