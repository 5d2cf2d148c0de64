#include "assay/job/study_rfic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/stopwatch.h"
#include "assay/file/tensor_role.h"
#include "assay/job/awq_runner.h"
#include "assay/job/measure_variants.h"
#include "assay/job/rfic_plan.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

using Edits = std::map<std::string, std::vector<uint64_t>>;  // positions that become 0, by tensor

TensorEdits zeroing(const Edits& zeroed) {
  TensorEdits edits;
  for (const auto& [tensor, positions] : zeroed)
    edits[tensor].emplace_back([positions](const TensorInfo&, std::span<float> values) -> Status {
      for (const uint64_t position : positions) values[position] = 0;
      return {};
    });
  return edits;
}

std::string name_of(const Edits& zeroed) {
  std::string name;
  for (const auto& [tensor, positions] : zeroed) {
    name += tensor;
    for (const uint64_t position : positions) name += fmt::format(" {}", position);
    name += ";";
  }
  return name;
}

Interval mean_kl(std::span<const WindowSums> windows, uint64_t seed) {
  BootstrapOptions options;
  options.seed = seed;
  return bootstrap(windows, [](const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }, options);
}

class RficStudy {
 public:
  RficStudy(AwqRunner& runner, RficConfig config, Progress& progress) : runner_(runner), config_(std::move(config)), progress_(progress) {}

  Result<StudyRficResult> run() {
    ASSAY_ASSIGN(layers_, screened_layers(config_, runner_.hyper().layers));
    for (const int layer : layers_)
      for (const std::string& role : config_.roles)
        if (const std::string name = fmt::format("blk.{}.{}.weight", layer, role); runner_.model().checkpoint->find(name) != nullptr)
          result_.tensors.push_back(name);
    if (result_.tensors.empty())
      return fail(ErrorCode::kMismatch,
                  {"study rfic", "finds none of its matrices in the model", "", "a family that names its roles otherwise?"});
    progress_.log(plan_text(config_, result_.tensors.size(), runner_.evaluation().windows.size(),
                            std::min<uint64_t>(config_.gate_windows, runner_.calibration().windows.size()), progress_eta()));
    ASSAY_TRY(stage("screen", [&] { return screen_all(); }));
    ASSAY_TRY(stage("gate", [&] { return gate(); }));
    ASSAY_TRY(stage("full model", [&] { return check(); }));
    out_.units = runner_.store().counts();
    out_.result = std::move(result_);
    return std::move(out_);
  }

 private:
  template <class Body>
  Status stage(const std::string& name, const Body& body) {
    if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "study rfic: interrupted between stages");
    double seconds = 0;
    {
      const Stopwatch watch(seconds);
      ASSAY_TRY(body());
    }
    out_.stage_seconds.emplace_back(name, seconds);
    return {};
  }
  int threads() const { return runner_.settings().threads; }

  // Seconds of one window through the model: the first one's, twice, the better.
  double progress_eta() const {
    const auto windows = std::span(runner_.calibration().windows).subspan(0, 1);
    double best = 1e9;
    for (int i = 0; i < 2; ++i) {
      double seconds = 0;
      {
        const Stopwatch watch(seconds);
        (void)run_blocks(*runner_.model().network, windows);
      }
      best = std::min(best, seconds);
    }
    return best;
  }

  // One unit: the inputs of the screened matrices are taken in one forward, the candidates follow.
  Status screen_all() {
    std::string rules;
    for (const RficRule rule : config_.rules) rules += assay::name_of(rule);
    const auto units = runner_.store().units(runner_.store()
                                                 .key("rfic screen")
                                                 .add("windows", fingerprint(runner_.calibration().windows))
                                                 .add("tokens", config_.tokens)
                                                 .add("grid", named_grid(config_.grid, 0).name)
                                                 .add("rules", rules));
    progress_.stage("screen", result_.tensors.size());
    std::map<std::string, at::Tensor> inputs;
    for (const std::string& tensor : result_.tensors) {
      const auto work = [&]() -> Result<std::string> {
        if (inputs.empty()) ASSAY_TRY(take_inputs(inputs));
        const TensorInfo& info = *runner_.model().checkpoint->find(tensor);
        const int used = threads() == 0 ? available_threads() : threads();
        ASSAY_ASSIGN(const std::vector<float> weights, runner_.model().checkpoint->read_float(info, used));
        const at::Tensor& x = inputs.at(tensor);
        return rfic_payload(screen({weights, {x.const_data_ptr<float>(), static_cast<size_t>(x.numel())}, info.row_length()}, config_.grid,
                                   config_.rules, used));
      };
      ASSAY_ASSIGN(const std::string payload, find_or_make(*units, tensor, work));
      ASSAY_ASSIGN(std::vector<RficCandidate> some, rfic_candidates(payload));
      for (RficCandidate& one : some) {
        one.tensor = tensor;
        one.layer = role_of(tensor).layer;
        result_.candidates.push_back(std::move(one));
      }
      progress_.update(static_cast<uint64_t>(&tensor - result_.tensors.data()) + 1);
    }
    result_.screen_tokens = std::min<uint64_t>(config_.tokens, runner_.calibration().windows.size() * runner_.calibration().ctx);
    result_.front = pareto_front(result_.candidates);
    result_.summary = summarize(result_.candidates);
    result_.zeroed = select_for_check(result_.candidates, config_.ruleset, config_.top_k);
    return {};
  }

  Status take_inputs(std::map<std::string, at::Tensor>& inputs) const {
    const auto& windows = runner_.calibration().windows;
    const uint64_t wanted = (config_.tokens + windows[0].tokens.size() - 1) / windows[0].tokens.size();
    const auto some = std::span(windows).subspan(0, std::min<size_t>(windows.size(), wanted));
    const auto observe = [&](int layer, Site site, const at::Tensor& x) {
      const std::string tensor = runner_.model().network->tensor_name(layer, site);
      if (std::ranges::count(result_.tensors, tensor) == 0) return;
      inputs[tensor] = x.to(at::kCPU).narrow(0, 0, std::min<int64_t>(x.size(0), static_cast<int64_t>(config_.tokens))).contiguous().clone();
    };
    const auto ran = run_blocks(*runner_.model().network, some, observe);
    if (!ran) return fail(ran.error());
    return {};
  }

  // The screened matrices rounded, with some positions zeroed first, as changes of the sweep.
  ResolvedVariant rounded(const Edits& zeroed, bool round) const {
    ResolvedVariant variant;
    for (const std::string& tensor : result_.tensors) {
      const auto found = zeroed.find(tensor);
      if (!round && found == zeroed.end()) continue;
      const std::vector<uint64_t> positions = found == zeroed.end() ? std::vector<uint64_t>{} : found->second;
      const int layer = role_of(tensor).layer;
      const Site site = *std::ranges::find_if(kSites, [&](Site s) { return runner_.model().network->tensor_name(layer, s) == tensor; });
      const std::string key = tensor + (round ? " rounded" : "") + (positions.empty() ? "" : fmt::format(" {}", positions[0]));
      variant.edits.push_back(
          {layer, site, key, [this, tensor, positions, round]() -> Result<WeightChange> {
             ASSAY_ASSIGN(const at::Tensor weight, runner_.model().network->plain_weight(tensor));
             at::Tensor changed = weight.clone();
             const std::span<float> values(changed.mutable_data_ptr<float>(), static_cast<size_t>(changed.numel()));
             for (const uint64_t position : positions) values[position] = 0;
             if (round) ASSAY_TRY(named_grid(config_.grid, threads()).round(tensor, static_cast<uint64_t>(weight.size(1)), {}, values));
             return WeightChange(changed.sub_(weight));
           }});
    }
    return variant;
  }

  Edits edits_of(const std::vector<size_t>& candidates) const {
    Edits edits;
    for (const size_t i : candidates) {
      const RficCandidate& one = result_.candidates[i];
      edits[one.tensor].push_back(one.row * runner_.model().checkpoint->find(one.tensor)->row_length() + one.column);
    }
    for (auto& [tensor, positions] : edits) std::ranges::sort(positions);
    return edits;
  }

  Status gate() {
    const std::vector<size_t> chosen = select_for_gate(result_.candidates, config_.gate_rules, config_.gate_top);
    if (chosen.empty()) {
      result_.notes.push_back("gate: no candidate of its rules has a benefit");
      return {};
    }
    std::vector<NamedVariant> variants = {{"rounded", rounded({}, true)}};
    for (const size_t i : chosen) {
      const Edits one = edits_of({i});
      variants.push_back({"rounded " + name_of(one), rounded(one, true)});
      variants.push_back({"zeroed " + name_of(one), rounded(one, false)});
    }
    MeasureOptions options;
    options.depends_on = "rfic " + named_grid(config_.grid, 0).name;
    const auto windows =
        std::span(runner_.calibration().windows).subspan(0, std::min<size_t>(config_.gate_windows, runner_.calibration().windows.size()));
    ASSAY_ASSIGN(const ObservedVariants seen, measure_variants(runner_.model(), windows, variants, runner_.store(), options, progress_));
    const auto ppl = [](const std::vector<WindowSums>& all) {
      double nll = 0, count = 0;
      for (const WindowSums& window : all) {
        nll += window.nll;
        count += static_cast<double>(window.count);
      }
      return std::exp(nll / count);
    };
    BootstrapOptions seeded;
    seeded.seed = config_.seed;
    result_.gate_baseline_kl = mean_kl(seen[0], config_.seed).value;
    for (size_t c = 0; c < chosen.size(); ++c) {
      RficGate row;
      row.candidate = chosen[c];
      row.kl_improvement = bootstrap_pair(
          seen[0], seen[1 + 2 * c],
          [](const WindowSums& before, const WindowSums& after) { return (before.kl - after.kl) / static_cast<double>(before.count); },
          seeded);
      row.ppl_improvement = ppl(seen[0]) - ppl(seen[1 + 2 * c]);
      row.zero_kl = mean_kl(seen[2 + 2 * c], config_.seed).value;
      result_.gate.push_back(row);
    }
    return {};
  }

  Status check() {
    const ProbeSet& set = runner_.evaluation();
    result_.windows = set.windows.size();
    result_.documents = set.documents;
    result_.tokens_scored = set.tokens_scored;
    if (result_.zeroed.empty()) {
      result_.notes.push_back("full model: no candidate of the rule set has a benefit and less harm than the median; nothing is zeroed");
      return {};
    }
    const Edits zeroed = edits_of(result_.zeroed);
    ASSAY_ASSIGN(const Observation zero_only, runner_.compare("zeroed " + name_of(zeroed), zeroing(zeroed)));
    result_.interval = bootstrap_unit(zero_only.windows());
    for (const bool lite : {true, false}) {
      ASSAY_ASSIGN(const Observation quantized, quantized_model(lite, {}));
      ASSAY_ASSIGN(const Observation after, quantized_model(lite, zeroed));
      RficCheck check;
      check.method = lite ? "AWQ-lite" : "AWQ";
      check.plain = unpaired_ppl(zero_only.windows(), true, config_.seed);
      check.quantized = unpaired_ppl(quantized.windows(), false, config_.seed);
      check.zero_quantized = unpaired_ppl(after.windows(), false, config_.seed);
      check.zero_only = unpaired_ppl(zero_only.windows(), false, config_.seed);
      check.quantized_kl = mean_kl(quantized.windows(), config_.seed);
      check.zero_quantized_kl = mean_kl(after.windows(), config_.seed);
      check.zero_change = nll_difference(after.windows(), quantized.windows(), config_.seed);
      check.plain_change = nll_difference(zero_only.windows(), config_.seed);
      check.source_verdict = source_verdict(check.plain, check.quantized, check.zero_quantized, check.zero_only);
      check.verdict = paired_verdict(check.zero_change, check.plain_change);
      result_.checks.push_back(check);
    }
    return {};
  }

  // Everything quantized after these weights were zeroed; the activations are the unedited model's, as in the source.
  Result<Observation> quantized_model(bool lite, const Edits& zeroed) {
    const NamedRounder grid = named_grid(config_.grid, threads());
    AwqOptions options;
    options.grid = config_.grid;
    options.lite = lite;
    options.clip = !lite;
    const std::vector<FoldGroup> groups = lite ? single_groups(*runner_.model().network) : runner_.groups();
    ASSAY_ASSIGN(const auto weights, edited_checkpoint(runner_.model().checkpoint, zeroing(zeroed), threads()));
    ASSAY_ASSIGN(const AwqResult awq, runner_.search(groups, options, grid, weights.get(), name_of(zeroed)));
    TensorEdits edits = zeroing(zeroed);
    if (lite) {
      append(edits, unfolded_edits(awq, grid.round));
    } else {
      append(edits, folded_edits(awq));
      append(edits, rounding_edits(runner_.matrices(), awq, grid.round));
    }
    return runner_.compare(fmt::format("{} {} {} {}", lite ? "lite" : "whole", grid.name, digest(awq), name_of(zeroed)), edits);
  }

  AwqRunner& runner_;
  RficConfig config_;
  Progress& progress_;
  std::vector<int> layers_;
  RficResult result_;
  StudyRficResult out_;
};

}  // namespace

Result<StudyRficResult> study_rfic(const StudyRficOptions& options, const RunSettings& settings, Progress& progress) {
  RficConfig config = options.config;
  TextInput evaluation = options.text, calibration = options.text;
  if (options.quick) {
    config.gate_top = std::min<uint64_t>(config.gate_top, 2);
    config.gate_windows = 2;
    config.calibration_windows = std::min<uint64_t>(config.calibration_windows, 4);
    config.windows = config.windows == 0 ? 8 : std::min<uint64_t>(config.windows, 8);
  }
  if (evaluation.windows.chunks == 0) evaluation.windows.chunks = config.windows;
  calibration.path = options.calibration;
  calibration.windows.chunks = config.calibration_windows;
  ASSAY_ASSIGN(const auto runner, AwqRunner::open(options.model, calibration, evaluation, settings, progress));
  return RficStudy(*runner, std::move(config), progress).run();
}

}  // namespace assay
