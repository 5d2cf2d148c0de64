#include "assay/job/attention_runner.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "assay/base/text.h"
#include "assay/probe/collect_attention.h"

namespace assay {
namespace {

constexpr size_t kWindowsPerUnit = 8;

std::string text_of(const std::vector<int>& layers) {
  std::string text;
  for (const int layer : layers) text += std::to_string(layer) + ",";
  return text;
}

Result<std::vector<Window>> windows_of(const std::string& path, const StudyAttentionOptions& options, const OpenModel& model) {
  TextInput text = options.text;
  text.path = path;
  text.windows.ctx = options.config.ctx;
  text.windows.rule = options.config.window;
  text.windows.chunks = 0;
  ASSAY_ASSIGN(ProbeSet set, open_windows(text, model));
  return std::move(set.windows);
}

// `count` windows behind the evaluated ones, of other documents where there are enough.
std::vector<Window> disjoint(const std::vector<Window>& all, size_t evaluated, size_t count) {
  std::set<uint32_t> documents;
  for (size_t w = 0; w < evaluated; ++w) documents.insert(all[w].document);
  std::vector<Window> other, any;
  for (size_t w = evaluated; w < all.size(); ++w) {
    any.push_back(all[w]);
    if (!documents.contains(all[w].document)) other.push_back(all[w]);
  }
  std::vector<Window> chosen = other.size() >= count ? std::move(other) : std::move(any);
  chosen.resize(std::min(chosen.size(), count));
  return chosen;
}

HeadRule rule_of(const AttentionMode& mode) {
  if (mode.rule == "top-1") return {HeadRule::Kind::kTop1};
  if (mode.rule == "top-k") return {HeadRule::Kind::kTopK, mode.k};
  if (mode.rule == "low-rank") return {HeadRule::Kind::kLowRank, mode.k};
  return {};
}

}  // namespace

Result<std::unique_ptr<AttentionRunner>> AttentionRunner::open(const StudyAttentionOptions& options, const RunSettings& settings,
                                                               Progress& progress) {
  const AttentionConfig& config = options.config;
  apply_settings(settings);
  std::unique_ptr<AttentionRunner> runner(new AttentionRunner);
  runner->config_ = config;
  runner->settings_ = settings;
  runner->progress_ = &progress;
  ASSAY_ASSIGN(runner->model_, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(std::vector<Window> all, windows_of(options.text.path, options, runner->model_));
  const auto too_short = [&](const std::string& path, size_t found, uint64_t needed, const char* why) {
    return fail(ErrorCode::kBadInput, {path, "has " + std::to_string(found) + " windows of " + std::to_string(config.ctx) + " tokens",
                                       std::to_string(needed) + why, "fewer windows, a smaller --ctx, or --basis-text"});
  };
  runner->source_ = options.basis_text.empty() ? config.basis_from : BasisSource::kText;
  const size_t count = std::min<size_t>(all.size(), config.windows);
  switch (runner->source_) {
    case BasisSource::kText: {
      ASSAY_ASSIGN(runner->basis_, windows_of(options.basis_text, options, runner->model_));
      if (runner->basis_.size() < config.basis_windows)
        return too_short(options.basis_text, runner->basis_.size(), config.basis_windows, " for the bases are needed");
      runner->basis_.resize(config.basis_windows);
      break;
    }
    case BasisSource::kEvaluation:
      if (count < config.basis_windows) return too_short(options.text.path, count, config.basis_windows, " for the bases are needed");
      runner->basis_.assign(all.begin(), all.begin() + static_cast<ptrdiff_t>(config.basis_windows));
      break;
    case BasisSource::kDisjoint:
      if (all.size() < config.windows + config.basis_windows)
        return too_short(options.text.path, all.size(), config.windows + config.basis_windows,
                         " are needed, those of the bases beside the evaluated ones");
      runner->basis_ = disjoint(all, count, config.basis_windows);
      break;
  }
  all.resize(count);
  runner->evaluated_ = std::move(all);
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, runner->model_, progress));
  runner->store_ = std::make_unique<UnitStore>(std::move(store));
  return runner;
}

Result<double> AttentionRunner::noise_floor() { return assay::noise_floor(*store_, model_, evaluated_, settings_); }

Result<AttentionSums> AttentionRunner::collect(const std::vector<Window>& windows, const std::vector<int>& layers, bool diagnostics,
                                               const char* stage) {
  AttentionSums sums;
  progress_->stage(stage, windows.size());
  store_->plan((windows.size() + kWindowsPerUnit - 1) / kWindowsPerUnit);
  UninterruptedProgress unit_progress(*progress_);
  for (size_t begin = 0; begin < windows.size(); begin += kWindowsPerUnit) {
    const auto some = std::span(windows).subspan(begin, std::min(kWindowsPerUnit, windows.size() - begin));
    UnitKey key = store_->key("attention sums");
    key.add("windows", fingerprint(some)).add("layers", text_of(layers)).add("diagnostics", diagnostics ? 1 : 0);
    key.add("noise", config_.noise).add("seed of noise", config_.seed).add("first", begin);
    const auto units = store_->units(std::move(key));
    ASSAY_ASSIGN(const std::string payload, find_or_make(*units, "sums", [&]() -> Result<std::string> {
                   const AttentionRequest request{layers, diagnostics, config_.noise, config_.seed, begin};
                   ASSAY_ASSIGN(const AttentionSums made, collect_attention(*model_.network, some, request, unit_progress));
                   return to_payload(made);
                 }));
    ASSAY_ASSIGN(const AttentionSums read, attention_sums_from_payload(payload));
    if (read.layers != hyper().layers || read.heads != hyper().heads)
      return fail(ErrorCode::kBadInput, "store: a finished unit has another number of heads");
    sums.add(read);
    progress_->update(begin + some.size());
  }
  ASSAY_TRY(store_->flush());
  return sums;
}

Status AttentionRunner::collect(const std::vector<int>& layers) {
  ASSAY_ASSIGN(fitted_, collect(basis_, layers, false, "moments"));
  std::vector<Window> first = evaluated_;
  first.resize(std::min<size_t>(first.size(), config_.diagnostic_windows));
  ASSAY_ASSIGN(seen_, collect(first, layers, true, "diagnostics"));
  return {};
}

Result<double> AttentionRunner::forward_seconds() const {
  const ResolvedVariant nothing;
  const auto begin = std::chrono::steady_clock::now();
  SweepOptions sweep;
  sweep.memory = tile_memory(settings_);
  sweep.allow_non_finite = true;
  ASSAY_TRY(run_sweep(*model_.network, std::span(evaluated_).first(1), std::span(&nothing, 1), sweep, [](auto...) {}));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double AttentionRunner::forward_equivalents(const AttentionMode& mode) const {
  ResolvedVariant variant;
  for (const int layer : mode.layers) variant.attention.push_back({layer, "", nullptr});
  return assay::forward_equivalents(*model_.network, evaluated_[0], variant);
}

std::shared_ptr<const std::vector<float>> AttentionRunner::basis(BasisKind kind, int draw, int layer, int head) {
  auto& rows = bases_[std::string(name_of(kind)) + ' ' + std::to_string(draw) + ' ' + std::to_string(layer) + ' ' + std::to_string(head)];
  if (!rows) rows = basis_of(kind, fitted_.moments.at(layer), layer, head, config_.seed, draw).rows;
  return rows;
}

std::string AttentionRunner::change_of(const AttentionMode& mode) const {
  std::string text = "attention " + mode.rule + ' ' + std::to_string(mode.k) + ' ' + mode.basis + ' ' + std::to_string(mode.draw) +
                     " head " + std::to_string(mode.head) + " layers " + text_of(mode.layers);
  if (mode.rule == "low-rank") text += " seed " + std::to_string(config_.seed) + " of " + fingerprint(basis_);
  return text;
}

ResolvedVariant AttentionRunner::resolved(const AttentionMode& mode) {
  ResolvedVariant variant;
  for (const int layer : mode.layers) {
    const std::string key =
        mode.rule + ' ' + std::to_string(mode.k) + ' ' + mode.basis + ' ' + std::to_string(mode.draw) + ' ' + std::to_string(mode.head);
    auto& rules = rules_[key + " at " + std::to_string(layer)];
    if (!rules) {
      AttentionRules made(static_cast<size_t>(hyper().heads));
      for (int head = 0; head < hyper().heads; ++head) {
        if (mode.head >= 0 && mode.head != head) continue;
        HeadRule rule = rule_of(mode);
        if (rule.kind == HeadRule::Kind::kLowRank) rule.basis = basis(*basis_kind(mode.basis), mode.draw, layer, head);
        made[static_cast<size_t>(head)] = std::move(rule);
      }
      rules = std::make_shared<const AttentionRules>(std::move(made));
    }
    variant.attention.push_back({layer, key, rules});
  }
  return variant;
}

Result<ObservedVariants> AttentionRunner::measure(const std::vector<AttentionMode>& modes) {
  std::vector<NamedVariant> named;
  std::map<std::string, size_t> places;
  for (const AttentionMode& mode : modes) {
    std::string name = change_of(mode);
    if (!places.try_emplace(name, named.size()).second) continue;
    named.push_back({std::move(name), resolved(mode)});
  }
  MeasureOptions options;
  options.sweep.memory = tile_memory(settings_);
  options.sweep.allow_non_finite = true;
  ASSAY_ASSIGN(const ObservedVariants observed, measure_variants(model_, evaluated_, named, *store_, options, *progress_));
  ASSAY_TRY(store_->flush());
  ObservedVariants by_mode;
  for (const AttentionMode& mode : modes) by_mode.push_back(observed[places.at(change_of(mode))]);
  return by_mode;
}

}  // namespace assay
