// The outlier study (`assay study outliers`): what single weights do to a model's behaviour, and how much of the damage of quantization
// they carry (methods.md 2.7 to 2.10, 3.13, 7.1, 8.2). Candidates and matched controls, each zeroed, by stratum of prompts; pairs and sets;
// doses, distributed edits, patches of the residual stream; the perturbation by layer; labels; the top k restored in a quantized model.
// Torch-free header. Non-goals: what is made of the measurements (study/outlier_analysis.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/outlier_config.h"
#include "assay/study/outlier_result.h"

namespace assay {

struct StudyOutliersOptions {
  std::string model;
  TextInput text;  // gradients for the best k are taken on it; no path: on the prompts of even places, and shares on the others
  OutlierConfig config;
};

struct StudyOutliersResult {
  OutlierResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyOutliersResult> study_outliers(const StudyOutliersOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
