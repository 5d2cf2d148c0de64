// A plan that counts what matrices do to each other: predicted damage = sum of the rows' damages + cross terms of different rows, as far as
// the draws they come from repeat (cross_terms.h, interaction_objective.h). Solved by local search from the separable optimum and from
// linearised problems, beside a proven bound (solve_interactions.h). Torch-free. Non-goals: making terms (score/curvature.h), several
// limits at once.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "assay/plan/allocate.h"
#include "assay/plan/cross_terms.h"
#include "assay/plan/solve_interactions.h"

namespace assay {

// The terms of a row of the table at a type, as long as all others; valid while the plan is made. Empty: none, which is refused but where
// the cell's damage is 0 (a row left as it is).
using TermsOf = std::function<std::span<const float>(const std::string& row, GgmlType type)>;

// Cross terms of a table's cells, shrunk by their reliability. Cells that allocate_with_interactions() refuses are passed over.
CrossTerms cross_terms(const DamageTable& table, const TermsOf& terms, const CrossOptions& options);

// As allocate(), by damages and `terms` together, the latter as `cross` has them: predicted_damage, bound and upgrades count interactions
// (rows do not), `interactions` says how much they are. Terms of rows that share a type (`fused`) add up; rows that --keep settles act on
// the others all the same. Errors: those of allocate(); kUsage (several limits, a solver but "exact"); kMismatch (no terms for a cell),
// kBadInput (terms of another length, or not finite).
Result<Plan> allocate_with_interactions(const Checkpoint& checkpoint, const DamageTable& table, const TermsOf& terms,
                                        const CrossTerms& cross, uint64_t budget, const AllocateConstraints& constraints,
                                        const OutputRequest& request, const InteractionOptions& effort = {});

}  // namespace assay
