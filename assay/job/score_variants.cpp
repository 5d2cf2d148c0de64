#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "assay/base/sum.h"
#include "assay/job/measure_variants.h"
#include "assay/job/score_stages.h"
#include "assay/probe/resolve_variant.h"
#include "assay/probe/statistics.h"
#include "assay/score/variant_score.h"

namespace assay {
namespace {

constexpr size_t kEmpty = static_cast<size_t>(-1);  // a variant that changes nothing: not run

// Variants of several scores, each once.
class VariantStage {
 public:
  explicit VariantStage(ScoreRun& run)
      : run_(run), shape_(run.model.network->hyper(), run.model.checkpoint->tensors()), resolver_(run.model.network, *run.encoded) {}

  Status measure(const std::vector<Running<VariantScore>>& scores) {
    const VariantPlan plan{shape_, run_.layers, [this](const std::string& tensor) { return run_.types_of(tensor); }, run_.options.types,
                           run_.settings.seed};
    for (const auto& one : scores) ASSAY_TRY(add(one, plan));
    if (wanted_.empty()) return {};
    MeasureOptions how;
    how.sweep.memory = tile_memory(run_.settings);
    how.sweep.allow_non_finite = true;
    how.depends_on = run_.given_imatrix ? fingerprint(*run_.given_imatrix) : "";
    double seconds = 0;
    ObservedVariants observed;
    {
      const Stopwatch watch(seconds);
      ASSAY_ASSIGN(observed, measure_variants(run_.model, run_.set.windows, variants_, *run_.store, how, run_.progress));
    }
    for (const Wanted& wanted : wanted_) {
      ScoreTable& table = run_.table(wanted.place);
      std::vector<MeasuredEffect> effects;
      for (const size_t v : wanted.variants) effects.push_back(v == kEmpty ? nothing() : effect_of(observed[v]));
      table.rows = wanted.score->rows(plan, effects, table.notes);
      if (!wanted.score->leaves_out_broken() && !std::ranges::all_of(effects, &MeasuredEffect::finite))
        table.notes.emplace_back("some changed models give logits that are not finite: such positions count as a uniform prediction");
      // Of the sweep by its share of the work.
      table.forward_equivalents = wanted.forwards;
      table.seconds = all_forwards_ > 0 ? seconds * wanted.forwards / all_forwards_ : 0;
    }
    return {};
  }

 private:
  struct Wanted {
    const VariantScore* score;
    size_t place;
    std::vector<size_t> variants;  // of variants_, or kEmpty
    double forwards = 0;           // of a window, of those variants whoever else wants them
  };

  Status add(const Running<VariantScore>& one, const VariantPlan& plan) {
    Wanted wanted{one.score, one.place, {}, 0};
    ASSAY_ASSIGN(const std::vector<Variant> list, one.score->variants(plan));
    double fresh = 0;  // forwards that no score before asks for
    std::map<std::string, size_t> places = places_;
    std::vector<NamedVariant> made;
    for (const Variant& variant : list) {
      ASSAY_TRY(check(variant, shape_));
      const std::string hash = hash_of(variant);
      const auto [found, is_new] = places.emplace(hash, variants_.size() + made.size());
      if (is_new) {
        ASSAY_ASSIGN(ResolvedVariant resolved, resolver_.resolve(variant));
        if (const auto few = moved_weights(variant, resolved); few && few->empty()) {
          found->second = kEmpty;
        } else {
          made.push_back({hash, std::move(resolved)});
        }
      }
      if (found->second == kEmpty) {
        wanted.variants.push_back(kEmpty);
        continue;
      }
      const ResolvedVariant& resolved =
          found->second < variants_.size() ? variants_[found->second].variant : made[found->second - variants_.size()].variant;
      const double forwards = forward_equivalents(*run_.model.network, run_.set.windows[0], resolved) * run_.passes();
      if (is_new) fresh += forwards;
      wanted.forwards += forwards;
      wanted.variants.push_back(found->second);
    }
    if (!run_.spend(fresh, one.place)) return {};
    places_ = std::move(places);
    for (NamedVariant& variant : made) variants_.push_back(std::move(variant));
    all_forwards_ += wanted.forwards;
    wanted_.push_back(std::move(wanted));
    return {};
  }

  static MeasuredEffect nothing() {
    MeasuredEffect effect;
    effect.empty = true;
    return effect;
  }

  static MeasuredEffect effect_of(const std::vector<WindowSums>& windows) {
    WindowTotals total;
    MeasuredEffect effect;
    for (const WindowSums& window : windows) {
      total.add(window);
      effect.kls.push_back(window.kl / static_cast<double>(window.count));
    }
    const WindowSums& sums = total.value();
    const auto count = static_cast<double>(sums.count);
    effect.kl = sums.kl / count;
    effect.standard_error = error_over_windows(effect.kls);
    effect.nll_change = sums.nll_difference / count;
    const double base = std::exp(sums.nll_base / count);
    effect.ppl_change = base * std::expm1(effect.nll_change);
    effect.finite = sums.non_finite == 0;
    return effect;
  }

  ScoreRun& run_;
  ModelShape shape_;
  VariantResolver resolver_;
  std::map<std::string, size_t> places_;  // by hash
  std::vector<NamedVariant> variants_;
  std::vector<Wanted> wanted_;
  double all_forwards_ = 0;
};

}  // namespace

Status score_variants(ScoreRun& run) {
  const auto scores = run.of_kind<VariantScore>();
  return scores.empty() ? Status{} : VariantStage(run).measure(scores);
}

}  // namespace assay
