#include "cli/csv.h"

namespace assay::cli {
namespace {

std::string field_of(const Json& value) {
  if (value.is_null()) return "";
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void add_values(const Json& value, const std::string& path, std::string& text) {
  if (!value.is_structured()) {
    text += field_of(Json(path)) + "," + field_of(value) + "\r\n";
    return;
  }
  size_t index = 0;
  for (const auto& [name, child] : value.items()) {
    const std::string step = value.is_object() ? name : std::to_string(index++);
    add_values(child, path.empty() ? step : path + "." + step, text);
  }
}

}  // namespace

std::string csv_of(const Json& report) {
  const Json& result = report["result"];
  const bool table = result.is_object() && result.contains("table") && result["table"].is_object() && result["table"].contains("rows");
  if (!table) {
    std::string text = "field,value\r\n";
    add_values(result, "", text);
    return text;
  }
  std::string text = "name,type,damage,standard_error,below_floor\r\n";
  for (const Json& row : result["table"]["rows"])
    for (const Json& cell : row.value("cells", Json::array())) {
      text += field_of(row.value("name", Json()));
      for (const char* column : {"type", "damage", "standard_error", "below_floor"}) text += "," + field_of(cell.value(column, Json()));
      text += "\r\n";
    }
  return text;
}

}  // namespace assay::cli
