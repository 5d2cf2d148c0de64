// The proxies study (`assay study proxies`): do cheap measures of a changed model predict what it does on tasks? Over recipes and
// interventions of one model. Torch-free header. Non-goals: what is made of the measurements (study/proxies_analysis.h).
#pragma once

#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/study/proxies_config.h"
#include "assay/study/proxies_result.h"
#include "assay/tasks/encode_items.h"

namespace assay {

struct StudyProxiesOptions {
  std::string model;
  TextInput text;                  // of KL, perplexity, flips and reconstruction; no limit: the config says how many windows
  std::vector<std::string> tasks;  // files
  ProxiesConfig config;            // default_proxies_config() where nothing else is wanted
  BosRule bos = BosRule::kTokenizer;
};

struct StudyProxiesResult {
  ProxiesResult result;
  std::vector<std::pair<std::string, double>> stage_seconds;
  UnitCounts units;
};

Result<StudyProxiesResult> study_proxies(const StudyProxiesOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
