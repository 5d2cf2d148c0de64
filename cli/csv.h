// A report as comma-separated values, quoted as RFC 4180 says. Of a report with a damage table one line per cell; of any other one line
// per value: `field,value`, fields joined by dots.
#pragma once

#include <string>

#include "cli/command.h"

namespace assay::cli {

std::string csv_of(const Json& report);

}  // namespace assay::cli
