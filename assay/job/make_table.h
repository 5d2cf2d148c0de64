// Damage tables, measured one change at a time (`assay sweep`). Torch-free header.
#pragma once

#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/tensor_role.h"
#include "assay/job/settings.h"
#include "assay/plan/damage_table.h"

namespace assay {

struct MakeTableOptions {
  std::string model;
  TextInput text;
  std::vector<GgmlType> types;
  Grouping by = Grouping::kTensor;
  std::string imatrix;     // file; empty: encode without importance
  bool whole = false;      // measure the whole model at each type, too: every tensor of a row that can take it
  bool any_model = false;  // a base recipe that was made for another model is taken
  std::string
      base_recipe;  // measured: recipe of any format, or a model's file: types that all other tensors have; empty: they are unquantized.
                    // Damage is then KL(model || recipe with the row at the type) less that of the recipe with the row unquantized
};

struct MakeTableResult {
  DamageTable table;
  std::vector<DamageCell> whole;  // of all rows' tensors together at a type, with `whole` alone
  uint64_t tokens_scored = 0, windows = 0, documents = 0;
  std::string interval_unit;
  double measured_seconds = 0, encoding_seconds = 0;
  UnitCounts units;
};

// Types a tensor can take: it is quantizable, its row fits, and there is an encoder.
std::vector<GgmlType> usable_types(const TensorInfo& tensor, const std::vector<GgmlType>& wanted);

Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
