// The options of `assay quantize --method awq`, and what it prints beside the file. Internal to cli/.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace assay::cli {

class AwqCommand {
 public:
  void declare(CLI::App& app);
  bool wanted() const { return method_ == "awq"; }
  // Options that do not go together. Error: kUsage.
  Status check(bool moments, bool calibration) const;
  QuantizeAwqOptions options(const std::string& model, const std::string& output, const QuantizeOptions& file, const TextInput& calibration,
                             Codes codes) const;
  std::string evaluation;  // text to measure on

 private:
  std::string method_ = "nearest", loss_ = "linears", search_ = "type", clip_ = "auto";
  AwqOptions awq_;
  bool symmetric_ = false;
  std::vector<const CLI::Option*> own_;
};

void add_awq(const QuantizeAwqResult& made, Outcome& outcome);

}  // namespace assay::cli
