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

// A line of fields.
template <class... Fields>
std::string line_of(const Fields&... fields) {
  std::string line;
  ((line += (line.empty() ? "" : ",") + field_of(Json(fields))), ...);
  return line + "\r\n";
}

bool has_rows(const Json& result, const char* name, const char* rows) {
  return result.is_object() && result.contains(name) && result[name].is_array() && !result[name].empty() && result[name][0].contains(rows);
}

std::string csv_of_table(const Json& rows) {
  std::string text = "name,type,damage,standard_error,below_floor\r\n";
  for (const Json& row : rows)
    for (const Json& cell : row.value("cells", Json::array()))
      text += line_of(row.value("name", Json()), cell.value("type", Json()), cell.value("damage", Json()),
                      cell.value("standard_error", Json()), cell.value("below_floor", Json()));
  return text;
}

std::string csv_of_scores(const Json& scores) {
  std::string text = "score,unit,name,elements,type,value,standard_error\r\n";
  for (const Json& score : scores)
    for (const Json& row : score["rows"])
      for (const Json& cell : row["cells"])
        text += line_of(score["name"], score["unit"], row["name"], row["elements"], cell["type"], cell["value"], cell["standard_error"]);
  return text;
}

// Plans beside it: one line per score and size.
std::string csv_of_comparison(const Json& result) {
  std::string text =
      "truth,score,verdict,items,within_type,low,high,within_role,overall,within_tensor,given_size,kendall,top_overlap,slope,ratio,p_holm,"
      "smallest_detectable\r\n";
  for (const Json& truth : result["truths"])
    for (const Json& one : truth["judgements"]) {
      const Json& within = one["within_type"]["spearman"];
      const auto end = [&](size_t i) { return within["ci95_blocks"].is_array() ? within["ci95_blocks"][i] : Json(); };
      text +=
          line_of(truth["truth"], one["score"], one["verdict"], one["items"], within["value"], end(0), end(1),
                  one["within_role"]["spearman"]["value"], one["overall"]["spearman"]["value"], one["within_tensor"]["spearman"]["value"],
                  one["given_size"]["value"], one["within_type"]["kendall_tau_b"], one["within_type"]["top_overlap"],
                  one["calibration"]["slope"], one["calibration"]["ratio"], one["p_holm"], one["smallest_detectable"]);
    }
  if (result["plans"].empty()) return text;
  text += "\r\nscore,bpw,bytes,mean_kl,regret,regret_low,regret_high\r\n";
  for (const Json& one : result["plans"])
    text += line_of(one["score"], one["bpw"], one["bytes"], one["mean_kl"], one["regret"], one["regret_ci95"][0], one["regret_ci95"][1]);
  return text;
}

}  // namespace

std::string csv_of(const Json& report) {
  const Json& result = report["result"];
  if (has_rows(result, "truths", "judgements")) return csv_of_comparison(result);
  if (has_rows(result, "scores", "rows")) return csv_of_scores(result["scores"]);
  if (result.is_object() && result.contains("table") && result["table"].is_object() && result["table"].contains("rows"))
    return csv_of_table(result["table"]["rows"]);
  std::string text = "field,value\r\n";
  add_values(result, "", text);
  return text;
}

}  // namespace assay::cli
