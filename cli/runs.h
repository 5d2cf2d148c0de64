// What status, resume and export share: finding the run that is meant.
#pragma once

#include <string>

#include "cli/command.h"

namespace assay::cli {

// The command's store; kUsage where there is none.
Result<std::string> store_of(const Context& context);
// The run whose id begins with `prefix`; without one the latest, of those that `wanted` takes.
Result<RunRecord> choose_run(const std::string& store, const std::string& prefix, const std::function<bool(const RunRecord&)>& wanted,
                             const std::string& what);

}  // namespace assay::cli
