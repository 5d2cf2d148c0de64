// What one pass over some windows adds to one matrix of the curvature table, as a unit of work: the journal keeps it, and a pass whose
// units are all there needs no forward and no backward. Torch-free. Internal to score/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/base/unit_cache.h"

namespace assay {

// Of one cell (a type).
struct CurvaturePart {
  std::vector<double> damage;  // per window of the pass
  std::vector<float> terms;    // first-order terms, window after window; empty in forms without them
};
using CurvatureParts = std::vector<CurvaturePart>;  // of all cells of a matrix

Result<std::string> to_payload(const CurvatureParts& parts);
// kBadInput unless there are `cells` parts of `windows` damages each.
Result<CurvatureParts> curvature_parts_from_payload(std::string_view payload, size_t cells, size_t windows);

// "blk.3.ffn_up.weight 0+32 draw 0": which matrix (and end of the model), windows and draw a unit is about.
std::string curvature_unit(std::string_view matrix, size_t begin, size_t count, uint32_t sample);

}  // namespace assay
