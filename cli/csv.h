// A report as comma-separated values, quoted as RFC 4180 says. Of a report of scores one line per value of each score, of a comparison one
// line per truth and score, of a damage table one line per cell; of any other one line per value: `field,value`, fields joined by dots.
#pragma once

#include <string>

#include "cli/command.h"

namespace assay::cli {

// `report`: with the field `result`.
std::string csv_of(const Json& report);

}  // namespace assay::cli
