// The Q-PSA study (`assay study qpsa`): perturb stored bytes and codes, rank layers, prune and loop them, judge the criteria that were
// written down before; and the shortcut, one gradient for all weights at once (methods.md 3.1, 6.1, 7.4, 8.1). Torch-free header.
#pragma once

#include <string>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/qpsa_config.h"
#include "assay/study/qpsa_result.h"

namespace assay {

struct StudyQpsaOptions {
  enum class Only : uint8_t { kAll, kScore, kBaseline, kPrune, kLoop, kConvergence };
  std::string model;
  TextInput text;
  QpsaConfig config;
  Only only = Only::kAll;
  bool quick = false;  // few samples, no depth search: the shortcut gives the level score
};

struct StudyQpsaResult {
  QpsaResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  double forward_equivalents = 0;
  UnitCounts units;
};

Result<StudyQpsaResult> study_qpsa(const StudyQpsaOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
