#include "assay/plan/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/sum.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

constexpr size_t kFewest = 3, kEnough = 20;
constexpr double kPoorFit = 0.7;  // RAMP's threshold of R^2

struct Line {
  double slope = 0, intercept = 0;
};

// Sums around the means, so that nothing cancels.
struct CentredSums {
  double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
};
CentredSums moments_of(std::span<const double> x, std::span<const double> y) {
  const auto n = static_cast<double>(x.size());
  CentredSums m;
  for (size_t i = 0; i < x.size(); ++i) m.x += x[i] / n, m.y += y[i] / n;
  for (size_t i = 0; i < x.size(); ++i) {
    m.xx += (x[i] - m.x) * (x[i] - m.x);
    m.xy += (x[i] - m.x) * (y[i] - m.y);
    m.yy += (y[i] - m.y) * (y[i] - m.y);
  }
  return m;
}
Line line_of(const CentredSums& m) { return {m.xy / m.xx, m.y - m.xy / m.xx * m.x}; }

// What x leaves of y; y itself where x does not vary.
std::vector<double> residuals(std::span<const double> x, std::span<const double> y) {
  const CentredSums m = moments_of(x, y);
  const Line line = m.xx > 0 ? line_of(m) : Line{0, m.y};
  std::vector<double> left;
  for (size_t i = 0; i < x.size(); ++i) left.push_back(y[i] - line.slope * x[i] - line.intercept);
  return left;
}

}  // namespace

Result<ProxyCalibration> calibrate(std::span<const CalibrationPoint> points) {
  if (points.size() < kFewest)
    return fail(ErrorCode::kUsage,
                {"calibration", "has " + std::to_string(points.size()) + " measured recipes", "at least 3, better 20", ""});
  std::vector<double> x, y, size;
  for (const CalibrationPoint& point : points) {
    if (!std::isfinite(point.proxy) || !std::isfinite(point.measured) || !std::isfinite(point.bpw))
      return fail(ErrorCode::kBadInput, "calibration: a number is not finite");
    x.push_back(point.proxy);
    y.push_back(point.measured);
    size.push_back(point.bpw);
  }
  const CentredSums m = moments_of(x, y);
  if (!(m.xx > 0)) return fail(ErrorCode::kUsage, {"calibration", "has recipes of one and the same proxy loss", "different ones", ""});
  ProxyCalibration fit;
  const Line line = line_of(m);
  fit.slope = line.slope;
  fit.intercept = line.intercept;
  fit.r_squared = m.yy > 0 ? m.xy * m.xy / (m.xx * m.yy) : 1;
  // A left-out point's error is its residual over 1 - leverage: the fit without it, in closed form.
  double squares = 0;
  const auto n = static_cast<double>(points.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double leverage = 1 / n + (x[i] - m.x) * (x[i] - m.x) / m.xx;
    const double left = y[i] - fit.predict(x[i]);
    const double error = leverage < 1 ? left / (1 - leverage) : left;
    squares += error * error;
  }
  fit.leave_one_out_rmse = std::sqrt(squares / n);
  if (m.yy > 0) fit.leave_one_out_r_squared = 1 - squares / m.yy;
  fit.spearman = spearman(x, y);
  const CentredSums rest = moments_of(residuals(size, x), residuals(size, y));
  const bool have_sizes = std::any_of(size.begin(), size.end(), [](double bpw) { return bpw > 0; });
  if (have_sizes && rest.xx > 1e-20 * m.xx && rest.yy > 1e-20 * m.yy) fit.given_size = rest.xy * rest.xy / (rest.xx * rest.yy);
  if (fit.r_squared < kPoorFit)
    fit.warnings.push_back(fmt::format("R^2 is {:.2f}: the proxy explains little of what was measured", fit.r_squared));
  if (fit.slope < 0) fit.warnings.push_back("a larger proxy loss goes with less damage: do not plan with it");
  if (points.size() < kEnough)
    fit.warnings.push_back(fmt::format("{} recipes: R^2 of so few says little; 20 that span the sizes are better", points.size()));
  return fit;
}

}  // namespace assay
