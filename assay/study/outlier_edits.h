// The changes of single weights that the outlier study makes, as variants (methods.md 2.1, 2.8). Torch-free. Non-goals: which weights.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/probe/variant.h"

namespace assay {

struct WeightPlace {
  std::string tensor;
  Coordinate at;
  bool operator==(const WeightPlace& other) const {
    return tensor == other.tensor && at.row == other.at.row && at.column == other.at.column;
  }
};
// "blk.3.ffn_down[17, 204]"
std::string name_of(const WeightPlace& place);

Variant zeroed(std::span<const WeightPlace> places);  // all at once; of one tensor in one edit
Variant scaled(const WeightPlace& place, double factor);
// The weight to 0, and its value shared out equally among its neighbours in the row at most `radius` columns away.
Variant spread(const WeightPlace& place, double weight, uint64_t columns, uint64_t radius);
// The weight to 0, and all others of its row times `factor`.
Variant row_scaled(const WeightPlace& place, double factor);
Variant row_zeroed(const WeightPlace& place);
Variant column_zeroed(const WeightPlace& place);
// The zeroed weight with the residual stream patched: at the first changed block (layer < 0: kFirst), at a layer, or everywhere.
Variant patched(const WeightPlace& place, ResidualEdit::Form form, int layer, int rank);

}  // namespace assay
