// What refining or searching a plan did, as JSON and as text for `optimize`.
#pragma once

#include <string>

#include "cli/command.h"

namespace assay::cli {

Json refine_json(const RefineReport& report);
Json search_json(const SearchReport& report);
std::string refine_text(const RefineReport& report);
std::string search_text(const SearchReport& report);

}  // namespace assay::cli
