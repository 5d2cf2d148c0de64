// The RFIC / under-outlier study (`assay study rfic`): one weight per group of columns that might be zeroed before quantization, screened
// by what it does to its group's output, gated in the model with the screened matrices quantized, and checked in the full model under
// AWQ-lite (the source's) and AWQ (methods.md 3.14, 7.3, 8.2). Torch-free header. Non-goals: the screen itself (study/rfic_screen.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/rfic_study.h"

namespace assay {

struct StudyRficOptions {
  std::string model;
  TextInput text;           // evaluation
  std::string calibration;  // text, cut like the evaluation text: screen, gate and AWQ
  RficConfig config;
  bool quick = false;  // fewer windows, the gate's two best
};

struct StudyRficResult {
  RficResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyRficResult> study_rfic(const StudyRficOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
