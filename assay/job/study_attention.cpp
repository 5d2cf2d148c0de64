#include "assay/job/study_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "assay/base/text.h"
#include "assay/job/attention_runner.h"
#include "assay/job/study_criteria.h"
#include "assay/probe/statistics.h"
#include "assay/study/attention_analysis.h"

namespace assay {
namespace {

class AttentionStudy {
 public:
  AttentionStudy(AttentionRunner& runner, AttentionConfig config, Progress& progress)
      : runner_(runner), config_(std::move(config)), progress_(progress) {}

  Result<StudyAttentionResult> run() {
    ASSAY_TRY(decide());
    list_modes();
    ASSAY_TRY(tell_plan());
    ASSAY_TRY(register_criteria());
    ASSAY_ASSIGN(result_.noise_floor, runner_.noise_floor());
    ASSAY_TRY(timed("collect", [&] { return runner_.collect(result_.chosen); }));
    describe_heads();
    ASSAY_TRY(timed("measure", [&] { return measure(); }));
    fill_rows();
    conclude(result_, config_);
    StudyAttentionResult out;
    out.result = std::move(result_);
    out.stage_seconds = std::move(stage_seconds_);
    out.units = runner_.store().counts();
    return out;
  }

 private:
  template <class Body>
  Status timed(const char* stage, const Body& body) {
    const auto begin = std::chrono::steady_clock::now();
    ASSAY_TRY(body());
    stage_seconds_.emplace_back(stage, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return {};
  }

  bool wants(LayerSets sets) const { return std::find(config_.sets.begin(), config_.sets.end(), sets) != config_.sets.end(); }

  Status decide() {
    const Hyper& hyper = runner_.hyper();
    result_.layers = hyper.layers;
    result_.heads = hyper.heads;
    result_.kv_heads = hyper.kv_heads;
    result_.head_dim = hyper.head_dim;
    if (config_.layers.empty()) config_.layers = {{hyper.layers - std::max(1, hyper.layers / 4), hyper.layers - 1}};
    ASSAY_ASSIGN(result_.chosen, assay::layers_of(config_.layers, hyper.layers));
    ASSAY_ASSIGN(ranks_, ranks_of(config_, hyper.head_dim));
    result_.verdict.compared_rank = compare_rank_of(config_, ranks_, hyper.head_dim);
    if (std::find(ranks_.begin(), ranks_.end(), result_.verdict.compared_rank) == ranks_.end())
      return fail(ErrorCode::kUsage,
                  {"compare_rank " + std::to_string(result_.verdict.compared_rank), "is none of the ranks", "one of them", ""});
    result_.windows = runner_.windows().size();
    result_.basis_windows = runner_.basis_windows().size();
    result_.diagnostic_windows = std::min<uint64_t>(result_.windows, config_.diagnostic_windows);
    result_.basis_from = name_of(runner_.basis_source());
    std::vector<WindowSums> extent(result_.windows);
    for (size_t w = 0; w < extent.size(); ++w) {
      extent[w].document = runner_.windows()[w].document;
      extent[w].count = runner_.windows()[w].scored();
    }
    result_.interval = bootstrap_unit(extent);
    result_.documents = extent_of(extent).documents;
    result_.tokens_scored = extent_of(extent).tokens;
    note();
    return {};
  }

  void note() {
    if (result_.windows < config_.windows)
      result_.notes.push_back(fmt::format("the text has {} windows, {} were asked for", result_.windows, config_.windows));
    if (runner_.basis_source() == BasisSource::kEvaluation)
      result_.notes.push_back(
          fmt::format("leaky: the bases are made from the first {} of the evaluated windows, as in the source", result_.basis_windows));
    if (runner_.basis_source() == BasisSource::kDisjoint && shares_documents())
      result_.notes.emplace_back("the bases' windows are of documents that are evaluated too: the text has too few documents");
    if (ranks_.back() == result_.head_dim)
      result_.notes.push_back(fmt::format("rank {} is the head size: exact whatever the basis, and no part of the verdict", ranks_.back()));
    if (wants(LayerSets::kSubsets) && result_.chosen.size() > kMostSubsetLayers)
      result_.notes.push_back(fmt::format("subsets are left out: {} layers, at most {}", result_.chosen.size(), kMostSubsetLayers));
  }

  bool shares_documents() const {
    for (const Window& basis : runner_.basis_windows())
      for (const Window& window : runner_.windows())
        if (basis.document == window.document) return true;
    return false;
  }

  void add(std::string rule, int k, LayerSets set, std::vector<int> layers, std::string basis = "", int draw = 0, int head = -1) {
    modes_.push_back({std::move(rule), k, std::move(basis), draw, std::string(name_of(set)), std::move(layers), head});
  }
  void add_top(LayerSets set, const std::vector<int>& layers, bool top_k) {
    add("top-1", 0, set, layers);
    if (!top_k) return;
    for (const int k : config_.top_k) add("top-k", k, set, layers);
  }

  void list_modes() {
    using enum LayerSets;
    // Recovery is against these, whatever else is asked for.
    add("full", 0, kTogether, result_.chosen);
    add_top(kTogether, result_.chosen, true);
    for (const BasisKind kind : config_.bases)
      for (int draw = 0; draw < (kind == BasisKind::kRandom ? config_.random_draws : 1); ++draw)
        for (const int rank : ranks_) add("low-rank", rank, kTogether, result_.chosen, std::string(name_of(kind)), draw);
    if (wants(kAlone)) {
      for (int layer = 0; layer < result_.layers; ++layer) add_top(kAlone, {layer}, false);
      for (const int layer : result_.chosen)
        for (const int rank : ranks_) add("low-rank", rank, kAlone, {layer}, "residual");
    }
    if (wants(kSuffixes))
      for (int first = result_.layers - 1; first >= 0; --first) {
        std::vector<int> layers(static_cast<size_t>(result_.layers - first));
        std::iota(layers.begin(), layers.end(), first);
        add_top(kSuffixes, layers, true);
      }
    if (wants(kSubsets) && result_.chosen.size() <= kMostSubsetLayers)
      for (unsigned members = 1; members < (1u << result_.chosen.size()); ++members) {
        std::vector<int> layers;
        for (size_t i = 0; i < result_.chosen.size(); ++i)
          if ((members >> i & 1u) != 0) layers.push_back(result_.chosen[i]);
        add_top(kSubsets, layers, false);
      }
    if (wants(kHeads))
      for (int layer = 0; layer < result_.layers; ++layer)
        for (int head = 0; head < result_.heads; ++head) add("top-1", 0, kHeads, {layer}, "", 0, head);
  }

  // What is ahead, before the first unit.
  Status tell_plan() {
    double forwards = 1;
    for (const AttentionMode& mode : modes_) forwards += runner_.forward_equivalents(mode);
    result_.forward_equivalents = forwards * static_cast<double>(result_.windows);
    ASSAY_ASSIGN(const double seconds, runner_.forward_seconds());
    // A window that is looked at costs about two forwards: diagnostics pass twice over the keys.
    const double all = result_.forward_equivalents + 2 * static_cast<double>(result_.basis_windows + result_.diagnostic_windows);
    progress_.log(
        fmt::format("plan: {} modes on {} windows ({} tokens scored), bases from {} windows ({}): {:.0f} forwards of a window, "
                    "about {:.0f} s unless found in the store",
                    modes_.size(), result_.windows, group_digits(result_.tokens_scored), result_.basis_windows, result_.basis_from, all,
                    std::max(1.0, all * seconds)));
    return {};
  }

  Status register_criteria() {
    std::string layers;
    for (const int layer : result_.chosen) layers += std::to_string(layer) + ",";
    UnitKey key = runner_.store().key("attention criteria");
    key.add("windows", fingerprint(runner_.windows())).add("layers", layers).add("basis", fingerprint(runner_.basis_windows()));
    return assay::register_criteria(runner_.store(), std::move(key),
                                    config_.criteria.empty() ? default_attention_criteria() : config_.criteria, result_);
  }

  void describe_heads() {
    result_.heads_map = heads_of(runner_.seen());
    result_.layers_map = assay::layers_of(result_.heads_map);
    for (const int layer : result_.chosen)
      for (int head = 0; head < result_.heads; ++head) {
        const HeadBasis own = basis_of(BasisKind::kResidual, runner_.fitted().moments.at(layer), layer, head, config_.seed);
        result_.spectra.push_back(spectrum_of(layer, head, own.energy));
      }
  }

  Status measure() {
    ASSAY_ASSIGN(observed_, runner_.measure(modes_));
    return {};
  }

  std::span<const WindowSums> windows_of(size_t mode) const { return observed_[mode]; }

  // The first mode like `like` with these; modes_.size(): none.
  size_t find(const std::string& rule, int k, const std::string& set, const std::vector<int>& layers, const std::string& basis = "",
              int draw = 0) const {
    const auto found = std::find_if(modes_.begin(), modes_.end(), [&](const AttentionMode& mode) {
      return mode.rule == rule && mode.k == k && mode.set == set && mode.layers == layers && mode.basis == basis && mode.draw == draw;
    });
    return static_cast<size_t>(found - modes_.begin());
  }

  double kept(const AttentionMode& mode, const AttentionSums& sums) {
    const BasisKind kind = *basis_kind(mode.basis);
    double sum = 0;
    size_t count = 0;
    for (const int layer : mode.layers)
      for (int head = 0; head < result_.heads; ++head, ++count)
        sum += retained_share(sums.moments.at(layer).residual[static_cast<size_t>(head)], *runner_.basis(kind, mode.draw, layer, head),
                              mode.k);
    return sum / static_cast<double>(count);
  }

  void fill_rows() {
    // The unedited model on the same windows.
    std::vector<WindowSums> base(observed_[0].begin(), observed_[0].end());
    WindowTotals totals;
    for (WindowSums& window : base) {
      totals.add(window);
      window.nll = window.nll_base;
    }
    result_.base_ppl = std::exp(totals.value().nll_base / static_cast<double>(totals.value().count));
    progress_.stage("intervals", modes_.size());
    for (size_t m = 0; m < modes_.size(); ++m) {
      AttentionRow row;
      row.mode = modes_[m];
      const auto own = windows_of(m);
      row.loss = mean_loss(own, config_.seed);
      row.ppl_change = perplexity_change(own, config_.seed);
      row.ppl = result_.base_ppl + row.ppl_change.value;
      row.kl = mean_kl(own, config_.seed);
      WindowTotals sums;
      for (const WindowSums& window : own) sums.add(window);
      row.flip_rate = static_cast<double>(sums.value().flips) / static_cast<double>(sums.value().count);
      compare(m, base, row);
      if (row.mode.rule == "low-rank") {
        row.kept_fitted = kept(row.mode, runner_.fitted());
        row.kept = kept(row.mode, runner_.seen());
      }
      result_.rows.push_back(std::move(row));
      progress_.update(m + 1);
    }
  }

  // Recovery against top-1 and full of the same layers; the residual's lead over another basis at the same rank.
  void compare(size_t m, const std::vector<WindowSums>& base, AttentionRow& row) const {
    const AttentionMode& mode = row.mode;
    if (mode.rule != "low-rank" && mode.rule != "top-k") return;
    const size_t top1 = find("top-1", 0, mode.set, mode.layers);
    if (top1 == modes_.size()) return;
    const size_t full = find("full", 0, mode.set, mode.layers);
    const std::span<const WindowSums> whole = full == modes_.size() ? std::span<const WindowSums>(base) : windows_of(full);
    row.recovery = recovery_of(windows_of(top1), whole, windows_of(m), config_.seed);
    if (mode.rule != "low-rank" || mode.set != "together" || mode.basis == "residual" || mode.draw != 0) return;
    const size_t residual = find("low-rank", mode.k, mode.set, mode.layers, "residual");
    if (residual == modes_.size()) return;
    std::vector<WindowsOf> controls;
    for (int draw = 0; draw < config_.random_draws; ++draw)
      if (const size_t at = find("low-rank", mode.k, mode.set, mode.layers, mode.basis, draw); at != modes_.size())
        controls.push_back(windows_of(at));
    row.lead = lead_of(windows_of(top1), whole, windows_of(residual), controls, config_.seed);
  }

  AttentionRunner& runner_;
  AttentionConfig config_;
  Progress& progress_;
  std::vector<int> ranks_;
  std::vector<AttentionMode> modes_;
  ObservedVariants observed_;
  AttentionResult result_;
  std::vector<std::pair<std::string, double>> stage_seconds_;
};

}  // namespace

Result<StudyAttentionResult> study_attention(const StudyAttentionOptions& options, const RunSettings& settings, Progress& progress) {
  if (options.text.windows.max_tokens > 0)
    return fail(ErrorCode::kUsage, {"--max-tokens", "makes one window", "the study needs several: --ctx and --chunks", ""});
  ASSAY_ASSIGN(const std::unique_ptr<AttentionRunner> runner, AttentionRunner::open(options, settings, progress));
  return AttentionStudy(*runner, options.config, progress).run();
}

}  // namespace assay
