// A result file's JSON, checked once for all that draw from it.
// Non-goals: the schema (docs/schema/result.schema.json): a field that is missing is drawn as missing.
#pragma once

#include <nlohmann/json.hpp>

#include "assay/report/report_page.h"

namespace assay {

// The envelope; that of the exported run where `export` wrote it. Errors: kBadInput (report_page.h).
Result<nlohmann::ordered_json> parse_report(const ReportSource& source);

}  // namespace assay
