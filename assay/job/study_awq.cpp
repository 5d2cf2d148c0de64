#include "assay/job/study_awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/base/stopwatch.h"
#include "assay/job/awq_runner.h"
#include "assay/job/make_table.h"
#include "assay/job/quantize_awq.h"
#include "assay/job/study_criteria.h"

namespace assay {
namespace {

constexpr double kMethodsPerType = 6, kMethodsPerGrid = 5;

class AwqStudy {
 public:
  AwqStudy(AwqRunner& runner, AwqStudyConfig config, Progress& progress)
      : runner_(runner), config_(std::move(config)), progress_(progress), matrices_(runner.matrices()) {}

  Result<StudyAwqResult> run() {
    const ProbeSet& set = runner_.evaluation();
    result_.windows = set.windows.size();
    result_.documents = set.documents;
    result_.tokens_scored = set.tokens_scored;
    result_.calibration_tokens = runner_.calibration().windows.size() * runner_.calibration().ctx;
    result_.notes = fold_notes(runner_.hyper());
    announce();
    ASSAY_TRY(register_criteria());
    ASSAY_ASSIGN(imatrix_, runner_.imatrix());
    for (const int bits : config_.bits) ASSAY_TRY(staged(fmt::format("{} bits", bits), [&] { return grid(bits); }));
    for (const GgmlType type : config_.types) ASSAY_TRY(staged(find_type(type)->name, [&] { return of_type(type); }));
    conclude();
    out_.units = runner_.store().counts();
    out_.result = std::move(result_);
    return std::move(out_);
  }

 private:
  template <class Body>
  Status staged(const std::string& name, const Body& body) {
    if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "study awq: interrupted between stages");
    double seconds = 0;
    {
      const Stopwatch watch(seconds);
      ASSAY_TRY(body());
    }
    out_.stage_seconds.emplace_back(name, seconds);
    const size_t all = config_.bits.size() + config_.types.size();
    if (const size_t left = all - out_.stage_seconds.size(); left > 0)
      progress_.log(
          fmt::format("{} done in {:.0f} s; {} of {} left, about {:.0f} s", name, seconds, left, all, static_cast<double>(left) * seconds));
    return {};
  }

  void announce() {
    const double models =
        kMethodsPerGrid * static_cast<double>(config_.bits.size()) + kMethodsPerType * static_cast<double>(config_.types.size());
    progress_.log(fmt::format("plan: {:.0f} models on {} windows, scales on {} windows; {} grids, {} types; the first says what each takes",
                              models, result_.windows, runner_.calibration().windows.size(), config_.bits.size(), config_.types.size()));
  }

  Status register_criteria() {
    if (config_.criteria.empty()) config_.criteria = default_awq_criteria(config_.types);
    UnitKey key = runner_.store().key("awq criteria").add("windows", fingerprint(runner_.evaluation().windows)).add("config", config_.name);
    return assay::register_criteria(runner_.store(), std::move(key), config_.criteria, result_);
  }

  int threads() const { return runner_.settings().threads; }

  // Measures one way; against: index of an earlier row, or -1.
  Result<size_t> add(const std::string& target, const std::string& method, int against, const std::string& name, const TensorEdits& edits) {
    ASSAY_ASSIGN(Observation seen, runner_.compare(name, edits));
    AwqRow row;
    row.target = target;
    row.method = method;
    BootstrapOptions options;
    options.seed = config_.seed;
    row.kl = bootstrap(seen.windows(), [](const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }, options);
    row.ppl = seen.ppl();
    result_.base_ppl = seen.ppl_base();
    result_.interval = bootstrap_unit(seen.windows());
    if (against >= 0) {
      row.against = result_.rows[static_cast<size_t>(against)].method;
      row.change = kl_change(seen, observed_[static_cast<size_t>(against)], config_.seed);
    }
    result_.rows.push_back(row);
    observed_.push_back(std::move(seen));
    return result_.rows.size() - 1;
  }

  TensorEdits scaled(const AwqResult& awq, const std::vector<std::string>& tensors, const WeightRounder& round) const {
    TensorEdits edits = folded_edits(awq);
    append(edits, rounding_edits(tensors, awq, round));
    return edits;
  }

  Status grid(int bits) {
    AwqOptions options;
    options.grid = {bits, config_.group, true};
    const NamedRounder round = named_grid(options.grid, threads());
    const std::string target = fmt::format("{} bits, groups of {}", bits, config_.group);
    ASSAY_ASSIGN(const size_t plain, add(target, "plain", -1, "plain " + round.name, rounding_edits(matrices_, {}, round.round)));
    const int against = static_cast<int>(plain);
    ASSAY_ASSIGN(const AwqResult found, runner_.search(runner_.groups(), options, round));
    AwqResult uncut = found;
    uncut.clips.clear();
    ASSAY_TRY(add(target, "AWQ without clips", against, "awq " + round.name + digest(uncut), scaled(uncut, matrices_, round.round)));
    ASSAY_TRY(add(target, "AWQ", against, "awq " + round.name + digest(found), scaled(found, matrices_, round.round)));
    AwqOptions lite = options;
    lite.lite = true;
    lite.clip = false;
    ASSAY_ASSIGN(const AwqResult alone, runner_.search(single_groups(*runner_.model().network), lite, round));
    ASSAY_TRY(add(target, "AWQ-lite", against, "lite " + round.name + digest(alone), unfolded_edits(alone, round.round)));
    AwqOptions module = options;
    module.loss = AwqLoss::kModule;
    ASSAY_ASSIGN(const AwqResult whole, runner_.search(runner_.groups(), module, round));
    ASSAY_TRY(add(target, "AWQ, module loss", against, "awq " + round.name + digest(whole), scaled(whole, matrices_, round.round)));
    describe(target, found);
    if (result_.clip_shares.empty()) count_clips(found);
    if (result_.channels.empty()) take_channels(found);
    return {};
  }

  Status of_type(GgmlType type) {
    const std::string target = find_type(type)->name;
    std::map<std::string, GgmlType> types;
    std::vector<std::string> tensors;
    for (const std::string& name : matrices_) {
      if (usable_types(*runner_.model().checkpoint->find(name), {type}).empty()) continue;
      types[name] = type;
      tensors.push_back(name);
    }
    if (tensors.empty())
      return fail(ErrorCode::kUnsupported, {"type " + target, "fits no matrix of the blocks", "another of the config's types", ""});
    if (tensors.size() < matrices_.size())
      result_.notes.push_back(
          fmt::format("{}: {} matrices whose rows do not fit stay unquantized", target, matrices_.size() - tensors.size()));
    AwqOptions options;
    options.clip = false;
    options.grid = {4, 128, true};
    const NamedRounder grid = named_grid(options.grid, threads());
    ASSAY_ASSIGN(const AwqResult published, runner_.search(runner_.groups(), options, grid));
    for (const bool weighted : {false, true}) {
      const std::string with = weighted ? ", imatrix" : "";
      const NamedRounder round = named_types(types, weighted ? &imatrix_ : nullptr, threads());
      ASSAY_ASSIGN(const size_t plain,
                   add(target, weighted ? "imatrix" : "plain", weighted ? static_cast<int>(result_.rows.size()) - 3 : -1,
                       "plain " + round.name, rounding_edits(tensors, {}, round.round)));
      const int against = static_cast<int>(plain);
      ASSAY_TRY(
          add(target, "AWQ for a grid" + with, against, "awq " + round.name + digest(published), scaled(published, tensors, round.round)));
      ASSAY_ASSIGN(const AwqResult found, runner_.search(runner_.groups(), options, round));
      ASSAY_ASSIGN(const size_t own,
                   add(target, "AWQ" + with, against, "awq " + round.name + digest(found), scaled(found, tensors, round.round)));
      if (weighted) {
        const Interval& change = result_.rows[own].change;
        result_.statistics.push_back({awq_statistic(target), change.value, std::pair(change.low, change.high)});
      } else {
        describe(target, found);
      }
    }
    return {};
  }

  // Curves over alpha, means over the blocks.
  void describe(const std::string& target, const AwqResult& awq) {
    for (const AwqScale& scale : awq.scales) {
      const std::string place(name_of(scale.group.place));
      auto at = std::ranges::find_if(result_.curves, [&](const AwqCurve& curve) { return curve.target == target && curve.place == place; });
      if (at == result_.curves.end()) {
        result_.curves.push_back({target, place, std::vector<double>(scale.losses.size()), {}});
        at = result_.curves.end() - 1;
      }
      at->alphas.push_back(scale.alpha);
      for (size_t i = 0; i < scale.losses.size() && scale.losses[0] > 0; ++i) at->losses[i] += scale.losses[i] / scale.losses[0];
    }
    for (AwqCurve& curve : result_.curves)
      if (curve.target == target)
        for (double& loss : curve.losses) loss /= static_cast<double>(curve.alphas.size());
  }

  void count_clips(const AwqResult& awq) {
    result_.clip_shares.assign(10, 0);
    double all = 0;
    for (const auto& [tensor, clip] : awq.clips)
      for (const float share : clip.shares) {
        result_.clip_shares[static_cast<size_t>(std::lround((1 - static_cast<double>(share)) * 20))] += 1;
        all += 1;
      }
    for (double& share : result_.clip_shares) share /= all > 0 ? all : 1;
  }

  void take_channels(const AwqResult& awq) {
    for (const AwqScale& scale : awq.scales) {
      if (scale.group.layer != runner_.hyper().layers / 2) continue;
      std::vector<size_t> order(scale.mean.size());
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scale.mean[a] > scale.mean[b]; });
      AwqChannels channels{std::string(name_of(scale.group.place)), {}, {}};
      for (const size_t j : order) {
        channels.mean.push_back(static_cast<double>(scale.mean[j]));
        channels.scale.push_back(static_cast<double>(scale.scales[j]));
      }
      result_.channels.push_back(std::move(channels));
    }
  }

  void conclude() { judge(result_, config_.criteria); }

  AwqRunner& runner_;
  AwqStudyConfig config_;
  Progress& progress_;
  std::vector<std::string> matrices_;
  Imatrix imatrix_;
  std::vector<Observation> observed_;  // by row
  AwqStudyResult result_;
  StudyAwqResult out_;
};

}  // namespace

Result<StudyAwqResult> study_awq(const StudyAwqOptions& options, const RunSettings& settings, Progress& progress) {
  AwqStudyConfig config = options.config;
  if (options.quick) {
    if (config.types.size() > 1) config.types.resize(1);
    if (config.bits.size() > 1) config.bits.resize(1);
    config.calibration_windows = std::min<uint64_t>(config.calibration_windows, 4);
    config.windows = 4;
  }
  TextInput evaluation = options.text, calibration = options.text;
  if (evaluation.windows.chunks == 0) evaluation.windows.chunks = config.windows;
  calibration.path = options.calibration;
  calibration.windows.chunks = config.calibration_windows;
  ASSAY_ASSIGN(const auto runner, AwqRunner::open(options.model, calibration, evaluation, settings, progress));
  return AwqStudy(*runner, std::move(config), progress).run();
}

}  // namespace assay
