#include "assay/plan/published_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"

namespace assay {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
constexpr int kSentinel = 404;
constexpr size_t kMostTogether = 2;

std::string type_name(GgmlType type) { return find_type_size(find_type(type)->name)->name; }

Status check(const std::string& name, const DamageCell& cell) {
  if (std::isfinite(cell.damage) && cell.damage >= 0 && cell.damage != kSentinel) return {};
  return fail(ErrorCode::kBadInput,
              {"published table: '" + printable(name) + "'", fmt::format("has damage {} at {}", cell.damage, find_type(cell.type)->name),
               "damages against the unquantized model are needed", "measured on top of a recipe?"});
}

}  // namespace

Result<PublishedFiles> published_files(const DamageTable& table, std::span<const DamageCell> whole) {
  if (table.unit != kDamageUnit)
    return fail(ErrorCode::kUsage, {"published table", "cannot hold " + printable(table.unit), "damages in nats per token are needed", ""});
  PublishedFiles files;
  files.group0.columns = {"group0"};
  std::vector<GgmlType> types;  // in the order of first sight
  for (const DamageRow& row : table.rows)
    for (const DamageCell& cell : row.cells)
      if (std::find(types.begin(), types.end(), cell.type) == types.end()) types.push_back(cell.type);
  for (const DamageCell& cell : whole) {
    ASSAY_TRY(check("whole model", cell));
    files.group0.rows.push_back({type_name(cell.type), {cell.damage}});
    std::erase(types, cell.type);
  }
  if (!types.empty())
    return fail(ErrorCode::kUsage, {"published table", std::string("lacks the whole model's damage at ") + find_type(types[0])->name,
                                    "one for each type is needed", "sweep --whole measures them"});
  for (const DamageRow& row : table.rows)
    if (row.tensors.size() > kMostTogether)
      return fail(ErrorCode::kUsage,
                  {"published table: '" + printable(row.name) + "'", "has " + group_digits(row.tensors.size()) + " tensors",
                   "more than two equal numbers of a block are read as a block that never ran", "sweep --by tensor"});
  for (const DamageRow& row : table.rows) files.table.columns.insert(files.table.columns.end(), row.tensors.begin(), row.tensors.end());
  for (const DamageCell& at : whole) {
    PublishedRow line{type_name(at.type), {}};
    bool any = false;
    for (const DamageRow& row : table.rows) {
      const auto cell = std::find_if(row.cells.begin(), row.cells.end(), [&](const DamageCell& one) { return one.type == at.type; });
      if (cell != row.cells.end()) ASSAY_TRY(check(row.name, *cell));
      line.values.insert(line.values.end(), row.tensors.size(), cell == row.cells.end() ? kNotMeasured : cell->damage);
      any = any || cell != row.cells.end();
    }
    if (any) files.table.rows.push_back(std::move(line));
  }
  return files;
}

std::string to_csv(const PublishedTable& table) {
  std::string text = "QTYPE," + join(table.columns, ",") + "\n";
  for (const PublishedRow& row : table.rows) {
    text += row.type;
    for (const double value : row.values) text += std::isnan(value) ? fmt::format(",{}", kSentinel) : fmt::format(",{}", value);
    text += "\n";
  }
  return text;
}

}  // namespace assay
