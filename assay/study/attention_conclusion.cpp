#include <algorithm>
#include <cmath>

#include "assay/study/attention_analysis.h"

namespace assay {
namespace {

constexpr double kBudgets[] = {0.5, 1, 5};  // of perplexity, the source's

const AttentionRow* together(const AttentionResult& result, std::string_view rule, int k = 0, std::string_view basis = "") {
  return find_row(result, rule, k, basis, "together", result.chosen);
}

std::vector<int> ranks_measured(const AttentionResult& result) {
  std::vector<int> ranks;
  for (const AttentionRow& row : result.rows)
    if (row.mode.rule == "low-rank" && row.mode.set == "together" && row.mode.basis == "residual") ranks.push_back(row.mode.k);
  return ranks;
}

// What top-1 alone in a layer, or in a head, loses beside what the diagnostics say of it.
void predict(AttentionResult& result, const AttentionConfig& config) {
  std::vector<double> layer_values[3], layer_losses, head_values[3], head_losses;
  for (LayerCrystallisation& layer : result.layers_map) {
    const AttentionRow* const row = find_row(result, "top-1", 0, "", "alone", {layer.layer});
    if (row == nullptr) continue;
    layer.loss = row->loss;
    layer_losses.push_back(row->loss.value);
    layer_values[0].push_back(layer.ratio);
    layer_values[1].push_back(1 - layer.margin);
    layer_values[2].push_back(1 - layer.stability);
  }
  for (const AttentionRow& row : result.rows) {
    if (row.mode.set != "heads") continue;
    const auto head = std::find_if(result.heads_map.begin(), result.heads_map.end(), [&](const HeadCrystallisation& one) {
      return one.layer == row.mode.layers[0] && one.head == row.mode.head;
    });
    if (head == result.heads_map.end()) continue;
    head_losses.push_back(row.loss.value);
    head_values[0].push_back(head->ratio);
    head_values[1].push_back(1 - head->margin);
    head_values[2].push_back(1 - head->stability);
  }
  const char* const predictors[] = {"p2/p1", "1 - margin", "1 - stability"};
  for (size_t i = 0; i < 3; ++i)
    if (auto one = prediction_of(predictors[i], "layers", layer_values[i], layer_losses, config.seed)) result.predictions.push_back(*one);
  for (size_t i = 0; i < 3; ++i)
    if (auto one = prediction_of(predictors[i], "heads", head_values[i], head_losses, config.seed)) result.predictions.push_back(*one);
}

void find_budgets(AttentionResult& result, const AttentionConfig& config) {
  const auto longest = [&](const char* rule, int k, double budget) {
    int layers = 0;
    for (const AttentionRow& row : result.rows)
      if (row.mode.set == "suffixes" && row.mode.rule == rule && row.mode.k == k && row.ppl_change.value <= budget)
        layers = std::max(layers, static_cast<int>(row.mode.layers.size()));
    return layers;
  };
  if (std::none_of(result.rows.begin(), result.rows.end(), [](const AttentionRow& row) { return row.mode.set == "suffixes"; })) return;
  for (const double budget : kBudgets) {
    result.budgets.push_back({"top-1", 0, budget, longest("top-1", 0, budget)});
    for (const int k : config.top_k) result.budgets.push_back({"top-k", k, budget, longest("top-k", k, budget)});
  }
}

void save(AttentionResult& result, const AttentionConfig& config) {
  result.decoder_context = config.context;
  const DecoderShape shape{static_cast<int>(result.chosen.size()), result.heads, result.kv_heads, result.head_dim, config.context, 2};
  const DecoderCost full = full_cost(shape);
  result.savings.push_back({"top-1", 1, full, top_k_cost(shape, 1)});
  for (const int k : config.top_k) result.savings.push_back({"top-k", k, full, top_k_cost(shape, k)});
  for (const int rank : ranks_measured(result)) result.savings.push_back({"low-rank", rank, full, low_rank_cost(shape, rank)});
}

void judge_recovery(AttentionResult& result, int compared_rank) {
  const AttentionRow* const top1 = together(result, "top-1");
  if (top1 == nullptr) return;
  std::vector<RecoveryPoint> curve;
  for (const int rank : ranks_measured(result))
    if (const AttentionRow* row = together(result, "low-rank", rank, "residual"); row->recovery) curve.push_back({rank, *row->recovery});
  const auto lead = [&](const char* basis) -> std::optional<Estimate> {
    const AttentionRow* const row = together(result, "low-rank", compared_rank, basis);
    return row == nullptr ? std::nullopt : row->lead;
  };
  result.verdict = verdict_of(curve, result.head_dim, top1->ppl_change, compared_rank, lead("random"), lead("values"));
  const auto state = [&](const char* name, const std::optional<Estimate>& measure) {
    if (measure && std::isfinite(measure->value)) result.statistics.push_back({name, measure->value, measure->interval});
  };
  if (const AttentionRow* full = together(result, "full"))
    result.statistics.push_back({kFullStatistic, std::max(0.0, full->kl.value - result.noise_floor), {}});
  state("loss of top-1", top1->ppl_change);
  // Where top-1 loses nothing, a recovery is a ratio of noise: it is not judged.
  if (result.verdict.ours != "nothing to recover") {
    for (auto point = curve.rbegin(); point != curve.rend(); ++point)
      if (point->rank < result.head_dim) {
        state(kRecoveryStatistic, point->recovery);
        break;
      }
    state(kOverRandomStatistic, lead("random"));
    state(kOverValuesStatistic, lead("values"));
    state("lead over the centred basis at the compared rank", lead("centred"));
    state("lead over the basis of the context at the compared rank", lead("context"));
  }
}

}  // namespace

void conclude(AttentionResult& result, const AttentionConfig& config) {
  predict(result, config);
  find_budgets(result, config);
  save(result, config);
  judge_recovery(result, result.verdict.compared_rank);
  for (const AttentionPrediction& one : result.predictions)
    if (one.predictor == "p2/p1" && one.over == "layers")
      result.statistics.push_back({kPredictionStatistic, one.rho.value, one.rho.interval});
  judge(result, config.criteria.empty() ? default_attention_criteria() : config.criteria);
}

}  // namespace assay
