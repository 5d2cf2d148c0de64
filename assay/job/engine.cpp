#include "assay/engine.h"

#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "assay/job/unit_store.h"

namespace assay {
namespace {

class TorchEngine final : public Engine {
 public:
  std::string describe() const override {
    return fmt::format("libtorch {}, CPU capability {}, {} threads", TORCH_VERSION, at::get_cpu_capability(), at::get_num_threads());
  }
  Result<std::string> code_version() const override { return assay::code_version(); }
  Result<EvaluateResult> evaluate(const EvaluateOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::evaluate(options, settings, progress); });
  }
  Result<EvaluateTasksResult> evaluate_tasks(const EvaluateTasksOptions& options, const RunSettings& settings,
                                             Progress& progress) override {
    return guarded([&] { return assay::evaluate_tasks(options, settings, progress); });
  }
  Result<MakeImatrixResult> make_imatrix(const MakeImatrixOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::make_imatrix(options, settings, progress); });
  }
  Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::measure_table(options, settings, progress); });
  }
  std::vector<ScoreInfo> score_infos() override { return assay::score_infos(); }
  Result<ScoreModelResult> score_model(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::score_model(options, settings, progress); });
  }
  Result<CompareResult> compare_scores(const CompareOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::compare_scores(options, settings, progress); });
  }
  Result<ProbeResult> probe_variants(const ProbeOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::probe_variants(options, settings, progress); });
  }
  Result<QuantizeCodesResult> quantize_codes(const QuantizeCodesOptions& options, const RunSettings& settings,
                                             Progress& progress) override {
    return guarded([&] { return assay::quantize_codes(options, settings, progress); });
  }
  Result<QuantizeAwqResult> quantize_awq(const QuantizeAwqOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::quantize_awq(options, settings, progress); });
  }
  Result<StudyQpsaResult> study_qpsa(const StudyQpsaOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::study_qpsa(options, settings, progress); });
  }
  Result<StudyPqiResult> study_pqi(const StudyPqiOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::study_pqi(options, settings, progress); });
  }
  Result<StudyAttentionResult> study_attention(const StudyAttentionOptions& options, const RunSettings& settings,
                                               Progress& progress) override {
    return guarded([&] { return assay::study_attention(options, settings, progress); });
  }
  Result<StudyOutliersResult> study_outliers(const StudyOutliersOptions& options, const RunSettings& settings,
                                             Progress& progress) override {
    return guarded([&] { return assay::study_outliers(options, settings, progress); });
  }
  Result<StudyProxiesResult> study_proxies(const StudyProxiesOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::study_proxies(options, settings, progress); });
  }
  Result<StudyAwqResult> study_awq(const StudyAwqOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::study_awq(options, settings, progress); });
  }
  Result<StudyRficResult> study_rfic(const StudyRficOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::study_rfic(options, settings, progress); });
  }
  Result<OptimizeResult> optimize(const OptimizeOptions& options, const RunSettings& settings, Progress& progress) override {
    return guarded([&] { return assay::optimize(options, settings, progress); });
  }

 private:
  // Nothing thrown by libtorch or the allocator leaves the engine.
  template <class F>
  static auto guarded(const F& body) -> decltype(body()) {
    try {
      return body();
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kNoSpace, "engine: out of memory; give a smaller --memory or fewer --chunks");
    } catch (const c10::Error& error) {
      return fail(ErrorCode::kInternal, std::string("engine: ") + error.what_without_backtrace());
    } catch (const std::exception& error) {
      return fail(ErrorCode::kInternal, std::string("engine: ") + error.what());
    }
  }
};

}  // namespace
}  // namespace assay

assay::Engine* assay_engine() {
  static assay::TorchEngine engine;
  return &engine;
}
