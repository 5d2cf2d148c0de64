// How well a proxy says what measurements say: measured = slope x proxy + intercept by least squares over measured recipes
// (methods.md 5.4), what is left over, and what a fit of few points hides: the error of each point predicted from the others, rank
// correlation, and how much remains once size alone is taken out. Torch-free. Non-goals: measuring.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct CalibrationPoint {
  double proxy = 0;
  double measured = 0;  // perplexity, or KL
  double bpw = 0;       // of the recipe; 0 everywhere: not known
};

struct ProxyCalibration {
  double slope = 0, intercept = 0;
  double r_squared = 0;
  double leave_one_out_rmse = 0;                  // of each point by the line through the others; unit of `measured`
  std::optional<double> leave_one_out_r_squared;  // none: all measured are equal
  std::optional<double> spearman;
  std::optional<double> given_size;  // R^2 of what bits per weight leave of both
  std::vector<std::string> warnings;

  double predict(double proxy) const { return slope * proxy + intercept; }
};

// Errors: kUsage (fewer than 3 points, proxies all equal), kBadInput (a number that is not finite).
Result<ProxyCalibration> calibrate(std::span<const CalibrationPoint> points);

}  // namespace assay
