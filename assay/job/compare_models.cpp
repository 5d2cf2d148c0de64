#include "assay/job/compare_models.h"

#include <algorithm>

#include "assay/base/text.h"
#include "assay/job/inputs.h"
#include "assay/probe/head.h"
#include "assay/probe/observation_payload.h"
#include "assay/probe/sweep.h"

namespace assay {

Result<at::Tensor> BaseRun::hidden(size_t begin, std::span<const Window> batch) {
  if (const auto kept = hidden_.find(begin); kept != hidden_.end()) return kept->second;
  ASSAY_ASSIGN(const at::Tensor fresh, run_blocks(*base_, batch));
  const auto bytes = static_cast<uint64_t>(fresh.nbytes());
  if (kept_bytes_ + bytes <= memory_) {
    kept_bytes_ += bytes;
    hidden_[begin] = fresh;
  }
  return fresh;
}

Result<Observation> BaseRun::compare(const NetworkSource& source, Progress& progress, UnitCache& units,
                                     const std::function<void(const Observation&)>& each) {
  Observation observation;
  std::shared_ptr<const Network> model;
  const size_t step = windows_per_batch(windows_[0].tokens.size());
  units.plan((windows_.size() + step - 1) / step);
  for (size_t begin = 0; begin < windows_.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows_.subspan(begin, std::min(step, windows_.size() - begin));
    const auto run = [&]() -> Result<std::string> {
      if (!model) {
        ASSAY_ASSIGN(model, source());
      }
      ASSAY_ASSIGN(at::Tensor changed, run_blocks(*model, batch));
      ASSAY_ASSIGN(const at::Tensor base, hidden(begin, batch));
      const HeadStream stream{std::move(changed), nullptr};
      std::vector<PositionObservation> seen;
      ASSAY_TRY(compare_heads(*base_, base, *model, {&stream, 1}, scored_labels(batch), HeadOptions{},
                              [&](size_t, std::span<const PositionObservation> rows) { seen.assign(rows.begin(), rows.end()); }));
      return to_payload(seen);
    };
    const auto payload = find_or_make(units, std::to_string(begin), run);
    if (!payload && is_left_out(units, payload.error())) continue;
    if (!payload) return fail(payload.error());
    ASSAY_ASSIGN(const std::vector<PositionObservation> seen, positions_from_payload(*payload));
    const size_t scored = batch[0].scored();
    if (seen.size() != batch.size() * scored) return fail(ErrorCode::kBadInput, "store: a finished batch has another number of positions");
    for (size_t w = 0; w < batch.size(); ++w) observation.add(batch[w].document, std::span(seen).subspan(w * scored, scored));
    progress.update(begin + batch.size());
    if (each) each(observation);
  }
  return observation;
}

}  // namespace assay
