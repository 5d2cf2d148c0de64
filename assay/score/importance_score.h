// Scores of an importance matrix, which one forward pass makes (methods.md 3.12). Torch-free. Non-goals: making it (probe/input_squares.h).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "assay/file/imatrix.h"
#include "assay/score/score_run.h"

namespace assay {

class ImportanceScore : public Score {
 public:
  virtual std::vector<ScoreRow> rows(const Imatrix& imatrix, std::span<const LayerNumbers> layers) const = 0;
};

// All in importance_scores.cpp.
std::unique_ptr<Score> imatrix_energy_score();
std::unique_ptr<Score> imatrix_entropy_score();
std::unique_ptr<Score> imatrix_zd_score();
std::unique_ptr<Score> imatrix_cosine_score();

}  // namespace assay
