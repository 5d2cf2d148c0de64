// What log-likelihoods of options say of a model on a task: accuracies by lm-eval's rules, margins, and the same against a base, item by
// item. Intervals are 95 % bootstraps of clusters of items (task_file.h: clusters_of), paired where two models are compared. Torch-free.
// Non-goals: running models (run_items.h), tests over several tasks at once but for pooled ones.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "assay/probe/statistics.h"
#include "assay/tasks/task_file.h"

namespace assay {

// By what an option's log-likelihood is divided before options are compared. lm-eval's acc, acc_norm and acc_bytes: acc_norm counts
// characters of the option without the delimiter, acc_bytes its UTF-8 bytes.
enum class OptionNorm : uint8_t { kNone, kCharacters, kBytes };
inline constexpr OptionNorm kOptionNorms[] = {OptionNorm::kNone, OptionNorm::kCharacters, OptionNorm::kBytes};
std::string_view name_of(OptionNorm norm);  // "acc", "acc_norm", "acc_bytes"

// One item under one model.
struct ItemScore {
  size_t choice[3] = {};  // per norm: the option with the largest value, the first of equals
  bool right[3] = {};
  double margin = 0;           // log p of the gold option less that of the best other one, nats
  double margin_per_byte = 0;  // the same of log p / bytes
};
ItemScore score_item(const TaskItem& item, std::span<const double> log_likelihoods);

struct Mean {
  double value = 0;
  double standard_error = 0;  // sd / sqrt(n), items taken as independent: lm-eval's; 0 of one item
  Interval interval;          // over clusters
};

struct TaskScore {
  size_t items = 0, clusters = 0;
  Mean accuracy[3];
  Mean margin, margin_per_byte;
};
TaskScore summarize(std::span<const ItemScore> scores, std::span<const uint32_t> clusters, const BootstrapOptions& options = {});

// McNemar's exact test: of the pairs where the two differ, are both directions equally likely?
struct McNemar {
  uint64_t only_base = 0, only_model = 0;  // right under the one and wrong under the other
  double p = 1;                            // two-sided; 1 where nothing differs
  uint64_t discordant() const { return only_base + only_model; }
};
McNemar mcnemar(uint64_t only_base, uint64_t only_model);
// The least change of accuracy that the test finds at 5 % with 80 % power, of `items` items of which `discordant` differ: the number
// that differ is taken as given. Empty: so few differ that the test can never reject (fewer than 6).
std::optional<double> detectable_change(uint64_t items, uint64_t discordant);
// Power of the test at 5 %, given that `discordant` pairs differ and each goes one way with probability `share`.
double mcnemar_power(uint64_t discordant, double share);

struct TaskComparison {
  size_t items = 0, clusters = 0;
  Mean accuracy_change[3];  // model less base
  McNemar test[3];
  std::optional<double> detectable[3];
  double changed[3] = {};  // share of items with another choice
  Mean margin_change, margin_per_byte_change;
};
TaskComparison compare(std::span<const ItemScore> base, std::span<const ItemScore> model, std::span<const uint32_t> clusters,
                       const BootstrapOptions& options = {});

}  // namespace assay
