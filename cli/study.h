// The studies of `assay study NAME MODEL`: one file each, and what they share. study.cpp picks the one that was named and refuses options
// of the others. Internal to cli/. Non-goals: what a study measures (assay/job/study_*.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "assay/study/estimate.h"
#include "cli/command.h"
#include "cli/results.h"

namespace assay::cli {

// Options of every study.
struct StudyOptions {
  std::string name, model, config, layers, results, calibration;
  bool quick = false;
  std::shared_ptr<TextOptions> text;
};

using StudyRun = std::function<Result<Outcome>(const StudyOptions& options, Context& context)>;

// Adds the options that only this study has.
StudyRun declare_study_attention(CLI::App& app);
StudyRun declare_study_outliers(CLI::App& app);
StudyRun declare_study_awq(CLI::App& app);
StudyRun declare_study_pqi(CLI::App& app);
StudyRun declare_study_proxies(CLI::App& app);
StudyRun declare_study_qpsa(CLI::App& app);
StudyRun declare_study_rfic(CLI::App& app);

// Facts of the run that every study has: seconds of its stages, units found and made.
void add_run(const std::vector<std::pair<std::string, double>>& stage_seconds, const UnitCounts& units, Outcome& outcome);

// Where --results is wanted: report.txt (the outcome's text), `files` (name -> text) and figures; the program writes report.json.
// `measured`: "24 windows, 6120 tokens", beside the model's name under the figures' titles.
using DrawFigures = std::function<Result<std::vector<std::string>>(const std::string& subtitle)>;
Status write_results(const ResultsDirectory& results, const std::string& model, const std::string& measured,
                     const std::vector<std::pair<std::string, std::string>>& files, const DrawFigures& draw, Outcome& outcome);

// "fails 0.93 [0.91, 0.95] >= 0.8": criteria with what was measured, and the verdict of all.
std::string verdicts_text(const std::vector<Verdict>& verdicts, assay::Outcome outcome, bool post_hoc);
std::string interval_text(const std::optional<std::pair<double, double>>& interval);
std::string estimate_text(const std::optional<Estimate>& estimate);  // "0.93 [0.91, 0.95]"; nothing where there is none

}  // namespace assay::cli
