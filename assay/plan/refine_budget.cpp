#include "assay/plan/refine_budget.h"

#include <charconv>
#include <cmath>
#include <string>

#include "assay/base/text.h"

namespace assay {

Result<RefineBudget> parse_refine_budget(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const double seconds = unit == "s" ? 1 : unit == "min" ? 60 : unit == "h" ? 3600 : 0;
  if (error != std::errc() || !std::isfinite(value) || value < 0 || value > 1e9 || (!unit.empty() && seconds == 0))
    return fail(ErrorCode::kUsage, {"--refine '" + printable(std::string(text)) + "'", "is no budget",
                                    "forward-equivalents (200) or time (10min, 30s, 2h)", ""});
  return seconds > 0 ? RefineBudget{0, value * seconds} : RefineBudget{value, 0};
}

}  // namespace assay
