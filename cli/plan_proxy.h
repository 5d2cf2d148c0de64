// `assay plan --proxy`: a recipe by RAMP's proxy loss in place of a damage table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/plan/calibration.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/proxy_loss.h"
#include "cli/command.h"

namespace assay::cli {

struct ProxyArguments {
  std::string facts, errors, measured;  // files
  std::string rule = "ramp";            // groups
  ProxyOptions options;
};
// --proxy and what goes with it. Returns --proxy.
CLI::Option* add_proxy_options(CLI::App& app, ProxyArguments& arguments);

class ProxyObjective {
 public:
  // `types`: as parse_types() has them; empty: RAMP's eight.
  static Result<ProxyObjective> open(const ProxyArguments& arguments, const Checkpoint& checkpoint, std::vector<GgmlType> types);

  const DamageTable& table() const { return table_; }
  // The largest parts of a recipe's loss, and what the loss says of measurements: `facts` gets "proxy", `text` lines for a terminal.
  Status describe(const Recipe& recipe, Json& facts, std::string& text) const;

 private:
  ProxyObjective(ModelStructure structure, ProxyLoss loss) : structure_(std::move(structure)), loss_(std::move(loss)) {}
  double loss_of(const Recipe& recipe) const;
  Status calibrate_on(const std::string& path);

  ModelStructure structure_;
  ProxyLoss loss_;
  DamageTable table_;
  std::vector<std::string> notes_;
  std::optional<ProxyCalibration> calibration_;
};

}  // namespace assay::cli
