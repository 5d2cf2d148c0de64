#include "assay/report/report_page.h"

#include <filesystem>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/report/report_json.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 64;                       // levels; ours have fewer than ten
constexpr uint64_t kLargest = uint64_t{64} << 20;  // bytes of a template

// "<" begins everything that could end the element, or open another; in JSON it stands in strings alone.
std::string without_tags(std::string_view json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

}  // namespace

Result<Json> parse_report(const ReportSource& source) {
  const std::string name = printable(source.path);
  bool too_deep = false;
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kDeepest;
    return !too_deep;
  };
  Json envelope = Json::parse(source.text, guard, false);
  if (too_deep) return fail(ErrorCode::kBadInput, {name, "is nested too deeply", "a file that --json wrote", ""});
  if (envelope.is_discarded()) return fail(ErrorCode::kBadInput, {name, "is not JSON", "a file that --json wrote", "cut off?"});
  const auto is_envelope = [](const Json& json) {
    return json.is_object() && json.contains("command") && json["command"].is_string() && json.contains("result") &&
           json["result"].is_object();
  };
  if (!is_envelope(envelope))
    return fail(ErrorCode::kBadInput, {name, "is not the result of a command", "a file that --json wrote", "another program's JSON?"});
  if (envelope["command"] == "export" && envelope["result"].contains("report") && is_envelope(envelope["result"]["report"])) {
    Json exported = std::move(envelope["result"]["report"]);
    return exported;
  }
  return envelope;
}

Result<std::string> read_report_template(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return fail(ErrorCode::kNotFound, {"report page", path + " is not there", "`make web` makes it; it needs node and npm",
                                       "built on a machine without node, or without a network?"});
  ASSAY_ASSIGN(std::string text, read_text_file(path, kLargest));
  const size_t mark = text.find(kReportMark);
  if (mark == std::string::npos || text.find(kReportMark, mark + 1) != std::string::npos)
    return fail(ErrorCode::kBadInput, {"report page", path + " is not a template of this program", "`make web` makes it", ""});
  return text;
}

Result<std::string> make_report_page(std::string_view page_template, std::span<const ReportSource> results,
                                     const std::map<std::string, double>& type_bits) {
  if (results.empty()) return fail(ErrorCode::kUsage, "report: no result to show");
  Json runs = Json::array();
  for (const ReportSource& source : results) {
    ASSAY_ASSIGN(Json envelope, parse_report(source));
    runs.push_back({{"path", source.path}, {"report", std::move(envelope)}});
  }
  const Json data = {{"assay", ASSAY_VERSION}, {"type_bits", type_bits}, {"runs", std::move(runs)}};
  const std::string json = without_tags(data.dump(-1, ' ', false, Json::error_handler_t::replace));
  const size_t mark = page_template.find(kReportMark);
  if (mark == std::string_view::npos) return fail(ErrorCode::kBadInput, "report page: the template has no place for data");
  std::string page;
  page.reserve(page_template.size() + json.size());
  page.append(page_template.substr(0, mark)).append(json).append(page_template.substr(mark + kReportMark.size()));
  return page;
}

}  // namespace assay
