#include "assay/job/table_rows.h"

#include <algorithm>
#include <map>

#include "assay/file/tensor_role.h"
#include "assay/plan/presets.h"
#include "assay/probe/resolve_variant.h"
#include "assay/quant/codec.h"

namespace assay {
Result<std::shared_ptr<const Imatrix>> open_imatrix(const std::string& path) {
  if (path.empty()) return std::shared_ptr<const Imatrix>();
  ASSAY_ASSIGN(Imatrix imatrix, read_imatrix(path));
  return std::make_shared<const Imatrix>(std::move(imatrix));
}

std::vector<GgmlType> usable_types(const TensorInfo& tensor, const std::vector<GgmlType>& wanted) {
  std::vector<GgmlType> types;
  for (const GgmlType type : wanted) {
    const Codec* codec = find_codec(type);
    if (codec != nullptr && codec->encode != nullptr && row_fits(type, tensor.row_length())) types.push_back(type);
  }
  return types;
}

std::vector<DamageRow> table_rows(const Checkpoint& checkpoint, const std::vector<GgmlType>& types, Grouping by) {
  std::vector<DamageRow> rows;
  std::map<std::string, size_t> index;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!is_quantizable(tensor)) continue;
    const std::string name = group_of(tensor.name, by);
    const auto [at, fresh] = index.try_emplace(name, rows.size());
    if (fresh) rows.push_back(DamageRow{name, {}, {}});
    DamageRow& row = rows[at->second];
    row.tensors.push_back(tensor.name);
    std::vector<DamageCell> cells;
    for (const GgmlType type : usable_types(tensor, types)) cells.push_back(DamageCell{type, 0, 0, false});
    if (fresh) {
      row.cells = std::move(cells);
    } else {  // the types that all members can take
      std::erase_if(row.cells, [&](const DamageCell& cell) {
        return std::none_of(cells.begin(), cells.end(), [&](const DamageCell& other) { return other.type == cell.type; });
      });
    }
  }
  return rows;
}

std::vector<ResolvedEdit> requantize_edits(const Network& network, const ChangeSource& changes, const std::string& tensor, GgmlType type) {
  return edits_of(network, tensor, tensor + "=" + find_type(type)->name,
                  [&changes, tensor, type]() -> Result<WeightChange> { return changes.requantized(tensor, type); });
}

}  // namespace assay
