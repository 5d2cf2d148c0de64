// Every score there is. Adding one takes its file, a line in registry_torch.cpp, and a test (docs/extending.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/score/score_run.h"

namespace assay {

// Fresh ones: a score may keep what it learns in a run.
std::vector<std::unique_ptr<Score>> all_scores();

// By name, in the order of the registry; "all" and "default" (those a minute is enough for) may be among the names.
// Errors: kUsage names the unknown one and lists the known.
Result<std::vector<std::unique_ptr<Score>>> scores_named(const std::vector<std::string>& names);

// The curvature table as a score: its values are made by job/score_model.cpp, which `assay sweep` and `optimize` share them with.
class CurvatureScore : public Score {
 public:
  ScoreInfo info() const override;
};

}  // namespace assay
