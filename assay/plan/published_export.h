// Our damages in the files of the GGUF tool suite, so that its way of planning can be played here (`plan --published --objective rank-1
// --solver greedy`) and there: kld_results.csv, a row per type and a column per tensor, 404 where nothing was measured, and
// group0/kld_results.csv, the whole model at each type. Rows of several tensors were changed together: each of their columns holds the
// number, as the suite's tables do; of two at most, since a block whose columns are all alike is read as one that was never run. Numbers
// are written so that they are read back the same. Non-goals: reading (score/published_truth.h).
#pragma once

#include <span>
#include <string>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"
#include "assay/score/published_truth.h"

namespace assay {

struct PublishedFiles {
  PublishedTable table, group0;
};

// whole: the damage of all the table's tensors at a type. Errors: kUsage (a table that is not in nats, rows of more than two tensors, a
// type of the table that `whole` lacks), kBadInput (a negative damage: on top of a recipe?).
Result<PublishedFiles> published_files(const DamageTable& table, std::span<const DamageCell> whole);
// As read_published_table() reads it, lines ending in LF.
std::string to_csv(const PublishedTable& table);

}  // namespace assay
