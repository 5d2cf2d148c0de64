#include "assay/job/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"
#include "assay/job/compare_models.h"
#include "assay/job/inputs.h"
#include "assay/probe/head.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

// Perplexity alone: the windows' sums with only the negative log-likelihood in them.
Result<std::vector<WindowSums>> run_perplexity(const Network& network, std::span<const Window> windows, Progress& progress) {
  std::vector<WindowSums> sums;
  CompensatedSum nll_total;
  uint64_t count = 0;
  progress.stage("perplexity", windows.size());
  const size_t step = windows_per_batch(windows[0].tokens.size());
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch));
    const std::vector<int32_t> labels = scored_labels(batch);
    std::vector<double> nll(labels.size());
    ASSAY_TRY(head_nll(network, hidden, labels, HeadOptions{}, nll));
    const size_t scored = batch[0].scored();
    for (size_t w = 0; w < batch.size(); ++w) {
      CompensatedSum sum;
      for (size_t i = 0; i < scored; ++i) sum.add(nll[w * scored + i]);
      WindowSums window;
      window.document = batch[w].document;
      window.count = scored;
      window.nll = sum.value();
      sums.push_back(window);
      nll_total.add(window.nll);
      count += scored;
      progress.update(begin + w + 1, fmt::format("[{}] ppl {:.4f}", begin + w + 1, std::exp(nll_total.value() / static_cast<double>(count))));
    }
  }
  return sums;
}

}  // namespace

Result<EvaluateResult> evaluate(const EvaluateOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
  EvaluateResult result;
  result.tokens_scored = set.tokens_scored;
  result.windows = set.windows.size();
  result.documents = set.documents;
  result.corpus_sha256 = set.corpus_sha256;
  std::vector<WindowSums> sums;
  if (options.base.empty()) {
    ASSAY_ASSIGN(sums, run_perplexity(*model.network, set.windows, progress));
  } else {
    ASSAY_ASSIGN(const OpenModel base, open_model(options.base, settings, progress));
    if (base.tokenizer->fingerprint() != model.tokenizer->fingerprint()) {
      return fail(ErrorCode::kMismatch, {options.model, "has another tokenizer than " + options.base, "their token streams must be equal", "not the same model family?"});
    }
    ASSAY_ASSIGN(result.noise_floor, measure_noise_floor(base.network, set.windows, settings.seed));
    ASSAY_ASSIGN(const BaseRun run, BaseRun::run(base.network, set.windows, progress));
    progress.stage("model", set.windows.size());
    ASSAY_ASSIGN(result.comparison, run.compare(*model.network, progress, [&](const Observation& so_far) {
                   progress.update(so_far.windows().size(), fmt::format("[{}] ppl {:.4f} kl {:.6f}", so_far.windows().size(), so_far.ppl(), so_far.mean_kl()));
                 }));
    sums = result.comparison->windows();
  }
  WindowTotals totals;
  for (const WindowSums& window : sums) totals.add(window);
  result.nll = totals.value().nll / static_cast<double>(set.tokens_scored);
  BootstrapOptions bootstrap_options;
  bootstrap_options.seed = settings.seed;
  result.ppl = bootstrap(sums, [](const WindowSums& s) { return std::exp(s.nll / static_cast<double>(s.count)); }, bootstrap_options);
  result.interval_unit = bootstrap_unit(sums);
  return result;
}

}  // namespace assay
