#include "assay/job/compare_models.h"

#include <algorithm>

#include "assay/base/text.h"
#include "assay/job/inputs.h"
#include "assay/probe/head.h"
#include "assay/probe/sweep.h"

namespace assay {

Result<BaseRun> BaseRun::run(std::shared_ptr<const Network> base, std::span<const Window> windows, Progress& progress) {
  BaseRun run;
  run.base_ = std::move(base);
  run.windows_ = windows;
  progress.stage("base model", windows.size());
  const size_t step = windows_per_batch(windows[0].tokens.size());
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    ASSAY_ASSIGN(at::Tensor hidden, run_blocks(*run.base_, batch));
    run.hidden_.push_back(std::move(hidden));
    progress.update(begin + batch.size());
  }
  return run;
}

Result<Observation> BaseRun::compare(const Network& model, Progress& progress, const std::function<void(const Observation&)>& each) const {
  Observation observation;
  const size_t step = windows_per_batch(windows_[0].tokens.size());
  for (size_t begin = 0; begin < windows_.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows_.subspan(begin, std::min(step, windows_.size() - begin));
    ASSAY_ASSIGN(at::Tensor hidden, run_blocks(model, batch));
    const HeadStream stream{std::move(hidden), nullptr};
    ASSAY_TRY(compare_heads(*base_, hidden_[begin / step], model, {&stream, 1}, scored_labels(batch), HeadOptions{},
                            [&](size_t, std::span<const PositionObservation> rows) {
                              const size_t scored = batch[0].scored();
                              for (size_t w = 0; w < batch.size(); ++w) observation.add(batch[w].document, rows.subspan(w * scored, scored));
                            }));
    progress.update(begin + batch.size());
    if (each) each(observation);
  }
  return observation;
}

}  // namespace assay
