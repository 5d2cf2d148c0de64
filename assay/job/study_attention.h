// The study of crystallised attention (`assay study attention`): what heads lose when only the value with the largest weight stays, what a
// low-rank residual gives back and against which controls, how near to one-hot heads are and whether that predicts the loss
// (methods.md 2.11, 6.5, 7.6, 8.5). Torch-free header. Non-goals: the rules themselves (model/attention_rules.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/attention_config.h"
#include "assay/study/attention_result.h"

namespace assay {

struct StudyAttentionOptions {
  std::string model;
  TextInput text;          // how lines are joined and documents told apart; windows are the config's
  std::string basis_text;  // another text for bases; empty: what the config says
  AttentionConfig config;
};

struct StudyAttentionResult {
  AttentionResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyAttentionResult> study_attention(const StudyAttentionOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
