// All gradient scores of a model from one gradient pass: each matrix is changed once per type for all of them.
// Memory: the pass's own (probe/gradient_pass.h), two floats per weight of the block at hand, and rows of all windows of that block where
// a score asks for them. Embedding and head have no such rows: scores of outputs leave them out, with a note.
// Non-goals: which scores there are (gradient_scores.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "assay/base/unit_cache.h"
#include "assay/probe/gradient_pass.h"
#include "assay/score/curvature.h"
#include "assay/score/gradient_scores.h"
#include "assay/score/weight_values.h"

namespace assay {

struct GradientScoreOptions {
  GradientPassOptions pass;                     // seed: of drawn labels
  Compute product_compute = Compute::kFloat32;  // of outputs' changes
  WeightSink* weights = nullptr;                // takes terms of the scores it wants, whose units are made anew; null: nobody does
};

struct GradientScoreRun {
  std::vector<ScoreTable> tables;  // of the scores, in their order; rows in the order of the requests
  GradientLosses losses;           // of the pass; no windows if every unit was found
  double change_seconds = 0;       // making the changes (encoding, decoding)
  double product_seconds = 0;      // outputs' changes
};

// Units: a score at a matrix; the caller's key must hold windows, options and what the changes are made of. Tensors that are no matrices
// have no rows in the tables. Errors: those of the pass and of the changes, kInterrupted.
Result<GradientScoreRun> run_gradient_scores(const Network& network, std::span<const Window> windows,
                                             std::span<const std::shared_ptr<const GradientScore>> scores,
                                             std::span<const CurvatureRequest> requests, const ChangeMaker& change_of,
                                             const ScoreContext& context, const GradientScoreOptions& options = {},
                                             Progress& progress = silent_progress(), UnitCache& units = no_unit_cache());

}  // namespace assay
