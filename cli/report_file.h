// The HTML page of results, as a file: `report`, and --report of every command.
#pragma once

#include <map>
#include <span>
#include <string>

#include "assay/file/atomic_writer.h"
#include "assay/report/report_page.h"

namespace assay::cli {

// The page's template, which the build put beside the program. Errors: as read_report_template.
Result<std::string> report_template();
// Type in capitals -> bits per weight.
std::map<std::string, double> report_type_bits();
// Whole or not at all; returns its bytes.
Result<uint64_t> write_report(const std::string& path, const std::string& page_template, std::span<const ReportSource> results,
                              const OutputOptions& output);

}  // namespace assay::cli
