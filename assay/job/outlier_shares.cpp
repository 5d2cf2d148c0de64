#include "assay/job/outlier_shares.h"

#include <algorithm>
#include <map>
#include <set>

#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/file/tensor_role.h"
#include "assay/job/make_table.h"
#include "assay/probe/gradient_pass.h"
#include "assay/score/path_gradients.h"
#include "assay/score/quantized_set.h"

namespace assay {
namespace {

constexpr uint64_t kControlPool = 1024;                           // weights of the matrix that a control is chosen from
constexpr uint64_t kGradientTokens = 128, kGradientWindows = 16;  // windows that gradients are taken on
constexpr double kMiddle = 0.5;                                   // of the step

// Weights by (matrix of the runner, index), best first.
using Places = std::vector<std::pair<uint32_t, uint64_t>>;
struct Selected {
  std::string name;
  uint64_t draw = 0;
  Places places;
};

Places places_of(const std::vector<RankedWeight>& ranked) {
  Places places;
  for (const RankedWeight& one : ranked) places.emplace_back(one.matrix, one.index);
  return places;
}

void write(PayloadWriter& writer, const TopWeights& top) {
  std::vector<double> values;
  for (const RankedWeight& one : top.ranked()) values.insert(values.end(), {double(one.matrix), static_cast<double>(one.index)});
  writer.add(std::span<const double>(values), "places");
}
Places read_places(PayloadReader& reader) {
  const std::vector<double> values = reader.reals();
  Places places;
  for (size_t i = 0; i + 1 < values.size(); i += 2)
    places.emplace_back(static_cast<uint32_t>(values[i]), static_cast<uint64_t>(values[i + 1]));
  return places;
}

// Error and curvature of every weight at one end of the step.
class FisherReader final : public GradientReader {
 public:
  FisherReader(const Checkpoint& base, const StoredMatrices& far, const std::map<std::string, uint32_t>& numbers, uint64_t k, int threads)
      : base_(base), far_(far), numbers_(numbers), threads_(threads), error(k), curvature(k) {}

  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    if (labels != GradientLabels::kDrawn || !far_.contains(place.tensor)) return {};
    return {.squares = true};
  }
  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    ASSAY_ASSIGN(const std::vector<float> d, stored_change(base_, place.tensor, far_.at(place.tensor), threads_));
    const float* squares = gradients.drawn.squares.const_data_ptr<float>();
    const uint32_t matrix = numbers_.at(place.tensor);
    for (size_t i = 0; i < d.size(); ++i) {
      const double change = d[i];
      error.add(matrix, i, std::fabs(change));
      curvature.add(matrix, i, 0.5 * static_cast<double>(squares[i]) * change * change);
    }
    return {};
  }

 private:
  const Checkpoint& base_;
  const StoredMatrices& far_;
  const std::map<std::string, uint32_t>& numbers_;
  int threads_;

 public:
  TopWeights error, curvature;
};

class Shares {
 public:
  Shares(OutlierRunner& runner, const TextInput& text, OutlierResult& result)
      : runner_(runner), config_(runner.config()), text_(text), result_(result) {}

  Status run() {
    for (size_t m = 0; m < runner_.block_matrices(); ++m) numbers_[runner_.matrices()[m]] = static_cast<uint32_t>(m);
    ASSAY_TRY(choose_windows());
    ASSAY_TRY(choose_outliers());
    for (const GgmlType type : config_.share_types) ASSAY_TRY(of_type(type));
    return {};
  }

 private:
  uint64_t most() const { return config_.share_k.back(); }

  // Gradients and shares never on the same prompts, but where a stratum has a single one.
  Status choose_windows() {
    const PromptWindows& prompts = runner_.prompts();
    std::vector<uint32_t> place(prompts.strata.size());
    std::vector<TokenId> tokens;
    for (size_t w = 0; w < prompts.windows.size(); ++w) {
      const bool even = place[prompts.stratum[w]]++ % 2 == 0;
      if (even) tokens.insert(tokens.end(), prompts.windows[w].tokens.begin(), prompts.windows[w].tokens.end());
      if (!text_.path.empty() || !even) measured_.push_back(prompts.windows[w]);
    }
    if (measured_.empty()) {
      measured_ = prompts.windows;
      result_.notes.push_back("shares: one prompt per stratum, so the best k by gradients are chosen on what they are measured on");
    }
    if (!text_.path.empty()) {
      TextInput text = text_;
      if (text.windows.chunks == 0 && text.windows.max_tokens == 0) text.windows.chunks = kGradientWindows;
      ASSAY_ASSIGN(ProbeSet set, open_windows(text, runner_.model()));
      gradient_ = std::move(set.windows);
    } else {
      const size_t length = std::min<size_t>(kGradientTokens, tokens.size());
      for (size_t begin = 0; begin + length <= tokens.size(); begin += length) {
        Window window;
        window.tokens.assign(tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(begin + length));
        window.labels.assign(window.tokens.begin() + 1, window.tokens.end());
        window.score_end = static_cast<uint32_t>(window.labels.size());
        window.document = static_cast<uint32_t>(gradient_.size());
        gradient_.push_back(std::move(window));
      }
    }
    result_.share_prompts = measured_.size();
    for (const Window& window : measured_) result_.share_tokens += window.scored();
    return {};
  }

  // Outliers and their matched controls do not depend on the type.
  Status choose_outliers() {
    ASSAY_ASSIGN(const std::vector<RankedWeight> ranked, runner_.robust(most(), runner_.block_matrices()));
    outliers_ = {"outliers", 0, places_of(ranked)};
    uint64_t weights = 0;
    for (const auto& [tensor, number] : numbers_) weights += runner_.model().checkpoint->find(tensor)->elements();
    if (4 * outliers_.places.size() > weights) {
      result_.notes.push_back("shares: no controls, the outliers are more than a quarter of all weights");
      return {};
    }
    const auto work = [&]() -> Result<std::string> { return make_controls(); };
    const UnitKey key = runner_.store().key("outliers share controls").add("k", most()).add("matrices", numbers_.size());
    const std::string name = "draws " + std::to_string(config_.share_controls) + " seed " + std::to_string(config_.seed) +
                             (config_.match_magnitude ? "" : " without magnitude") + digest(outliers_.places);
    ASSAY_ASSIGN(const std::string payload, runner_.unit(key, name, work));
    PayloadReader reader(payload);
    for (uint64_t draw = 0; draw < config_.share_controls; ++draw) controls_.push_back({"controls", draw, read_places(reader)});
    return reader.finish();
  }

  Result<std::string> make_controls() {
    const Places& targets = outliers_.places;
    std::vector<std::vector<std::pair<size_t, uint64_t>>> found(config_.share_controls);  // place among the targets, index
    std::map<uint32_t, std::vector<size_t>> by_matrix;
    for (size_t t = 0; t < targets.size(); ++t) by_matrix[targets[t].first].push_back(t);
    runner_.progress().stage("controls", targets.size());
    uint64_t done = 0;
    for (const auto& [matrix, own] : by_matrix) {
      const TensorInfo* info = runner_.model().checkpoint->find(runner_.matrices()[matrix]);
      ASSAY_ASSIGN(const std::vector<float> values, runner_.model().checkpoint->read_float(*info, runner_.settings().threads));
      const MatrixFacts facts(values, info->rows(), info->row_length());
      std::set<uint64_t> used;
      for (const size_t t : own) used.insert(targets[t].second);
      for (uint64_t draw = 0; draw < config_.share_controls; ++draw)
        for (const size_t t : own) {
          MatchOptions options;
          options.magnitude = config_.match_magnitude;
          options.pool = kControlPool;
          options.seed = config_.seed + draw;
          const std::vector<Control> control = facts.controls(targets[t].second, 1, used, options);
          if (control.empty()) continue;
          used.insert(control[0].index);
          found[draw].emplace_back(t, control[0].index);
        }
      runner_.progress().update(done += own.size());
    }
    PayloadWriter writer;
    for (auto& draw : found) {
      std::sort(draw.begin(), draw.end());
      std::vector<double> flat;
      for (const auto& [t, index] : draw) flat.insert(flat.end(), {double(targets[t].first), static_cast<double>(index)});
      writer.add(std::span<const double>(flat), "controls");
    }
    return std::move(writer).finish();
  }

  static std::string digest(const Places& places) {
    Sha256 hash;
    for (const auto& [matrix, index] : places) hash.add(std::to_string(matrix) + ":" + std::to_string(index) + ";");
    return hash.hex();
  }

  Status quantize(GgmlType type) {
    const std::vector<std::string> tensors(runner_.matrices().begin(),
                                           runner_.matrices().begin() + static_cast<ptrdiff_t>(runner_.block_matrices()));
    const auto can_hold = [&](const std::string& tensor) {
      return !usable_types(*runner_.model().checkpoint->find(tensor), {type}).empty();
    };
    const TypeFit fit = type_fit(tensors, can_hold);
    if (fit.tensors.empty())
      return fail(ErrorCode::kUnsupported, {std::string("type ") + find_type(type)->name, "fits no matrix of these layers",
                                            "another of share_types", "rows not divisible?"});
    if (!fit.left_out.empty()) result_.notes.push_back(note_of(fit, type));
    tensors_ = fit.tensors;
    ASSAY_ASSIGN(far_,
                 stored_at(type, tensors_, [&](const std::string& tensor, GgmlType) { return runner_.changes().stored(tensor, type); }));
    return {};
  }

  Result<std::string> make_gradient_lists() {
    QuantizationPath path;
    path.base = runner_.model().checkpoint;
    path.far = far_;
    path.windows = gradient_;
    path.network = network_options(runner_.settings());
    path.pass.memory = tile_memory(runner_.settings());
    path.pass.seed = config_.seed;
    FisherReader fisher(*path.base, *far_, numbers_, most(), runner_.settings().threads);
    GradientReader* const readers[] = {&fisher};
    ASSAY_ASSIGN(const GradientLosses losses, gradient_pass(*runner_.model().network, gradient_, readers, path.pass));
    (void)losses;
    TopWeights by_path(most());
    const double ts[] = {kMiddle};
    ASSAY_ASSIGN(
        const PathGradients gradients,
        path_gradients(path, ts, [&](size_t, size_t matrix, std::span<const float> change, std::span<const float> gradient) -> Status {
          const uint32_t number = numbers_.at(tensors_[matrix]);
          for (size_t i = 0; i < change.size(); ++i)
            by_path.add(number, i, static_cast<double>(change[i]) * static_cast<double>(gradient[i]));
          return {};
        }));
    for (size_t m = 0; m < gradients.matrices.size(); ++m)
      if (gradients.matrices[m].tensor != tensors_[m])
        return fail(ErrorCode::kInternal, "study outliers: matrices of the path in another order");
    PayloadWriter writer;
    write(writer, fisher.error);
    write(writer, fisher.curvature);
    write(writer, by_path);
    return std::move(writer).finish();
  }

  // The changes of all quantized matrices, but for the first k of these weights.
  ResolvedVariant restored(GgmlType type, const Places& places, uint64_t k, std::string& name) const {
    std::map<std::string, std::vector<uint64_t>> by_tensor;
    for (size_t i = 0; i < std::min<size_t>(k, places.size()); ++i)
      by_tensor[runner_.matrices()[places[i].first]].push_back(places[i].second);
    ResolvedVariant variant;
    Sha256 all;
    for (const std::string& tensor : tensors_) {
      std::vector<uint64_t> indices = by_tensor[tensor];
      std::sort(indices.begin(), indices.end());
      std::string key = find_type(type)->name;
      if (!indices.empty()) {
        Sha256 hash;
        for (const uint64_t index : indices) hash.add(std::to_string(index) + ";");
        key += " less " + hash.hex();
      }
      all.add(tensor + "=" + key + ";");
      const auto make = [this, tensor, type, indices]() -> Result<WeightChange> {
        ASSAY_ASSIGN(at::Tensor change, runner_.changes().requantized(tensor, type));
        float* values = change.mutable_data_ptr<float>();
        for (const uint64_t index : indices) values[index] = 0;
        return WeightChange(std::move(change));
      };
      for (ResolvedEdit& edit : edits_of(*runner_.model().network, tensor, key, make)) variant.edits.push_back(std::move(edit));
    }
    name = "restored " + all.hex();
    return variant;
  }

  Status of_type(GgmlType type) {
    ASSAY_TRY(quantize(type));
    const std::string type_name = find_type(type)->name;
    const UnitKey key =
        runner_.store().key("outliers share lists").add("windows", fingerprint(gradient_)).add("type", type_name).add("k", most());
    std::string of;
    for (const std::string& tensor : tensors_) of += tensor + ",";
    runner_.progress().stage("best weights at " + type_name, 1);
    ASSAY_ASSIGN(const std::string payload, runner_.unit(key, of + std::to_string(config_.seed), [&] { return make_gradient_lists(); }));
    PayloadReader reader(payload);
    std::vector<Selected> lists = {outliers_};
    lists.push_back({"error", 0, read_places(reader)});
    lists.push_back({"curvature", 0, read_places(reader)});
    lists.push_back({"path", 0, read_places(reader)});
    ASSAY_TRY(reader.finish());
    lists.insert(lists.end(), controls_.begin(), controls_.end());
    // Weights of a matrix that cannot hold the type are not damaged.
    for (Selected& list : lists)
      std::erase_if(list.places, [&](const auto& place) { return !far_->contains(runner_.matrices()[place.first]); });

    std::vector<NamedVariant> variants;
    std::vector<OutlierShare> rows;
    NamedVariant quantized;
    quantized.variant = restored(type, {}, 0, quantized.name);
    variants.push_back(quantized);
    for (const Selected& list : lists)
      for (const uint64_t k : config_.share_k) {
        NamedVariant one;
        one.variant = restored(type, list.places, k, one.name);
        variants.push_back(std::move(one));
        OutlierShare row;
        row.type = type_name;
        row.selection = list.name;
        row.k = k;
        row.draw = list.draw;
        rows.push_back(std::move(row));
      }
    result_.variants += variants.size();
    ASSAY_ASSIGN(const ObservedVariants observed,
                 measure_variants(runner_.model(), measured_, variants, runner_.store(), runner_.measure_options(), runner_.progress()));
    conclude(type_name, observed, std::move(rows));
    return {};
  }

  void conclude(const std::string& type, const ObservedVariants& observed, std::vector<OutlierShare> rows) {
    const auto loss_of = [](const std::vector<WindowSums>& windows) {
      WindowTotals totals;
      for (const WindowSums& window : windows) totals.add(window);
      return totals.value().nll_difference / static_cast<double>(totals.value().count);
    };
    OutlierDamage damage;
    damage.type = type;
    for (const std::string& tensor : tensors_) damage.elements += runner_.model().checkpoint->find(tensor)->elements();
    damage.kl = mean_kl_of(observed[0], config_.seed);
    damage.nll_difference = loss_of(observed[0]);
    std::map<uint64_t, std::vector<std::span<const WindowSums>>> controls;
    std::map<uint64_t, std::span<const WindowSums>> outliers;
    for (size_t i = 0; i < rows.size(); ++i) {
      OutlierShare& row = rows[i];
      const std::vector<WindowSums>& own = observed[i + 1];
      row.kl = mean_kl_of(own, config_.seed);
      row.share = recovery_of(observed[0], own, config_.seed);
      row.nll_share = damage.nll_difference != 0 ? 1 - loss_of(own) / damage.nll_difference : 0;
      if (row.selection == "controls") controls[row.k].push_back(own);
      if (row.selection == "outliers") outliers[row.k] = own;
    }
    for (const auto& [k, own] : controls) result_.excesses.push_back({type, k, excess_of(observed[0], outliers.at(k), own, config_.seed)});
    std::move(rows.begin(), rows.end(), std::back_inserter(result_.shares));
    result_.damages.push_back(std::move(damage));
  }

  OutlierRunner& runner_;
  const OutlierConfig& config_;
  const TextInput& text_;
  OutlierResult& result_;
  std::map<std::string, uint32_t> numbers_;
  std::vector<Window> measured_, gradient_;
  Selected outliers_;
  std::vector<Selected> controls_;
  std::vector<std::string> tensors_;  // of the type at hand
  std::shared_ptr<const StoredMatrices> far_;
};

}  // namespace

Status measure_shares(OutlierRunner& runner, const TextInput& text, OutlierResult& result) {
  if (runner.config().share_types.empty() || runner.block_matrices() == 0) return {};
  return Shares(runner, text, result).run();
}

}  // namespace assay
