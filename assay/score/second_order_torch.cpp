#include <algorithm>
#include <cmath>

#include "assay/score/second_order.h"

namespace assay {
namespace {

// Rounding of a derivative d . g: gradients are good to about this, relative, with independent errors. The sum of |d_i g_i| / sqrt(n)
// stands in for their root of squares.
constexpr double kRounding = 1e-5;

// From derivatives at h, -h, 2 h, -2 h. `size`: of the derivative, for its rounding.
SecondOrderTerm term_of(double first, const double (&at)[4], double h, double size) {
  const double near = (at[0] - at[1]) / (2 * h), far = (at[2] - at[3]) / (4 * h);
  const double extrapolated = (4 * near - far) / 3;
  const double rounding = kRounding * size / h;
  return {first, 0.5 * extrapolated, 0.5 * (std::fabs(extrapolated - near) + rounding)};
}

// The point at w of a path with fewer matrices.
Result<PathPoint> narrowed(const PathGradients& start, const std::vector<PathMatrix>& matrices) {
  if (start.points.empty() || start.points[0].t != 0) return fail(ErrorCode::kUsage, "second order: the start given is not at w");
  PathPoint point = start.points[0];
  point.matrices.clear();
  for (const PathMatrix& matrix : matrices) {
    const auto found =
        std::find_if(start.matrices.begin(), start.matrices.end(), [&](const PathMatrix& one) { return one.tensor == matrix.tensor; });
    if (found == start.matrices.end()) return fail(ErrorCode::kUsage, "second order: the start given lacks tensor '" + matrix.tensor + "'");
    point.matrices.push_back(start.points[0].matrices[static_cast<size_t>(found - start.matrices.begin())]);
  }
  return point;
}

// Null: no such point.
const PathPoint* find_point(const PathGradients& path, double t) {
  const auto found = std::ranges::find_if(path.points, [t](const PathPoint& point) { return point.t == t; });
  return found == path.points.end() ? nullptr : &*found;
}

}  // namespace

Result<SecondOrder> second_order_of(PathGradients path, double step) {
  const double h = step;
  const PathPoint* const points[] = {find_point(path, h), find_point(path, -h), find_point(path, 2 * h), find_point(path, -2 * h)};
  if (std::ranges::count(points, nullptr) > 0) return fail(ErrorCode::kUsage, "second order: the path lacks one of h, -h, 2 h, -2 h");
  const PathPoint* const start = find_point(path, 0);
  SecondOrder result;
  double totals[4] = {}, first = 0, square = 0;
  for (size_t m = 0; m < path.matrices.size(); ++m) {
    const PathMatrix& matrix = path.matrices[m];
    double at[4];
    for (size_t i = 0; i < 4; ++i) totals[i] += at[i] = points[i]->matrices[m].total;
    const double size = points[0]->matrices[m].absolute / std::sqrt(static_cast<double>(matrix.elements));
    const double slope = start != nullptr ? start->matrices[m].total : 0;
    first += slope;
    square += size * size;
    result.matrices.push_back({matrix.tensor, matrix.layer, term_of(slope, at, h, size)});
  }
  result.total = term_of(first, totals, h, std::sqrt(square));
  result.path = std::move(path);
  return result;
}

Result<SecondOrder> second_order(const QuantizationPath& path, const SecondOrderOptions& options, Progress& progress) {
  const double h = options.step;
  if (!(h > 0 && h <= 0.5)) return fail(ErrorCode::kUsage, "second order: the step must be above 0 and at most 0.5");
  const double ts[] = {0, h, -h, 2 * h, -2 * h};
  ASSAY_ASSIGN(PathGradients points, path_gradients(path, std::span(ts).subspan(options.start ? 1 : 0), {}, progress));
  if (options.start) {
    ASSAY_ASSIGN(PathPoint start, narrowed(*options.start, points.matrices));
    points.points.insert(points.points.begin(), std::move(start));
  }
  return second_order_of(std::move(points), h);
}

}  // namespace assay
