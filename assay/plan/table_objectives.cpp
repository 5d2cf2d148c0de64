#include "assay/plan/table_objectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"

namespace assay {
namespace {

tl::unexpected<Error> differs(std::span<const std::string> names, size_t place, const std::string& found) {
  return fail(ErrorCode::kMismatch, {"tables: " + printable(names[place]), found, "the first is " + printable(names[0]),
                                     "tables of several texts are made with the same model, tensors and types"});
}

const DamageRow* find_row(const DamageTable& table, const std::string& name) {
  const auto found = std::find_if(table.rows.begin(), table.rows.end(), [&](const DamageRow& row) { return row.name == name; });
  return found == table.rows.end() ? nullptr : &*found;
}

const DamageCell* find_cell(const DamageRow& row, GgmlType type) {
  const auto found = std::find_if(row.cells.begin(), row.cells.end(), [&](const DamageCell& cell) { return cell.type == type; });
  return found == row.cells.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<DamageTable>> aligned_tables(std::span<const DamageTable> tables, std::span<const std::string> names) {
  const DamageTable& first = tables[0];
  std::vector<DamageTable> aligned = {first};
  for (size_t d = 1; d < tables.size(); ++d) {
    const DamageTable& table = tables[d];
    if (!first.model_sha256.empty() && !table.model_sha256.empty() && first.model_sha256 != table.model_sha256)
      return differs(names, d, "is of another model");
    if (table.unit != first.unit) return differs(names, d, "is in " + printable(table.unit) + ", not in " + printable(first.unit));
    DamageTable made = table;
    made.rows.clear();
    for (const DamageRow& row : first.rows) {
      const DamageRow* const own = find_row(table, row.name);
      if (own == nullptr) return differs(names, d, "has no row '" + printable(row.name) + "'");
      if (own->tensors != row.tensors) return differs(names, d, "has other tensors in row '" + printable(row.name) + "'");
      DamageRow ordered{row.name, row.tensors, {}};
      for (const DamageCell& cell : row.cells) {
        const DamageCell* const one = find_cell(*own, cell.type);
        if (one == nullptr) return differs(names, d, fmt::format("has no {} in row '{}'", find_type(cell.type)->name, printable(row.name)));
        ordered.cells.push_back(*one);
      }
      for (const DamageCell& cell : own->cells)
        if (find_cell(row, cell.type) == nullptr)
          return differs(names, d,
                         fmt::format("has {} in row '{}', which the first has not", find_type(cell.type)->name, printable(row.name)));
      made.rows.push_back(std::move(ordered));
    }
    for (const DamageRow& row : table.rows)
      if (find_row(first, row.name) == nullptr) return differs(names, d, "has row '" + printable(row.name) + "', which the first has not");
    aligned.push_back(std::move(made));
  }
  return aligned;
}

DamageTable weighted_table(std::span<const DamageTable> tables, std::span<const double> weights) {
  double all = 0;
  for (const double weight : weights) all += weight;
  DamageTable made = tables[0];
  if (tables.size() > 1) made.estimator = "weighted:" + made.estimator;
  for (size_t r = 0; r < made.rows.size(); ++r)
    for (size_t c = 0; c < made.rows[r].cells.size(); ++c) {
      double damage = 0, square = 0;
      bool below = true, known = true;
      for (size_t d = 0; d < tables.size(); ++d) {
        const double weight = weights[d] / all;
        if (weight == 0) continue;
        const DamageCell& cell = tables[d].rows[r].cells[c];
        damage += weight * cell.damage;
        square += weight * weight * cell.standard_error * cell.standard_error;
        below = below && cell.below_floor;
        known = known && (cell.standard_error > 0 || cell.damage == 0);
      }
      DamageCell& cell = made.rows[r].cells[c];
      cell.damage = damage;
      cell.standard_error = known ? std::sqrt(square) : 0;
      cell.below_floor = below;
    }
  return made;
}

UpperTable upper_table(const DamageTable& table, double z) {
  UpperTable upper{table, {}};
  for (DamageRow& row : upper.table.rows)
    for (DamageCell& cell : row.cells) {
      if (cell.damage != 0 && cell.standard_error == 0)
        upper.unknown.push_back(fmt::format("{} at {}", printable(row.name), find_type(cell.type)->name));
      cell.damage += z * cell.standard_error;
    }
  return upper;
}

}  // namespace assay
