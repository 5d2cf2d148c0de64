#include "assay/awq/awq_options.h"

#include <fmt/format.h>

namespace assay {

std::string AwqOptions::describe() const {
  return fmt::format("{} bits, groups of {}, {}, loss of {}, {}, {}, {} steps{}", grid.bits, grid.group,
                     grid.zero_point ? "zero point" : "symmetric", loss == AwqLoss::kLinears ? "linears" : "modules",
                     clip ? "clips" : "no clips", lite ? "lite" : "whole", steps,
                     loss == AwqLoss::kModule ? fmt::format(", {} tokens", module_tokens) : "");
}

}  // namespace assay
