#include "assay/job/study_qpsa.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/job/depth_search.h"
#include "assay/job/qpsa_runner.h"
#include "assay/job/study_criteria.h"
#include "assay/quant/code_move.h"
#include "assay/score/agreement.h"
#include "assay/study/qpsa_analysis.h"

namespace assay {
namespace {

using Only = StudyQpsaOptions::Only;
// A quick study draws kQuickSamples bytes of every matrix, and more in rounds of kQuickRound where a layer's place is not known to within a
// third of the layers, up to kQuickEvaluations changed models in all. Level samples only check the gradient.
constexpr uint64_t kQuickSamples = 8, kQuickRound = 4, kQuickEvaluations = 2600, kQuickLevels = 4;
// Scored positions whose sums are kept apart, for intervals of ratios on one window.
constexpr size_t kSegment = 16;
constexpr uint32_t kRankResamples = 500;
constexpr double kGradientCost = 3;  // one forward and one backward, in forwards

Variant leave_out(const std::vector<int>& layers) {
  Variant variant;
  for (const int layer : layers)
    variant.schedule.push_back({ScheduleEdit::Action::kSkip, layer, layer, ScheduleEdit::Part::kBlock, 1, 1, {}});
  return variant;
}

Variant repeat(int first, int last, int times, double gamma) {
  Variant variant;
  variant.schedule.push_back({ScheduleEdit::Action::kRepeat, first, last, ScheduleEdit::Part::kBlock, times, gamma, {}});
  return variant;
}

class QpsaStudy {
 public:
  QpsaStudy(QpsaRunner& runner, const StudyQpsaOptions& options) : runner_(runner), options_(options), config_(options.config) {}

  Result<StudyQpsaResult> run() {
    ASSAY_ASSIGN(layers_, layers_of(config_.layers, runner_.layers()));
    result_.layers = runner_.layers();
    result_.base_ppl = runner_.base_ppl();
    result_.noise_floor = runner_.noise_floor();
    result_.tokens_scored = runner_.set().tokens_scored;
    result_.samples = samples();
    ASSAY_TRY(register_criteria());
    const auto wants = [&](Only only) { return options_.only == Only::kAll || options_.only == only; };
    // What later stages rank by comes first.
    const bool ranking = wants(Only::kPrune) || wants(Only::kLoop);
    if (wants(Only::kScore) || wants(Only::kConvergence) || ranking) ASSAY_TRY(timed("score", [&] { return score(); }));
    if (wants(Only::kBaseline) || ranking) ASSAY_TRY(timed("baseline", [&] { return baseline(); }));
    for (const auto& [name, ranking_of] : config_.rankings) add_given(name, ranking_of);
    if (wants(Only::kPrune)) ASSAY_TRY(timed("prune", [&] { return prune(); }));
    if (wants(Only::kLoop)) ASSAY_TRY(timed("loop", [&] { return loop(); }));
    if (wants(Only::kConvergence) && !options_.quick) ASSAY_TRY(timed("convergence", [&] { return convergence(); }));
    conclude(result_, config_);
    out_.result = std::move(result_);
    out_.forward_equivalents = runner_.forward_equivalents();
    out_.units = runner_.store().counts();
    return std::move(out_);
  }

 private:
  uint64_t samples() const { return options_.quick ? std::min(kQuickSamples, config_.samples) : config_.samples; }
  bool wanted(const std::string& method) const {
    return config_.methods.empty() || std::find(config_.methods.begin(), config_.methods.end(), method) != config_.methods.end();
  }

  template <class Body>
  Status timed(const char* stage, const Body& body) {
    const auto begin = std::chrono::steady_clock::now();
    ASSAY_TRY(body());
    out_.stage_seconds.emplace_back(stage, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return {};
  }

  Status register_criteria() {
    UnitKey key = runner_.store().key("qpsa criteria").add("windows", fingerprint(runner_.set().windows));
    return assay::register_criteria(runner_.store(), std::move(key), config_.criteria.empty() ? default_criteria() : config_.criteria,
                                    result_);
  }

  QpsaMethod& add_method(std::string name, std::vector<double> scores) {
    QpsaMethod method;
    method.name = std::move(name);
    method.ranking = ranked(scores);
    std::erase_if(method.ranking, [&](int layer) { return std::find(layers_.begin(), layers_.end(), layer) == layers_.end(); });
    method.scores = std::move(scores);
    result_.methods.push_back(std::move(method));
    return result_.methods.back();
  }
  void add_given(const std::string& name, const std::vector<int>& ranking) {
    QpsaMethod method;
    method.name = name;
    method.ranking = ranking;
    result_.methods.push_back(std::move(method));
  }

  void add_sampled(const std::string& name, const std::vector<SampledEffect>& effects, double cost) {
    const std::vector<LayerScore> scores = layer_scores(effects, runner_.layers());
    QpsaMethod& method = add_method(name, values_of(scores));
    for (const LayerScore& one : scores) method.errors.push_back(one.standard_error);
    method.split_half = split_half(effects, runner_.layers());
    method.ranks = rank_intervals(effects, runner_.layers(), 0, kRankResamples, config_.seed);
    method.forward_equivalents = cost;
  }

  Status take(Family::Kind kind, uint64_t first, uint64_t end, const std::vector<int>& layers, QpsaSamples& into) {
    return runner_.sample(kind, {first, end, layers}, config_.tensors, config_.seed, into);
  }

  // More bytes of the layers whose place is least known.
  Status refine_bytes() {
    const auto each = static_cast<uint64_t>(2 * config_.tensors.size());
    const uint64_t least = samples();
    uint64_t evaluations = each * layers_.size() * least, most = least;
    std::vector<int> open;
    while (most + kQuickRound <= config_.samples) {
      const std::vector<RankInterval> ranks = rank_intervals(bytes_.effects, runner_.layers(), 0, kRankResamples, config_.seed);
      open.clear();
      for (const int layer : layers_) {
        const RankInterval& rank = ranks[static_cast<size_t>(layer)];
        if (rank.high - rank.low > static_cast<double>(layers_.size()) / 3) open.push_back(layer);
      }
      const uint64_t cost = each * open.size() * kQuickRound;
      if (open.empty() || evaluations + cost > kQuickEvaluations) break;
      ASSAY_TRY(take(Family::Kind::kBytes, most, most + kQuickRound, open, bytes_));
      evaluations += cost;
      most += kQuickRound;
    }
    if (most > least)
      result_.notes.push_back("qpsa_byte: " + std::to_string(least) + " to " + std::to_string(most) + " samples per matrix, " +
                              group_digits(evaluations) + " runs; the places of " + std::to_string(open.size()) + " of " +
                              std::to_string(layers_.size()) + " layers are not known to within a third of the layers");
    return {};
  }

  Status score() {
    uint64_t drawn = samples();
    if (const bool converging = options_.only == Only::kConvergence || options_.only == Only::kAll; converging && !options_.quick)
      for (const uint64_t size : config_.convergence) drawn = std::max(drawn, size);
    if (config_.byte_mode && wanted("qpsa_byte")) {
      ASSAY_TRY(take(Family::Kind::kBytes, 0, drawn, layers_, bytes_));
      ASSAY_TRY(anatomy());  // as many bytes of every matrix
      if (options_.quick) ASSAY_TRY(refine_bytes());
      const uint64_t counted = options_.quick ? UINT64_MAX : samples();
      const std::vector<SampledEffect> first = first_samples(bytes_.effects, counted);
      const double cost = 2.0 * static_cast<double>(first.size() * runner_.set().windows.size());
      add_sampled("qpsa_byte", first, cost);
      add_sampled("qpsa_byte_capped", first_samples(bytes_.capped, counted), cost);
      for (const SampledEffect& one : first) result_.non_finite += !one.counts;
    }
    if (!config_.level_mode || !wanted("qpsa_level")) return {};
    if (!has_codes()) {
      result_.notes.push_back("qpsa_level and the shortcut need a quantized file: this one has no codes");
      return {};
    }
    ASSAY_TRY(take(Family::Kind::kLevels, 0, options_.quick ? std::min(kQuickLevels, samples()) : drawn, layers_, levels_));
    const std::vector<SampledEffect> first = first_samples(levels_.effects, samples());
    add_sampled("qpsa_level", first, 2.0 * static_cast<double>(first.size() * runner_.set().windows.size()));
    return shortcut();
  }

  bool has_codes() const {
    for (const TensorInfo& tensor : runner_.model().checkpoint->tensors())
      if (tensor.name.starts_with("blk.") && tensor.n_dims == 2 && code_move_kind(tensor.type) == CodeMoveKind::kNone) return false;
    return true;
  }

  Status shortcut() {
    QpsaShortcut shortcut;
    ASSAY_TRY(runner_.predict(levels_, layers_, config_.tensors, shortcut));
    compare_shortcut(levels_.effects, levels_.predicted, levels_.both_sides, runner_.layers(), shortcut);
    shortcut.forward_equivalents = kGradientCost * static_cast<double>(runner_.set().windows.size());
    shortcut.naive_forward_equivalents = 2.0 * static_cast<double>(config_.tensors.size() * layers_.size() * config_.samples) *
                                         static_cast<double>(runner_.set().windows.size());
    QpsaMethod& method = add_method("qpsa_gradient", shortcut.scores);
    method.forward_equivalents = shortcut.forward_equivalents;
    result_.shortcut = std::move(shortcut);
    return {};
  }

  // The byte score by region of the block.
  Status anatomy() {
    std::vector<RegionSample> all;
    for (size_t i = 0; i < bytes_.effects.size(); ++i) {
      const SampledEffect& one = bytes_.effects[i];
      const TensorInfo* tensor = runner_.model().checkpoint->find(one.tensor);
      const GgmlTypeInfo& type = *find_type(tensor->type);
      RegionSample sample{std::string(type.name), "bytes", one.effect, one.counts, bytes_.weights_changed[i]};
      for (const ByteRegion& region : byte_regions(tensor->type))
        if (region.holds(bytes_.places[i] % type.block_bytes)) sample.region = region.name;
      all.push_back(std::move(sample));
    }
    result_.regions = regions_of(all);
    return {};
  }

  Status baseline() {
    std::vector<Variant> variants;
    for (const int layer : layers_) variants.push_back(leave_out({layer}));
    ASSAY_ASSIGN(const std::vector<VariantEffect> effects, runner_.measure(variants));
    std::vector<double> ablation(static_cast<size_t>(runner_.layers()), -INFINITY);
    for (size_t i = 0; i < layers_.size(); ++i) ablation[static_cast<size_t>(layers_[i])] = effects[i].nll_difference;
    add_method("layer_ablation", ablation).forward_equivalents = static_cast<double>(layers_.size() * runner_.set().windows.size());
    return weight_norms();
  }

  Status weight_norms() {
    std::vector<double> frobenius, mean_absolute, root_mean_square;
    for (int layer = 0; layer < runner_.layers(); ++layer) {
      CompensatedSum squares, absolutes;
      double count = 0;
      for (const std::string& role : config_.tensors) {
        const std::string name = "blk." + std::to_string(layer) + "." + role + ".weight";
        if (runner_.model().checkpoint->find(name) == nullptr) continue;
        ASSAY_ASSIGN(const at::Tensor weight, runner_.model().network->plain_weight(name));
        squares.add(weight.to(at::kDouble).square().sum().item<double>());
        absolutes.add(weight.to(at::kDouble).abs().sum().item<double>());
        count += static_cast<double>(weight.numel());
      }
      frobenius.push_back(std::sqrt(squares.value()));
      mean_absolute.push_back(count > 0 ? absolutes.value() / count : 0);
      root_mean_square.push_back(count > 0 ? std::sqrt(squares.value() / count) : 0);
    }
    add_method("weight_norm", frobenius);
    add_method("weight_mean_absolute", mean_absolute);
    add_method("weight_root_mean_square", root_mean_square);
    return {};
  }

  Status prune() {
    std::vector<Variant> variants;
    std::vector<QpsaPruning> rows;
    const auto add = [&](const std::string& method, std::vector<int> out) {
      variants.push_back(leave_out(out));
      rows.push_back({method, static_cast<int>(out.size()), 1, {}, std::move(out), {}});
    };
    const auto fits = [&](int k) { return k < static_cast<int>(layers_.size()); };
    for (const int k : config_.k) {
      if (!fits(k)) continue;
      for (const QpsaMethod& method : result_.methods) {
        if (static_cast<int>(method.ranking.size()) < k) continue;
        add(method.name, {method.ranking.end() - k, method.ranking.end()});
      }
      for (int draw = 0; draw < config_.random_draws; ++draw) add("random", random_layers(k, draw));
    }
    const size_t given = rows.size();
    for (size_t a = 0; a < layers_.size() && fits(2); ++a)
      for (size_t b = a + 1; b < layers_.size(); ++b) add("every pair", {layers_[a], layers_[b]});
    ASSAY_ASSIGN(std::vector<VariantEffect> effects, runner_.measure(variants, kSegment));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].ppl_ratio = std::exp(effects[i].nll_difference);
      rows[i].segments = std::move(effects[i].segments);
    }
    result_.statistics = pruning_statistics(std::span(rows).first(given), config_.seed);
    result_.pruning = summarize_pruning(std::span(rows).first(given));
    if (given < rows.size()) {
      QpsaPruning best = *std::min_element(rows.begin() + static_cast<ptrdiff_t>(given), rows.end(),
                                           [](const QpsaPruning& a, const QpsaPruning& b) { return a.ppl_ratio < b.ppl_ratio; });
      best.method = "optimum";
      result_.pruning.push_back(best);
    }
    return search_depth();
  }

  std::vector<int> random_layers(int k, int draw) const {
    std::vector<int> pool = layers_;
    CounterRandom random(config_.seed, 0x7072756e65, static_cast<uint64_t>(draw));
    draw_to_front(random, static_cast<size_t>(k), pool);
    pool.resize(static_cast<size_t>(k));
    std::sort(pool.begin(), pool.end());
    return pool;
  }

  // K = 1 exhaustively, greedy backward elimination, and the evolutionary search over half-blocks.
  Status search_depth() {
    const int most = *std::max_element(config_.k.begin(), config_.k.end());
    std::vector<int> out;
    for (int k = 1; k <= most && k < static_cast<int>(layers_.size()); ++k) {
      std::vector<Variant> variants;
      std::vector<int> candidates;
      for (const int layer : layers_) {
        if (std::find(out.begin(), out.end(), layer) != out.end()) continue;
        std::vector<int> more = out;
        more.push_back(layer);
        variants.push_back(leave_out(more));
        candidates.push_back(layer);
      }
      ASSAY_ASSIGN(const std::vector<VariantEffect> effects, runner_.measure(variants));
      const auto best = std::min_element(effects.begin(), effects.end(), [](const VariantEffect& a, const VariantEffect& b) {
        return a.nll_difference < b.nll_difference;
      });
      out.push_back(candidates[static_cast<size_t>(best - effects.begin())]);
      const double ratio = std::exp(best->nll_difference);
      if (k == 1) result_.pruning.push_back({"optimum", 1, ratio, {}, out, {}});
      if (std::find(config_.k.begin(), config_.k.end(), k) != config_.k.end()) result_.pruning.push_back({"greedy", k, ratio, {}, out, {}});
    }
    if (options_.quick) return {};
    for (const int k : config_.k) {
      if (k >= static_cast<int>(layers_.size())) continue;
      ASSAY_ASSIGN(const DepthSearchResult found, search_half_blocks(runner_, layers_, k, config_.seed));
      result_.pruning.push_back({"evolutionary, half-blocks", k, std::exp(found.nll_difference), {}, {}, {}});
    }
    return {};
  }

  Status loop() {
    std::vector<Variant> variants;
    std::vector<QpsaLoop> rows;
    std::vector<double> gammas = config_.gammas;
    gammas.push_back(1.0 / config_.times);
    std::sort(gammas.begin(), gammas.end());
    gammas.erase(std::unique(gammas.begin(), gammas.end()), gammas.end());
    const auto add = [&](int first, int last, double gamma) {
      variants.push_back(repeat(first, last, config_.times, gamma));
      rows.push_back({"repeat", first, last, config_.times, gamma, 0, {}});
    };
    for (const double gamma : gammas) {
      for (const int layer : layers_) add(layer, layer, gamma);
      for (const int width : {2, 4})
        for (int first = layers_.front(); first + width - 1 <= layers_.back(); first += width) add(first, first + width - 1, gamma);
    }
    if (const QpsaMethod* method = find_method(result_, "qpsa_byte"); method != nullptr)
      for (const int k : config_.k) {
        if (2 * k > static_cast<int>(method->ranking.size())) continue;
        variants.push_back(replaced(method->ranking, k));
        rows.push_back({"replace", 0, 0, k, 1, 0, {}});
      }
    ASSAY_ASSIGN(std::vector<VariantEffect> effects, runner_.measure(variants, kSegment));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].nll_difference = effects[i].nll_difference;
      rows[i].segments = std::move(effects[i].segments);
    }
    result_.loops = std::move(rows);
    return {};
  }

  // The published experiment: the weights of the top k layers in the places of the bottom k.
  Variant replaced(const std::vector<int>& ranking, int k) const {
    std::vector<int> order(static_cast<size_t>(runner_.layers()));
    std::iota(order.begin(), order.end(), 0);
    for (int i = 0; i < k; ++i)
      order[static_cast<size_t>(ranking[ranking.size() - 1 - static_cast<size_t>(i)])] = ranking[static_cast<size_t>(i)];
    Variant variant;
    variant.schedule.push_back({ScheduleEdit::Action::kOrder, 0, 0, ScheduleEdit::Part::kBlock, 1, 1, order});
    return variant;
  }

  Status convergence() {
    if (config_.convergence.empty()) return {};
    std::vector<uint64_t> sizes = config_.convergence;
    std::sort(sizes.begin(), sizes.end());
    for (const auto& [name, effects] : {std::pair{"qpsa_byte", &bytes_.effects}, std::pair{"qpsa_level", &levels_.effects}})
      if (!effects->empty())
        for (QpsaConvergence& row : convergence_of(name, *effects, runner_.layers(), sizes)) result_.convergence.push_back(std::move(row));
    return {};
  }

  QpsaRunner& runner_;
  const StudyQpsaOptions& options_;
  const QpsaConfig& config_;
  std::vector<int> layers_;
  QpsaSamples bytes_, levels_;
  QpsaResult result_;
  StudyQpsaResult out_;
};

}  // namespace

Result<StudyQpsaResult> study_qpsa(const StudyQpsaOptions& options, const RunSettings& settings, Progress& progress) {
  ASSAY_ASSIGN(const std::unique_ptr<QpsaRunner> runner, QpsaRunner::open(options.model, options.text, settings, progress));
  return QpsaStudy(*runner, options).run();
}

}  // namespace assay
