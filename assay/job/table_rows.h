// Rows of a damage table and the edits of its cells: what the table jobs and optimize share. Internal to job/.
#pragma once

#include <string>
#include <vector>

#include "assay/job/make_table.h"
#include "assay/job/unit_store.h"
#include "assay/model/network.h"
#include "assay/probe/changes.h"
#include "assay/probe/sweep.h"
#include "assay/score/curvature.h"

namespace assay {

// Every quantizable tensor, grouped, with the types it can take; damages are 0.
std::vector<DamageRow> table_rows(const Checkpoint& checkpoint, const std::vector<GgmlType>& types, Grouping by);

// `options` with the seed, memory and numeric mode of a run.
CurvatureOptions curvature_options(CurvatureOptions options, const RunSettings& settings);

// Fills the damages and standard errors of `table` by curvature, with curvature_options(). `changes` were made with `imatrix`.
Result<CurvatureTable> predict_damage(const OpenModel& model, std::span<const Window> windows, const ChangeSource& changes,
                                      const std::shared_ptr<const Imatrix>& imatrix, const CurvatureOptions& options,
                                      const RunSettings& settings, UnitStore& store, DamageTable& table, Progress& progress);

// Nothing for an empty path.
Result<std::shared_ptr<const Imatrix>> open_imatrix(const std::string& path);

// Where a tensor's change applies: a tied embedding at both ends of the model.
std::vector<ResolvedEdit> requantize_edits(const Network& network, const ChangeSource& changes, const std::string& tensor, GgmlType type);

}  // namespace assay
