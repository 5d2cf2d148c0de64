// Damage tables made into one objective: several texts' tables weighted, and upper damages for robust plans.
// Non-goals: the worst of several tables, which is no table (allocate_domains.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"

namespace assay {

// The tables with rows and cells in the first one's order. `names`: of their files, for messages. Errors: kMismatch names the first row or
// type that two of them do not share, or a hash of another model.
Result<std::vector<DamageTable>> aligned_tables(std::span<const DamageTable> tables, std::span<const std::string> names);

// Damages weighted and added; standard errors in squares, as of independent texts; unknown where one is. Of aligned tables; `weights`: as
// many, positive or 0, made to add up to 1.
DamageTable weighted_table(std::span<const DamageTable> tables, std::span<const double> weights);

// Damage + z x standard error of every cell.
struct UpperTable {
  DamageTable table;
  std::vector<std::string> unknown;  // "ROW at TYPE": cells with a damage and no standard error, left as they are
};
UpperTable upper_table(const DamageTable& table, double z);

}  // namespace assay
