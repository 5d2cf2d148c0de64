// Damage by tensor and type where types are names: a damage table of ours, or what others published, whose types are mostly not ggml's.
// Non-goals: predicting types that were not measured, noise.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"
#include "assay/score/published_truth.h"

namespace assay {

struct TypeDamage {
  struct Row {
    std::string name;                      // as the table has it
    std::vector<std::string> tensors;      // that were changed together
    std::map<std::string, double> damage;  // by TypeSize::name; nats per token
  };
  std::string estimator;
  std::vector<Row> rows;
};

TypeDamage type_damage(const DamageTable& table);
// kBadInput: a table in percent (of perplexity, which is no KL), a negative value, an unknown type; and published_truth's errors.
Result<TypeDamage> type_damage(const PublishedTable& table, const std::vector<MappedTensor>& map);

// The cells whose types are ggml's; the others' types are named in `left_out`. kUnsupported: none is.
Result<DamageTable> ggml_damage_table(const TypeDamage& damage, std::vector<std::string>& left_out);

}  // namespace assay
