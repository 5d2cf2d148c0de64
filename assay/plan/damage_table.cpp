#include "assay/plan/damage_table.h"

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/json_text.h"

namespace assay {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

tl::unexpected<Error> bad(const std::string& field, const std::string& found, const std::string& needed) {
  return fail(ErrorCode::kBadInput, {"damage table: " + field, found, needed, "not written by sweep or score?"});
}

// The member of an object; nullptr if absent or null.
const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_member(const Json& object, const char* name, const std::string& where) {
  const Json* value = member(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return bad(where + name, "is not a string", "");
  return value->get<std::string>();
}

Result<double> number_member(const Json& object, const char* name, const std::string& where) {
  const Json* value = member(object, name);
  if (value == nullptr) return 0.0;
  if (!value->is_number() || !std::isfinite(value->get<double>())) return bad(where + name, "is not a finite number", "");
  return value->get<double>();
}

Result<DamageCell> parse_cell(const Json& entry, const std::string& where) {
  if (!entry.is_object()) return bad(where, "is not an object", "");
  ASSAY_ASSIGN(const std::string name, text_member(entry, "type", where + "."));
  const GgmlTypeInfo* type = find_type(name);
  if (type == nullptr) return bad(where + ".type", "is '" + printable(name) + "'", "the name of a ggml type is needed");
  if (member(entry, "damage") == nullptr) return bad(where + ".damage", "is missing", "a finite number is needed");
  DamageCell cell;
  cell.type = type->type;
  ASSAY_ASSIGN(cell.damage, number_member(entry, "damage", where + "."));
  ASSAY_ASSIGN(cell.standard_error, number_member(entry, "standard_error", where + "."));
  if (cell.standard_error < 0) return bad(where + ".standard_error", "is negative", "");
  if (const Json* below = member(entry, "below_floor")) {
    if (!below->is_boolean()) return bad(where + ".below_floor", "is not true or false", "");
    cell.below_floor = below->get<bool>();
  }
  return cell;
}

Result<DamageRow> parse_row(const Json& entry, const std::string& where) {
  if (!entry.is_object()) return bad(where, "is not an object", "");
  DamageRow row;
  ASSAY_ASSIGN(row.name, text_member(entry, "name", where + "."));
  if (row.name.empty()) return bad(where + ".name", "is missing", "the tensor's or the group's name is needed");
  if (const Json* tensors = member(entry, "tensors")) {
    if (!tensors->is_array() || tensors->empty()) return bad(where + ".tensors", "is not a list of names", "");
    for (const Json& tensor : *tensors) {
      if (!tensor.is_string()) return bad(where + ".tensors", "is not a list of names", "");
      row.tensors.push_back(tensor.get<std::string>());
    }
  } else {
    row.tensors = {row.name};
  }
  const Json* cells = member(entry, "cells");
  if (cells == nullptr || !cells->is_array()) return bad(where + ".cells", "is not a list", "");
  std::set<GgmlType> seen;
  for (size_t i = 0; i < cells->size(); ++i) {
    ASSAY_ASSIGN(const DamageCell cell, parse_cell((*cells)[i], where + ".cells[" + std::to_string(i) + "]"));
    if (!seen.insert(cell.type).second) return bad(where + ".cells", std::string("holds ") + find_type(cell.type)->name + " twice", "");
    row.cells.push_back(cell);
  }
  return row;
}

}  // namespace

std::string to_json(const DamageTable& table) {
  OrderedJson rows = OrderedJson::array();
  for (const DamageRow& row : table.rows) {
    OrderedJson cells = OrderedJson::array();
    for (const DamageCell& cell : row.cells) {
      cells.push_back({{"type", find_type(cell.type)->name},
                       {"damage", cell.damage},
                       {"standard_error", cell.standard_error},
                       {"below_floor", cell.below_floor}});
    }
    rows.push_back({{"name", row.name}, {"tensors", row.tensors}, {"cells", std::move(cells)}});
  }
  const OrderedJson json = {{"model_sha256", table.model_sha256},
                            {"estimator", table.estimator},
                            {"unit", table.unit},
                            {"noise_floor", table.noise_floor},
                            {"rows", std::move(rows)}};
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string rows_sha256(const DamageTable& table) {
  Sha256 hash;
  const auto add = [&](const std::string& text) {
    hash.add(static_cast<uint64_t>(text.size()));
    hash.add(text);
  };
  for (const DamageRow& row : table.rows) {
    add(row.name);
    hash.add(static_cast<uint64_t>(row.tensors.size()));
    for (const std::string& tensor : row.tensors) add(tensor);
    hash.add(static_cast<uint64_t>(row.cells.size()));
    for (const DamageCell& cell : row.cells) {
      add(find_type(cell.type)->name);
      // A zero that was written and read has no sign.
      hash.add(std::bit_cast<uint64_t>(cell.damage + 0.0));
      hash.add(std::bit_cast<uint64_t>(cell.standard_error + 0.0));
    }
  }
  return hash.hex();
}

Result<DamageTable> damage_table_from_json(std::string_view text) {
  ASSAY_ASSIGN(const Json file, parse_json(text, "damage table", RepeatedKeys::kRefuse));
  if (!file.is_object()) return bad("the text", "is not a JSON object", "");
  const Json* root = &file;
  if (const Json* result = member(file, "result"); result != nullptr && result->is_object() && member(*result, "table") != nullptr)
    root = member(*result, "table");
  if (!root->is_object() || member(*root, "rows") == nullptr) return bad("rows", "is missing", "a list of rows is needed");
  const Json& rows = *member(*root, "rows");
  if (!rows.is_array() || rows.empty()) return bad("rows", "is not a list of rows", "");
  DamageTable table;
  ASSAY_ASSIGN(table.model_sha256, text_member(*root, "model_sha256", ""));
  ASSAY_ASSIGN(table.estimator, text_member(*root, "estimator", ""));
  if (member(*root, "unit") != nullptr) {
    ASSAY_ASSIGN(table.unit, text_member(*root, "unit", ""));
  }
  ASSAY_ASSIGN(table.noise_floor, number_member(*root, "noise_floor", ""));
  std::set<std::string> tensors;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = "rows[" + std::to_string(i) + "]";
    ASSAY_ASSIGN(DamageRow row, parse_row(rows[i], where));
    for (const std::string& tensor : row.tensors)
      if (!tensors.insert(tensor).second)
        return bad(where + ".tensors", "names '" + printable(tensor) + "' again", "each tensor belongs to one row");
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace assay
