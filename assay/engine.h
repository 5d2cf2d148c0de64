// The rooms that need libtorch, behind one interface without torch in it. The program links the core library only and opens the engine
// library when a command needs it, so that `assay --help` takes milliseconds.
#pragma once

#include <string>

#include "assay/job/compare.h"
#include "assay/job/evaluate.h"
#include "assay/job/evaluate_tasks.h"
#include "assay/job/make_imatrix.h"
#include "assay/job/make_table.h"
#include "assay/job/optimize.h"
#include "assay/job/probe_variants.h"
#include "assay/job/quantize_awq.h"
#include "assay/job/quantize_codes.h"
#include "assay/job/score_model.h"
#include "assay/job/study_attention.h"
#include "assay/job/study_awq.h"
#include "assay/job/study_outliers.h"
#include "assay/job/study_pqi.h"
#include "assay/job/study_proxies.h"
#include "assay/job/study_qpsa.h"
#include "assay/job/study_rfic.h"

namespace assay {

class Engine {
 public:
  virtual ~Engine() = default;
  // "libtorch 2.13.0, AVX512, 2 threads": part of what a result depends on.
  virtual std::string describe() const = 0;
  // Hash of the program's own bytes: finished units are found again by the build that made them.
  virtual Result<std::string> code_version() const = 0;
  virtual Result<EvaluateResult> evaluate(const EvaluateOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<EvaluateTasksResult> evaluate_tasks(const EvaluateTasksOptions& options, const RunSettings& settings,
                                                     Progress& progress) = 0;
  virtual Result<MakeImatrixResult> make_imatrix(const MakeImatrixOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual std::vector<ScoreInfo> score_infos() = 0;
  virtual Result<ScoreModelResult> score_model(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<CompareResult> compare_scores(const CompareOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<ProbeResult> probe_variants(const ProbeOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<QuantizeCodesResult> quantize_codes(const QuantizeCodesOptions& options, const RunSettings& settings,
                                                     Progress& progress) = 0;
  virtual Result<QuantizeAwqResult> quantize_awq(const QuantizeAwqOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<StudyQpsaResult> study_qpsa(const StudyQpsaOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<StudyPqiResult> study_pqi(const StudyPqiOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<StudyAttentionResult> study_attention(const StudyAttentionOptions& options, const RunSettings& settings,
                                                       Progress& progress) = 0;
  virtual Result<StudyOutliersResult> study_outliers(const StudyOutliersOptions& options, const RunSettings& settings,
                                                     Progress& progress) = 0;
  virtual Result<StudyProxiesResult> study_proxies(const StudyProxiesOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<StudyAwqResult> study_awq(const StudyAwqOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<StudyRficResult> study_rfic(const StudyRficOptions& options, const RunSettings& settings, Progress& progress) = 0;
  virtual Result<OptimizeResult> optimize(const OptimizeOptions& options, const RunSettings& settings, Progress& progress) = 0;
};

}  // namespace assay

// The engine library's only entry point.
extern "C" assay::Engine* assay_engine();
