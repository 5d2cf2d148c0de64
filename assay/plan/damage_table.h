// The damage table: what each tensor (or group of tensors) costs at each ggml type. Written by `sweep` (measured) and `score`
// (predicted), read by `plan`. Kept as JSON so that anybody's numbers can be planned with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

// One cell: a group at a type. Damage: mean KL(base || variant) per scored token in the table's unit (may be an estimate).
struct DamageCell {
  GgmlType type = GgmlType::kF16;
  double damage = 0;
  double standard_error = 0;  // 0: unknown
  bool below_floor = false;   // measured under the noise floor of the run
};

// Tensors that take one type together (one tensor, or a whole layer's attention).
struct DamageRow {
  std::string name;                  // tensor name, or group label
  std::vector<std::string> tensors;  // members, file order
  std::vector<DamageCell> cells;
};

inline constexpr char kDamageUnit[] = "nats per token";

struct DamageTable {
  std::string model_sha256;        // of the weights it was made on; empty: unknown
  std::string estimator;           // "measured", "curvature:centred", ...
  std::string unit = kDamageUnit;  // of the damages; others than nats rank types, and say nothing of the model's KL
  double noise_floor = 0;          // nats per token; 0: not applicable
  std::vector<DamageRow> rows;
};

std::string to_json(const DamageTable& table);
// Of names, members, types, damages and standard errors: equal tables, whatever file they come from.
std::string rows_sha256(const DamageTable& table);
// Reads a table: the object itself, or an envelope whose result holds "table". Errors name the field; nothing in it is deep or infinite.
// Negative damages are kept: who plans counts them as 0 and says so.
Result<DamageTable> damage_table_from_json(std::string_view text);

}  // namespace assay
