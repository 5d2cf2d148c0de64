// Brings a damage table that was made with nearest codes to codes chosen under second moments. Choosing them for every tensor at every
// type would cost more than everything else, so it is done in two steps: all cells are scaled by what chosen codes do to the output error
// of a few tensors of each role; then the cells that a plan took, and their neighbours, are predicted anew from their own chosen codes.
// Internal to job/.
#pragma once

#include "assay/job/code_source.h"
#include "assay/job/inputs.h"
#include "assay/job/unit_store.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/recipe.h"
#include "assay/score/curvature.h"

namespace assay {

// Scales every covered cell by the error ratio chosen / nearest, summed over the first, middle and last tensor of its role at its type.
Status scale_by_samples(CodeSource& source, DamageTable& table, Progress& progress);

// Predicts again, with chosen codes, each tensor at its type in `recipe` and at the types next to it in bits.
Status predict_chosen(const OpenModel& model, std::span<const Window> windows, CodeSource& source, const Recipe& recipe,
                      const CurvatureOptions& options, UnitCache& units, DamageTable& table, Progress& progress);

}  // namespace assay
