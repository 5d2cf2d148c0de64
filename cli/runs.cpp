#include "cli/runs.h"

namespace assay::cli {

Result<std::string> store_of(const Context& context) {
  if (context.settings.store.empty()) return fail(ErrorCode::kUsage, "store: there is none (--store none, or no home directory)");
  return context.settings.store;
}

Result<RunRecord> choose_run(const std::string& store, const std::string& prefix, const std::function<bool(const RunRecord&)>& wanted,
                             const std::string& what) {
  if (!prefix.empty()) return find_run(store, prefix);
  ASSAY_ASSIGN(const RunList list, list_runs(store));
  for (auto run = list.runs.rbegin(); run != list.runs.rend(); ++run)
    if (wanted(*run)) return *run;
  return fail(ErrorCode::kNotFound, {"store " + store, "has no " + what, "`assay status` lists the runs", ""});
}

}  // namespace assay::cli
