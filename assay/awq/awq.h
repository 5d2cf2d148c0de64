// What an AWQ search found, as data, and the models it makes (methods.md 4.3). Torch-free.
// Non-goals: the search (awq_search.h), files (job/quantize_awq.h).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/awq/fold.h"
#include "assay/base/payload.h"
#include "assay/file/imatrix.h"
#include "assay/quant/group_rounding.h"

namespace assay {

// One vector that is scaled, and how its scale was found.
struct AwqScale {
  FoldGroup group;
  double alpha = 0;            // of the least loss
  std::vector<double> losses;  // by alpha = i / (size - 1): squared error of the readers' outputs over the outputs' own squares
  std::vector<float> mean;     // [width] mean |x| over the calibration tokens
  std::vector<float> scales;   // [width]
};

// Largest |w| that is kept, by row and group of the matrix after scaling: [rows * groups of a row].
struct AwqClip {
  size_t group = 0;  // weights
  std::vector<float> limits;
  std::vector<float> shares;  // of the group's largest |w|: 1, 0.95, ... 0.55
};

struct AwqResult {
  std::vector<AwqScale> scales;
  std::map<std::string, AwqClip> clips;  // by matrix
};

void write(PayloadWriter& writer, const AwqResult& result);
// groups: those of the model; scales that belong to none of them: kBadInput.
Result<AwqResult> read_awq(PayloadReader& reader, std::span<const FoldGroup> groups);

// Weights of a matrix rounded in place and decoded again; scales: what its columns were multiplied by (empty: nothing).
using WeightRounder =
    std::function<Status(const std::string& tensor, uint64_t columns, std::span<const float> scales, std::span<float> values)>;
WeightRounder grid_rounder(const GroupGrid& grid, int threads);
// Each matrix at its type as the encoder with that imatrix (may be null) does it, importance divided by s^2: what the scaled inputs have.
// A matrix that is not in `types` stays. `imatrix` must outlive the rounder.
WeightRounder ggml_rounder(std::map<std::string, GgmlType> types, const Imatrix* imatrix, int threads);

// Scales folded into matrices and their neighbours, and matrices clipped: the model's function is the same but for the clips.
TensorEdits folded_edits(const AwqResult& result);
// The result's scale of a matrix's columns; empty: none.
std::vector<float> column_scales(const AwqResult& result, const std::string& tensor);
// Every named matrix rounded, after what was done before.
TensorEdits rounding_edits(const std::vector<std::string>& tensors, const AwqResult& result, const WeightRounder& rounder);
// The source's form, "AWQ-lite": scaled, rounded, divided again; nothing is folded.
TensorEdits unfolded_edits(const AwqResult& result, const WeightRounder& rounder);

// The importance matrix of the scaled model: sums of squares divided by s^2.
Imatrix scaled_imatrix(const Imatrix& imatrix, const AwqResult& result);

}  // namespace assay
