#include "assay/job/probe_variants.h"

#include <chrono>
#include <cmath>
#include <set>

#include "assay/base/nearest_names.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/job/inputs.h"
#include "assay/job/measure_adaptive.h"
#include "assay/job/table_rows.h"
#include "assay/probe/resolve_variant.h"
#include "assay/probe/variant_io.h"

namespace assay {
namespace {

constexpr uint32_t kResamples = 2000;

double mean_of(double sum, const WindowSums& s) { return sum / static_cast<double>(s.count); }

// The windows that all members were measured on, of one order.
size_t common_windows(const std::vector<size_t>& members, const ObservedVariants& observed) {
  size_t common = observed[members[0]].size();
  for (const size_t member : members) common = std::min(common, observed[member].size());
  return common;
}

// A(S) - sum over members of A({c}), paired by window.
Interval interaction(const std::vector<size_t>& members, const ObservedVariants& observed, uint64_t seed) {
  std::vector<WindowSums> difference = observed[members[0]];
  difference.resize(common_windows(members, observed));
  for (size_t i = 1; i < members.size(); ++i)
    for (size_t w = 0; w < difference.size(); ++w) difference[w].kl -= observed[members[i]][w].kl;
  return bootstrap(difference, [](const WindowSums& s) { return mean_of(s.kl, s); }, {kResamples, seed});
}

Interval two_sided(const std::vector<size_t>& members, const ObservedVariants& observed, uint64_t seed) {
  const size_t common = common_windows(members, observed);
  return bootstrap_pair(std::span(observed[members[0]]).first(common), std::span(observed[members[1]]).first(common),
                        [](const WindowSums& a, const WindowSums& b) {
                          return 0.5 * (std::fabs(mean_of(a.nll_difference, a)) + std::fabs(mean_of(b.nll_difference, b)));
                        },
                        {kResamples, seed});
}

// Mean KL of one / the other's - 1.
Interval change_of(std::span<const WindowSums> own, std::span<const WindowSums> other, uint64_t seed) {
  return bootstrap_pair(own, other, [](const WindowSums& a, const WindowSums& b) { return mean_of(a.kl, a) / mean_of(b.kl, b) - 1; },
                        {kResamples, seed});
}

// The place of the variant that all are compared with; none: as many as there are.
Result<size_t> find_reference(const std::vector<Variant>& variants, const std::string& name) {
  if (name.empty()) return variants.size();
  for (size_t v = 0; v < variants.size(); ++v)
    if (variants[v].name == name) return v;
  std::vector<std::string> names;
  for (const Variant& variant : variants) names.push_back(variant.name);
  return fail(ErrorCode::kUsage,
              {"--against '" + printable(name) + "'", "is no variant of the file", "",
               nearest_names(name, names, 5).empty() ? "" : "did you mean " + join(nearest_names(name, names, 5), ", ") + "?"});
}

// What the windows of one variant say of a mean per token.
using PerToken = double (*)(const WindowSums& sums);
double kl_of(const WindowSums& s) { return s.kl; }
double nll_difference_of(const WindowSums& s) { return s.nll_difference; }
double flips_of(const WindowSums& s) { return static_cast<double>(s.flips); }

// Intervals over documents, or, where measuring stopped early, such as hold whenever it stops.
class Intervals {
 public:
  Intervals(const std::optional<StopRule>& until, size_t windows, uint64_t seed) : until_(until), windows_(windows), seed_(seed) {}
  Interval operator()(std::span<const WindowSums> windows, PerToken sum) const {
    if (!until_) return bootstrap(windows, [sum](const WindowSums& s) { return mean_of(sum(s), s); }, {kResamples, seed_});
    std::vector<double> values;
    for (const WindowSums& window : windows) values.push_back(mean_of(sum(window), window));
    return anytime_interval(values, windows_, until_->error_rate);
  }
  std::string unit(std::span<const WindowSums> windows) const {
    return until_ ? "windows in random order, valid whenever measuring stops" : bootstrap_unit(windows);
  }

 private:
  const std::optional<StopRule>& until_;
  size_t windows_;
  uint64_t seed_;
};

// Single weights move a KL by less than bf16 can show.
void warn_of_compute(const std::vector<Variant>& variants, const RunSettings& settings, Progress& progress) {
  if (settings.compute != Compute::kBFloat16) return;
  for (const Variant& variant : variants)
    for (const WeightEdit& edit : variant.weights)
      if (edit.where.kind == Selection::Kind::kCoordinates || edit.action == WeightEdit::Action::kByte) {
        progress.log("warning: single weights change less than bf16's noise floor can show; use --compute float32");
        return;
      }
}

Result<AdaptiveResult> measure_all(const ProbeOptions& options, const OpenModel& model, const ProbeSet& probe,
                                   std::span<const NamedVariant> variants, UnitStore& store, const MeasureOptions& measure,
                                   double noise_floor, const RunSettings& settings, Progress& progress) {
  if (options.until)
    return measure_until(model, probe.windows, variants, store, {measure, *options.until, noise_floor, settings.seed}, progress);
  AdaptiveResult all;
  ASSAY_ASSIGN(all.observed, measure_variants(model, probe.windows, variants, store, measure, progress));
  all.order = by_mean(all.observed);
  return all;
}

}  // namespace

Result<ProbeResult> probe_variants(const ProbeOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(VariantFile file, read_variants(options.variants));
  override_families(file, options.layers, options.samples);
  ASSAY_ASSIGN(const std::shared_ptr<const Checkpoint> checkpoint, Checkpoint::open(options.model));
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint->metadata(), checkpoint->find("output.weight") != nullptr));
  ASSAY_ASSIGN(const VariantSet set, expand(file, ModelShape(hyper, checkpoint->tensors())));
  ASSAY_ASSIGN(const size_t reference, find_reference(set.variants, options.against));
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet probe, open_windows(options.text, model));
  ASSAY_ASSIGN(const auto imatrix, open_imatrix(options.imatrix));
  warn_of_compute(set.variants, settings, progress);

  ProbeResult result;
  result.notes = set.notes;
  const uint64_t memory = memory_budget(settings);
  const ChangeSource changes(model.network, imatrix, ChangeOptions{memory / 8, settings.threads});
  VariantResolver resolver(model.network, changes);
  std::vector<NamedVariant> named;
  std::set<std::string> files;
  progress.stage("variants", set.variants.size());
  for (const Variant& variant : set.variants) {
    auto resolved = resolver.resolve(variant);
    if (!resolved) return fail(resolved.error().code, "variant '" + printable(variant.name) + "': " + resolved.error().message);
    ProbedVariant probed;
    probed.name = variant.name;
    probed.hash = hash_of(variant);
    probed.forward_equivalents = forward_equivalents(*model.network, probe.windows[0], *resolved);
    result.all_forward_equivalents += probed.forward_equivalents * static_cast<double>(probe.windows.size());
    named.push_back({probed.hash, std::move(*resolved)});
    for (const std::string& path : files_of(variant)) files.insert(path);
    result.variants.push_back(std::move(probed));
    progress.update(result.variants.size());
  }
  result.files = {files.begin(), files.end()};
  MeasureOptions measure;
  measure.sweep.memory = tile_memory(settings);
  measure.sweep.allow_non_finite = true;
  measure.depends_on = imatrix ? fingerprint(*imatrix) : "";
  for (const std::string& path : result.files) {
    ASSAY_ASSIGN(const std::string hash, sha256_of_file(path));
    measure.depends_on += ' ' + hash;
  }
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  ASSAY_ASSIGN(result.noise_floor, noise_floor(store, model, probe.windows, settings));
  const auto begin = std::chrono::steady_clock::now();
  ASSAY_ASSIGN(const AdaptiveResult measured,
               measure_all(options, model, probe, named, store, measure, result.noise_floor, settings, progress));
  const ObservedVariants& observed = measured.observed;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  const Intervals intervals(options.until, probe.windows.size(), settings.seed);
  for (size_t v = 0; v < observed.size(); ++v) {
    ProbedVariant& probed = result.variants[v];
    const std::vector<WindowSums>& windows = observed[v];
    probed.kl = intervals(windows, kl_of);
    probed.nll_difference = intervals(windows, nll_difference_of);
    probed.flip_rate = intervals(windows, flips_of);
    if (reference < observed.size()) probed.change = change_of(windows, observed[reference], settings.seed);
    probed.ppl_ratio = std::exp(probed.nll_difference.value);
    probed.below_floor = probed.kl.value < result.noise_floor;
    for (const WindowSums& window : windows) probed.non_finite += window.non_finite;
    probed.windows = windows.size();
    result.forward_equivalents += probed.forward_equivalents * static_cast<double>(windows.size());
  }
  for (size_t i = 0; i < measured.order.size(); ++i) result.variants[measured.order[i]].place = i + 1;
  for (const VariantGroup& group : set.groups)
    result.groups.push_back({group.kind, group.members,
                             group.kind == VariantGroup::Kind::kJoint ? interaction(group.members, observed, settings.seed)
                                                                      : two_sided(group.members, observed, settings.seed)});
  if (!observed.empty()) {
    WindowTotals totals;
    for (const WindowSums& window : observed[0]) totals.add(window);
    result.base_nll = mean_of(totals.value().nll_base, totals.value());
    result.interval_unit = intervals.unit(observed[0]);
  }
  result.tokens_scored = probe.tokens_scored;
  result.windows = probe.windows.size();
  result.documents = probe.documents;
  result.units = store.counts();
  return result;
}

}  // namespace assay
