// Results as one HTML page that needs nothing else: what --json wrote, put into a template that is made from web/ (docs/report.md).
// Non-goals: what the page looks like (web/), figures as files (report_figures.h).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

struct ReportSource {
  std::string path;  // shown on the page
  std::string text;  // the envelope of docs/json.md
};

// Where the data go in the template; there once.
inline constexpr std::string_view kReportMark = "@ASSAY_REPORT_DATA@";

// The template as the build made it. Errors: kNotFound, with how to make it; kBadInput: not a template.
Result<std::string> read_report_template(const std::string& path);

// The page. `type_bits`: type -> bits per weight, which order the types' colours. No byte of a result can end the element it lies in.
// Errors: kUsage: no result; kBadInput, by path: not JSON, nested too deeply, no envelope of a command.
Result<std::string> make_report_page(std::string_view page_template, std::span<const ReportSource> results,
                                     const std::map<std::string, double>& type_bits);

}  // namespace assay
