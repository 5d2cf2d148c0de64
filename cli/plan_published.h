// `assay plan --published`: a recipe from what others measured, without weights.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace assay::cli {

struct PublishedPlanArguments {
  std::string table, group0, map;   // files
  std::string objective = "roles";  // find_published_model
  std::string format = "thireus";   // of the recipe written
  std::string table_output;         // damage table
  double exponent = 1;              // PublishedPlanOptions::exponent
};
// --published, --group0, --map, --objective, --exponent, --to, --table-output. Returns --published.
CLI::Option* add_published_options(CLI::App& app, PublishedPlanArguments& arguments);

// What `plan` has for every kind of table.
struct PublishedPlanRequest {
  std::string model;  // where --map is not given
  std::string types, size, solver, output;
  double bpw = 0;
};
Result<Outcome> plan_published_tables(const PublishedPlanArguments& arguments, const PublishedPlanRequest& request, Context& context);

}  // namespace assay::cli
