#include "assay/job/qpsa_runner.h"

#include <cmath>

#include "assay/base/sum.h"
#include "assay/file/tensor_role.h"
#include "assay/probe/loss_gradient.h"
#include "assay/probe/variant_io.h"
#include "assay/quant/code_move.h"
#include "assay/score/level_gradient.h"

namespace assay {
namespace {

std::vector<LayerRange> ranges_of(const std::vector<int>& layers) {
  std::vector<LayerRange> ranges;
  for (const int layer : layers) ranges.push_back({layer, layer});
  return ranges;
}

}  // namespace

Result<std::unique_ptr<QpsaRunner>> QpsaRunner::open(const std::string& model, const TextInput& text, const RunSettings& settings,
                                                     Progress& progress) {
  apply_settings(settings);
  std::unique_ptr<QpsaRunner> runner(new QpsaRunner);
  ASSAY_ASSIGN(runner->model_, open_model(model, settings, progress));
  ASSAY_ASSIGN(runner->set_, open_windows(text, runner->model_));
  runner->shape_ = std::make_unique<ModelShape>(runner->model_.network->hyper(), runner->model_.checkpoint->tensors());
  const uint64_t memory = memory_budget(settings);
  runner->sweep_.memory = tile_memory(settings);
  runner->sweep_.allow_non_finite = true;
  runner->changes_ = std::make_unique<ChangeSource>(runner->model_.network, nullptr, ChangeOptions{memory / 8, settings.threads});
  runner->resolver_ = std::make_unique<VariantResolver>(runner->model_.network, *runner->changes_);
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, runner->model_, progress));
  runner->store_ = std::make_unique<UnitStore>(std::move(store));
  runner->progress_ = &progress;
  ASSAY_ASSIGN(runner->noise_floor_, assay::noise_floor(*runner->store_, runner->model_, runner->set_.windows, settings));
  const NamedVariant nothing{"nothing", {}};
  ASSAY_ASSIGN(const ObservedVariants base, measure_variants(runner->model_, runner->set_.windows, std::span(&nothing, 1), *runner->store_,
                                                             {runner->sweep_, ""}, progress));
  WindowTotals totals;
  for (const WindowSums& window : base[0]) totals.add(window);
  runner->base_ppl_ = std::exp(totals.value().nll_base / static_cast<double>(totals.value().count));
  return runner;
}

double QpsaRunner::ppl_change(double nll_difference) const { return base_ppl_ * std::expm1(nll_difference); }

Result<std::vector<VariantEffect>> QpsaRunner::measure(std::span<const Variant> variants, size_t segment) {
  std::vector<NamedVariant> named;
  std::vector<VariantEffect> effects(variants.size());
  std::vector<size_t> places;
  for (size_t v = 0; v < variants.size(); ++v) {
    ASSAY_TRY(check(variants[v], *shape_));
    ASSAY_ASSIGN(ResolvedVariant resolved, resolver_->resolve(variants[v]));
    if (auto few = moved_weights(variants[v], resolved)) {
      effects[v].weights = std::move(*few);
      effects[v].empty = effects[v].weights.empty();
    }
    if (effects[v].empty) continue;
    forward_equivalents_ +=
        assay::forward_equivalents(*model_.network, set_.windows[0], resolved) * static_cast<double>(set_.windows.size());
    named.push_back({hash_of(variants[v]), std::move(resolved)});
    places.push_back(v);
  }
  ASSAY_ASSIGN(ObservedVariants observed, measure_variants(model_, set_.windows, named, *store_, {sweep_, "", segment}, *progress_));
  for (size_t i = 0; i < places.size(); ++i) {
    WindowTotals totals;
    for (const WindowSums& window : observed[i]) totals.add(window);
    const WindowSums sums = totals.value();
    const auto count = static_cast<double>(sums.count);
    VariantEffect& effect = effects[places[i]];
    effect.kl = sums.kl / count;
    effect.nll_difference = sums.nll_difference / count;
    effect.finite = sums.non_finite == 0;
    if (segment != 0) effect.segments = std::move(observed[i]);
  }
  return effects;
}

Status QpsaRunner::sample(Family::Kind kind, const SampleRange& range, const std::vector<std::string>& tensors, uint64_t seed,
                          QpsaSamples& samples) {
  VariantFile file;
  Family family;
  family.kind = kind;
  family.samples = range.end;
  family.seed = seed;
  family.layers = ranges_of(range.layers);
  family.tensors = tensors;
  file.families.push_back(std::move(family));
  ASSAY_ASSIGN(const VariantSet set, expand(file, *shape_));
  // Samples before the range were taken earlier.
  std::vector<Variant> variants;
  std::vector<SampledEffect> kept;
  std::vector<std::pair<size_t, size_t>> members;  // of each kept sample, in `variants`
  std::map<std::string, uint64_t> drawn;
  for (const VariantGroup& group : set.groups) {
    const std::string& tensor = set.variants[group.members[0]].weights[0].tensor;
    const uint64_t number = drawn[tensor]++;
    if (number < range.first) continue;
    kept.push_back({role_of(tensor).layer, tensor, number, 0, true});
    members.emplace_back(variants.size(), variants.size() + group.members.size());
    for (const size_t member : group.members) variants.push_back(set.variants[member]);
  }
  ASSAY_ASSIGN(const std::vector<VariantEffect> effects, measure(variants));
  for (size_t k = 0; k < kept.size(); ++k) {
    SampledEffect one = kept[k];
    SampledEffect capped = one;
    std::vector<double> finite, all;
    double signed_sum = 0, changed = 0;
    for (size_t member = members[k].first; member < members[k].second; ++member) {
      const VariantEffect& effect = effects[member];
      if (effect.empty) continue;
      all.push_back(ppl_change(effect.nll_difference));
      changed += static_cast<double>(effect.weights.size());
      if (kind == Family::Kind::kLevels) samples.changes[one.tensor].push_back({samples.effects.size(), effect.weights});
      if (!effect.finite) continue;
      finite.push_back(all.back());
      signed_sum += all.back();
    }
    set_effect(one, finite);
    set_effect(capped, all);
    samples.effects.push_back(one);
    samples.capped.push_back(capped);
    samples.both_sides.push_back(finite.size() == 2 ? signed_sum / 2 : 0);
    samples.places.push_back(variants[members[k].first].weights[0].byte);
    samples.weights_changed.push_back(all.empty() ? 0 : changed / static_cast<double>(all.size()));
  }
  return {};
}

Status QpsaRunner::predict(QpsaSamples& samples, const std::vector<int>& layers, const std::vector<std::string>& tensors,
                           QpsaShortcut& shortcut) {
  samples.predicted = samples.effects;
  std::vector<double> sums(samples.effects.size());
  std::vector<int> sides(samples.effects.size());
  std::vector<CompensatedSum> all(static_cast<size_t>(this->layers()));
  std::vector<uint64_t> counts(all.size());
  const auto wanted = [&](int layer, const std::string& tensor) {
    return std::find(layers.begin(), layers.end(), layer) != layers.end() &&
           std::any_of(tensors.begin(), tensors.end(),
                       [&](const std::string& role) { return tensor.find('.' + role + '.') != std::string::npos; });
  };
  const auto sink = [&](int layer, const std::string& name, const at::Tensor& gradient) -> Status {
    const TensorInfo* info = model_.checkpoint->find(name);
    if (!wanted(layer, name) || info == nullptr || code_move_kind(info->type) == CodeMoveKind::kNone) return {};
    const float* g = gradient.const_data_ptr<float>();
    const auto width = static_cast<int64_t>(info->row_length());
    for (const SampledChange& side : samples.changes[name]) {
      double dot = 0;
      for (const SparseWeight& w : side.weights) dot += static_cast<double>(g[w.row * width + w.column]) * static_cast<double>(w.value);
      sums[side.sample] += std::fabs(dot);
      ++sides[side.sample];
    }
    ASSAY_ASSIGN(const std::vector<std::byte> bytes, model_.checkpoint->read(*info));
    ASSAY_ASSIGN(const LevelGradient all_weights, level_gradient(info->type, bytes, {g, info->elements()}));
    all[static_cast<size_t>(layer)].add(base_ppl_ * all_weights.sum);
    counts[static_cast<size_t>(layer)] += all_weights.weights;
    return {};
  };
  // Windows of one length; their gradients are means over the scored positions of all of them.
  ASSAY_ASSIGN(const double nll, loss_gradient(*model_.network, set_.windows, sink, *progress_));
  (void)nll;
  for (size_t i = 0; i < sums.size(); ++i) {
    samples.predicted[i].effect = sides[i] > 0 ? base_ppl_ * sums[i] / sides[i] : 0;
    samples.predicted[i].counts = sides[i] > 0;
  }
  for (size_t layer = 0; layer < all.size(); ++layer) {
    shortcut.scores.push_back(counts[layer] > 0 ? all[layer].value() / static_cast<double>(counts[layer]) : 0);
    shortcut.weights_scored += counts[layer];
  }
  return {};
}

}  // namespace assay
