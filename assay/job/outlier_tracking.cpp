#include "assay/job/outlier_tracking.h"

#include <algorithm>
#include <map>

#include "assay/base/payload.h"
#include "assay/base/sum.h"
#include "assay/score/row_spectrum.h"

namespace assay {
namespace {

constexpr size_t kMostRows = 64;  // in one unit

// The first prompts of every stratum.
std::vector<Window> tracked_windows(const OutlierRunner& runner) {
  const PromptWindows& prompts = runner.prompts();
  std::vector<Window> windows;
  std::vector<uint64_t> taken(prompts.strata.size());
  for (size_t w = 0; w < prompts.windows.size(); ++w)
    if (taken[prompts.stratum[w]]++ < runner.config().tracked_prompts) windows.push_back(prompts.windows[w]);
  return windows;
}

// What each variant moved, by layer: a tensor [rows, d] per window.
using Deltas = std::vector<std::map<int, std::vector<at::Tensor>>>;

Result<Deltas> deltas_of(OutlierRunner& runner, std::span<const Window> windows, std::span<const Variant> variants) {
  std::vector<ResolvedVariant> resolved;
  for (const Variant& variant : variants) {
    ASSAY_ASSIGN(ResolvedVariant one, runner.resolve(variant));
    resolved.push_back(std::move(one));
  }
  Deltas deltas(variants.size());
  SweepOptions options = runner.measure_options().sweep;
  options.deltas = [&](size_t variant, int layer, const at::Tensor& delta) { deltas[variant][layer].push_back(delta.to(at::kCPU)); };
  UninterruptedProgress progress(runner.progress());
  for (const Window& window : windows)
    ASSAY_TRY(run_sweep(
        *runner.model().network, {&window, 1}, resolved, options, [](size_t, size_t, std::span<const PositionObservation>) {}, progress));
  return deltas;
}

TrackedLayer layer_of(int layer, const std::vector<at::Tensor>& windows, size_t bins, int threads) {
  TrackedLayer made;
  made.layer = layer;
  const at::Tensor all = at::cat(windows);
  std::vector<CompensatedSum> sums(bins);
  std::vector<uint64_t> counts(bins);
  CompensatedSum squares, norms;
  for (const at::Tensor& window : windows) {
    const at::Tensor norm = window.to(at::kDouble).square().sum(1).sqrt().contiguous();
    const double* values = norm.const_data_ptr<double>();
    for (int64_t t = 0; t < norm.numel(); ++t) {
      const size_t bin = position_bin(static_cast<uint64_t>(t));
      sums[bin].add(values[t]);
      ++counts[bin];
      norms.add(values[t]);
      squares.add(values[t] * values[t]);
    }
  }
  made.norm = std::sqrt(squares.value());
  made.token_norm = norms.value() / static_cast<double>(all.size(0));
  for (size_t b = 0; b < bins; ++b) made.at.push_back(counts[b] ? sums[b].value() / static_cast<double>(counts[b]) : 0);
  made.centred = leading_share(row_eigenvalues(all, true, threads));
  made.uncentred = leading_share(row_eigenvalues(all, false, threads));
  return made;
}

void write(PayloadWriter& writer, const TrackedLayer& one) {
  writer.add(static_cast<uint64_t>(one.layer));
  const double values[] = {one.norm, one.token_norm, one.centred, one.uncentred};
  writer.add(std::span<const double>(values), "perturbation");
  writer.add(std::span<const double>(one.at), "perturbation by position");
}

TrackedLayer read_layer(PayloadReader& reader) {
  TrackedLayer one;
  one.layer = static_cast<int>(reader.number());
  std::vector<double> values = reader.reals();
  values.resize(4);
  one.norm = values[0];
  one.token_norm = values[1];
  one.centred = values[2];
  one.uncentred = values[3];
  one.at = reader.reals();
  return one;
}

std::string names_of(std::span<const Variant> variants) {
  std::string names;
  for (const Variant& variant : variants) names += hash_of(variant);
  return names;
}

}  // namespace

Status track(OutlierRunner& runner, std::vector<OutlierRow>& rows, const std::vector<size_t>& some, OutlierResult& result) {
  const std::vector<Window> windows = tracked_windows(runner);
  if (windows.empty() || some.empty()) return {};
  uint64_t longest = 0;
  for (const Window& window : windows) {
    longest = std::max<uint64_t>(longest, window.tokens.size());
    result.tracked_tokens += window.tokens.size();
  }
  result.position_bins = position_bins(longest);
  const uint64_t row_bytes =
      result.tracked_tokens * static_cast<uint64_t>(runner.model().network->hyper().d_model) * 4 * static_cast<uint64_t>(runner.layers());
  const auto per_unit = static_cast<size_t>(std::clamp<uint64_t>(tile_memory(runner.settings()) / 2 / row_bytes, 1, kMostRows));
  const UnitKey key = runner.store().key("outliers perturbation").add("windows", fingerprint(windows));
  runner.progress().stage("perturbation by block", some.size());
  for (size_t begin = 0; begin < some.size(); begin += per_unit) {
    const auto own = std::span(some).subspan(begin, std::min(per_unit, some.size() - begin));
    std::vector<Variant> variants;
    for (const size_t row : own) variants.push_back(zeroed({&rows[row].place, 1}));
    const auto work = [&]() -> Result<std::string> {
      ASSAY_ASSIGN(const Deltas deltas, deltas_of(runner, windows, variants));
      PayloadWriter writer;
      for (const auto& by_layer : deltas) {
        writer.add(uint64_t{by_layer.size()});
        for (const auto& [layer, parts] : by_layer)
          write(writer, layer_of(layer, parts, result.position_bins.size(), runner.settings().threads));
      }
      return std::move(writer).finish();
    };
    ASSAY_ASSIGN(const std::string payload, runner.unit(key, names_of(variants), work));
    PayloadReader reader(payload);
    for (const size_t r : own) {
      OutlierRow& row = rows[r];
      row.max_stability = row.max_stability_uncentred = 0;
      for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
        row.tracked.push_back(read_layer(reader));
        row.max_stability = std::max(*row.max_stability, row.tracked.back().centred);
        row.max_stability_uncentred = std::max(*row.max_stability_uncentred, row.tracked.back().uncentred);
      }
    }
    ASSAY_TRY(reader.finish());
    runner.progress().update(begin + own.size());
  }
  return {};
}

Result<std::vector<OutlierOvershoot>> measure_overshoot(OutlierRunner& runner, const std::vector<OutlierRow>& rows,
                                                        const std::vector<size_t>& some) {
  const std::vector<Window> windows = tracked_windows(runner);
  std::vector<OutlierOvershoot> all;
  if (windows.empty()) return all;
  const UnitKey key = runner.store().key("outliers overshoot").add("windows", fingerprint(windows));
  for (const size_t row : some) {
    if (rows[row].layer < 0) continue;
    const Variant variants[] = {zeroed({&rows[row].place, 1}), patched(rows[row].place, ResidualEdit::Form::kCumulative, 0, 0)};
    const auto work = [&]() -> Result<std::string> {
      ASSAY_ASSIGN(Deltas deltas, deltas_of(runner, windows, variants));
      std::vector<double> values;
      for (const auto& [layer, edited] : deltas[0]) {
        const auto patched = deltas[1].find(layer);
        if (patched == deltas[1].end()) continue;
        const at::Tensor change = at::cat(edited).to(at::kDouble), left = at::cat(patched->second).to(at::kDouble);
        const double square = change.square().sum().item<double>();
        if (square > 0) values.insert(values.end(), {double(layer), -(change * left).sum().item<double>() / square});
      }
      PayloadWriter writer;
      writer.add(std::span<const double>(values), "overshoot");
      return std::move(writer).finish();
    };
    ASSAY_ASSIGN(const std::string payload, runner.unit(key, names_of(variants), work));
    PayloadReader reader(payload);
    const std::vector<double> values = reader.reals();
    ASSAY_TRY(reader.finish());
    OutlierOvershoot one;
    one.row = row;
    for (size_t i = 0; i + 1 < values.size(); i += 2) one.layers.emplace_back(static_cast<int>(values[i]), values[i + 1]);
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace assay
