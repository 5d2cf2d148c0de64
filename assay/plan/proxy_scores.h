// Facts of RAMP's proxy loss from a result of `assay score`: NSDS of a group as the mean of its matrices' nsds_ramp, weighted by elements;
// relative errors measured with ggml's own encoders, sqrt(sum of weight_error / sum of weight_norm) over the group. RAMP itself takes the
// mean of relative errors of simulated quantizers (methods.md 5.3). Torch-free.
#pragma once

#include <string>
#include <string_view>

#include "assay/base/result.h"
#include "assay/plan/decision_groups.h"
#include "assay/plan/ramp_facts.h"

namespace assay {

// True for the envelope that `assay score --json` writes.
bool holds_scores(std::string_view text);

// Errors: kBadInput (not such a result, a value that is no number; its place), kUsage (no nsds_ramp in it), kMismatch (a tensor that the
// model lacks, or a group with a matrix that was not scored).
Result<RampFacts> proxy_facts_from_scores(std::string_view text, const std::string& who, const ModelStructure& structure);

}  // namespace assay
