// The AWQ study (`assay study awq`): does scaling channels by their activations help this model, at which types, with and without an
// imatrix (methods.md 4.3)? Every matrix of the blocks takes one type; nothing is written. Torch-free header.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/awq_study.h"

namespace assay {

struct StudyAwqOptions {
  std::string model;
  TextInput text;           // evaluation
  std::string calibration;  // text, cut like the evaluation text
  AwqStudyConfig config;
  bool quick = false;  // the first type and grid, four windows of each text
};

struct StudyAwqResult {
  AwqStudyResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyAwqResult> study_awq(const StudyAwqOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
