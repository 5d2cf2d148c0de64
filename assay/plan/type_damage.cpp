#include "assay/plan/type_damage.h"

#include <fmt/format.h>

#include <set>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"

namespace assay {

TypeDamage type_damage(const DamageTable& table) {
  TypeDamage result{table.estimator, {}};
  for (const DamageRow& row : table.rows) {
    TypeDamage::Row named{row.name, row.tensors, {}};
    if (named.tensors.empty()) named.tensors = {row.name};
    for (const DamageCell& cell : row.cells) named.damage[find_type_size(find_type(cell.type)->name)->name] = cell.damage;
    result.rows.push_back(std::move(named));
  }
  return result;
}

Result<TypeDamage> type_damage(const PublishedTable& table, const std::vector<MappedTensor>& map) {
  if (table.percent)
    return fail(ErrorCode::kBadInput,
                {"published table", "is in percent", "KL divergences are needed", "kld_results.csv, not ppl_results.csv"});
  ASSAY_ASSIGN(const PublishedTruth truth, published_truth(table, map));
  TypeDamage result{"published", {}};
  std::map<std::string, size_t> places;
  for (const PublishedMeasurement& one : truth.measurements) {
    const std::string& row = one.tensors.size() == 1 ? one.tensors[0].name : one.name;
    const std::string who = "published table: '" + row + "' at " + one.type;
    const TypeSize* const type = find_type_size(one.type);
    if (type == nullptr) return unknown_type(who, one.type);
    if (!(one.value >= 0)) return fail(ErrorCode::kBadInput, {who, fmt::format("is {}", one.value), "a KL divergence is not negative", ""});
    const auto [at, is_new] = places.emplace(row, result.rows.size());
    if (is_new) {
      result.rows.push_back({row, {}, {}});
      for (const NamedTensor& tensor : one.tensors) result.rows.back().tensors.push_back(tensor.name);
    }
    result.rows[at->second].damage[type->name] = one.value;
  }
  return result;
}

Result<DamageTable> ggml_damage_table(const TypeDamage& damage, std::vector<std::string>& left_out) {
  DamageTable table;
  table.estimator = damage.estimator;
  std::set<std::string> foreign;
  for (const TypeDamage::Row& row : damage.rows) {
    DamageRow kept{row.name, row.tensors, {}};
    for (const auto& [name, value] : row.damage) {
      const TypeSize* const type = find_type_size(name);
      if (type != nullptr && type->ggml)
        kept.cells.push_back({*type->ggml, value, 0, false});
      else
        foreign.insert(name);
    }
    if (!kept.cells.empty()) table.rows.push_back(std::move(kept));
  }
  left_out.assign(foreign.begin(), foreign.end());
  if (table.rows.empty())
    return fail(ErrorCode::kUnsupported,
                {"damage table", "has no type of ggml", "types of ik_llama.cpp alone: " + join(left_out, ", "), ""});
  return table;
}

}  // namespace assay
