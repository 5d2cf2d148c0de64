// The PQI study (`assay study pqi`): what first and second order along a quantization step predict against what it costs, the integral
// from the model to its quantization by several rules, which weights it rests on, and whether they are the same at both ends
// (methods.md 3.5, 3.8, 6.4, 8.4). Torch-free header. Non-goals: the integral itself (score/pqi.h).
#pragma once

#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/pqi_config.h"
#include "assay/study/pqi_result.h"

namespace assay {

struct StudyPqiOptions {
  std::string model;
  TextInput text;    // no limit: pqi_defaults() says how many windows
  PqiConfig config;  // what it leaves open: pqi_defaults()
  bool quick = false;
};

// What one gradient and one forward pass of so many windows took: the integral with N points takes N gradients.
struct PqiCost {
  uint64_t windows = 0;
  double gradient_seconds = 0, forward_seconds = 0;
};

struct StudyPqiResult {
  PqiStudyResult result;
  std::vector<PqiCost> cost;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyPqiResult> study_pqi(const StudyPqiOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
