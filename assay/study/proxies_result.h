// What the proxies study found: every changed model's proxies and task outcomes, and how far each proxy ranks the models as each outcome
// does. Every number is a damage: higher is worse. Torch-free.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/probe/statistics.h"

namespace assay {

// Weight error: |dW| / |W| over all matrices; a part left out counts as its output matrix set to 0. Reconstruction: each block on the base
// model's stream, |change of the output|^2 / |what the block adds|^2, summed over blocks, embedding and head. KL and ln PPL change in nats
// per token, flips as a share of tokens, on the text.
enum class Proxy : uint8_t { kWeightError, kReconstruction, kKl, kPerplexity, kFlips };
inline constexpr size_t kProxies = 5;
std::string_view name_of(Proxy proxy);

// Means over items of what the base model loses: right answers (acc), margin of the gold option in nats and per byte; and the share of
// items with another choice.
enum class TaskOutcome : uint8_t { kAccuracy, kMargin, kMarginPerByte, kChoices };
inline constexpr size_t kTaskOutcomes = 4;
std::string_view name_of(TaskOutcome outcome);

struct ProxyVariant {
  std::string name, kind;  // kind: "preset", "uniform", "role", "skip", "noise", "weight"
  bool recipe = false;     // a way to store the model; else an intervention
  std::array<double, kProxies> proxies{};
  std::array<double, kTaskOutcomes> outcomes{};
  std::array<Interval, kTaskOutcomes> intervals{};  // over clusters of items
  std::vector<double> margin_by_task;
};

// The models that a correlation is over. Mild: those whose KL is at most the median's, what one would use.
enum class VariantGroupKind : uint8_t { kAll, kRecipes, kInterventions, kMild };
inline constexpr size_t kVariantGroups = 4;
std::string_view name_of(VariantGroupKind group);

struct RankEstimate {
  double value = 0;
  std::optional<std::pair<double, double>> over_items, over_variants;  // 95 %
};

struct ProxyCorrelation {
  Proxy proxy = Proxy::kKl;
  TaskOutcome outcome = TaskOutcome::kMargin;
  VariantGroupKind group = VariantGroupKind::kAll;
  std::optional<RankEstimate> spearman, kendall;  // empty: all equal
  // Spearman at 1 - 5 % / proxies: all proxies of an outcome hold together. The wider of both ways.
  std::optional<std::pair<double, double>> together;
};

enum class ClaimOutcome : uint8_t { kSupported, kRefuted, kUnderpowered };
std::string_view name_of(ClaimOutcome outcome);

// "Proxies do not predict tasks" for one outcome and group. Refuted: some proxy's interval that holds together with the others' (over items
// and over variants) lies at or above `predicts`. Supported: every proxy's ends below it, and the outcome itself ranks the models reliably
// (kLeastReliability). Else underpowered.
struct ProxyClaim {
  TaskOutcome outcome = TaskOutcome::kMargin;
  VariantGroupKind group = VariantGroupKind::kAll;
  size_t variants = 0;
  double smallest_detectable = 1;     // rho of one-sided 5 % with 80 % power, by the number of variants alone
  std::optional<double> reliability;  // Spearman of the outcome on two halves of the items, stepped up to all (Spearman-Brown)
  ClaimOutcome verdict = ClaimOutcome::kUnderpowered;
  std::vector<Proxy> predicting;  // those that refute it
};

struct ProxiesResult {
  std::vector<ProxyVariant> variants;
  std::vector<std::string> tasks;
  std::vector<uint64_t> items;  // by task
  std::vector<double> base_accuracy, base_margin;
  uint64_t tokens_scored = 0, windows = 0, item_tokens = 0;
  double noise_floor = 0;
  double predicts = 0.5;
  std::vector<ProxyCorrelation> correlations;
  std::vector<ProxyClaim> claims;
  ClaimOutcome verdict = ClaimOutcome::kUnderpowered;  // of the margin over all variants
  bool post_hoc = false;                               // `predicts` changed after the first unit
  std::vector<std::string> notes;
};

nlohmann::ordered_json to_json(const ProxiesResult& result);

}  // namespace assay
