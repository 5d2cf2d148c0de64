#include "assay/plan/depth_smoother.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "assay/score/median.h"

namespace assay {
namespace {

constexpr double kLevel = 4, kRole = 1, kWalk = 0.3;  // variances in units of the scale
constexpr std::array<double, 2> kShared = {0.3, 0};
constexpr std::array<double, 3> kLengths = {64, 16, 4};  // layers
constexpr std::array<double, 4> kNoises = {0.1, 0.03, 0.01, 0.001};
constexpr size_t kMostTuned = 500;  // tensors that the shape is chosen on: its cost is their number cubed, 24 times
constexpr double kMostError = 1;    // what a block left out may count for a tensor: 1 in logs is far

struct Shape {
  double shared = 0, length = 1, noise = 1;
};

double covariance(const DepthPoint& a, const DepthPoint& b, const Shape& shape) {
  const double role = a.role == b.role ? 1 : 0;
  double sum = kLevel + kRole * role;
  if (a.layer >= 0 && b.layer >= 0) sum += (shape.shared + kWalk * role) * std::exp(-std::abs(a.layer - b.layer) / shape.length);
  return sum;
}

// A symmetric positive definite matrix, [n, n] row-major, replaced by its lower Cholesky factor.
void factor(std::vector<double>& a, size_t n) {
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
}

// L z = b, in place.
void solve_lower(const std::vector<double>& factor, size_t n, std::vector<double>& b) {
  for (size_t i = 0; i < n; ++i) {
    double sum = b[i];
    for (size_t k = 0; k < i; ++k) sum -= factor[i * n + k] * b[k];
    b[i] = sum / factor[i * n + i];
  }
}

// L^T z = b, in place.
void solve_upper(const std::vector<double>& factor, size_t n, std::vector<double>& b) {
  for (size_t i = n; i-- > 0;) {
    b[i] /= factor[i * n + i];
    for (size_t k = 0; k < i; ++k) b[k] -= factor[i * n + k] * b[i];
  }
}

std::vector<double> factored(std::span<const DepthPoint> known, const Shape& shape) {
  const size_t n = known.size();
  std::vector<double> matrix(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j <= i; ++j) matrix[i * n + j] = covariance(known[i], known[j], shape) + (i == j ? shape.noise : 0);
  factor(matrix, n);
  return matrix;
}

struct BlockErrors {
  double absolute = 0;  // mean, clipped
  double scale = 0;     // mean square in units of what the shape expects; 0: no blocks
};

// Errors of tensors whose whole block is left out: e_b = (A^-1)_bb^-1 (A^-1 y)_b for each block b, and e_b' (A^-1)_bb e_b.
BlockErrors leave_blocks_out(std::span<const DepthPoint> known, const std::vector<double>& centred, const Shape& shape) {
  const size_t n = known.size();
  const std::vector<double> lower = factored(known, shape);
  // Rows of L^-1: A^-1 = L^-T L^-1.
  std::vector<double> inverse(n * n);
  for (size_t i = 0; i < n; ++i) {
    inverse[i * n + i] = 1 / lower[i * n + i];
    for (size_t k = 0; k < i; ++k) {
      const double factor = -lower[i * n + k] * inverse[i * n + i];
      for (size_t j = 0; j <= k; ++j) inverse[i * n + j] += factor * inverse[k * n + j];
    }
  }
  std::vector<double> solved = centred;
  solve_lower(lower, n, solved);
  solve_upper(lower, n, solved);
  std::map<int, std::vector<size_t>> blocks;
  for (size_t i = 0; i < n; ++i)
    if (known[i].layer >= 0) blocks[known[i].layer].push_back(i);
  BlockErrors errors;
  size_t count = 0;
  for (const auto& [layer, members] : blocks) {
    const size_t m = members.size();
    std::vector<double> part(m * m), error(m);
    for (size_t a = 0; a < m; ++a) {
      error[a] = solved[members[a]];
      for (size_t b = 0; b <= a; ++b)
        for (size_t k = members[a]; k < n; ++k) part[a * m + b] += inverse[k * n + members[a]] * inverse[k * n + members[b]];
    }
    factor(part, m);
    solve_lower(part, m, error);
    solve_upper(part, m, error);
    for (size_t a = 0; a < m; ++a) {
      errors.absolute += std::min(std::abs(error[a]), kMostError);
      errors.scale += error[a] * solved[members[a]];
    }
    count += m;
  }
  if (count > 0) {
    errors.absolute /= static_cast<double>(count);
    errors.scale /= static_cast<double>(count);
  }
  return errors;
}

// The first roles that have no more than kMostTuned tensors together; at least one that has some.
size_t tuned_roles(std::span<const DepthPoint> known) {
  std::map<size_t, size_t> counts;
  for (const DepthPoint& point : known) ++counts[point.role];
  size_t sum = 0, roles = 0;
  for (const auto& [role, count] : counts) {
    if (sum > 0 && sum + count > kMostTuned) break;
    sum += count;
    roles = role + 1;
  }
  return roles;
}

}  // namespace

std::vector<DepthGuess> smooth_over_depth(std::span<const DepthPoint> known, std::span<const double> values,
                                          std::span<const DepthPoint> wanted) {
  const size_t n = known.size();
  const double middle = median({values.begin(), values.end()});
  std::vector<double> centred(values.begin(), values.end());
  for (double& value : centred) value -= middle;
  std::vector<DepthPoint> tuned;
  std::vector<double> tuned_values;
  const size_t roles = tuned_roles(known);
  for (size_t i = 0; i < n; ++i)
    if (known[i].role < roles) {
      tuned.push_back(known[i]);
      tuned_values.push_back(centred[i]);
    }
  Shape best;
  double least = std::numeric_limits<double>::infinity(), scale = 0;
  for (const double shared : kShared)
    for (const double length : kLengths)
      for (const double noise : kNoises) {
        const Shape shape{shared, length, noise};
        const BlockErrors errors = leave_blocks_out(tuned, tuned_values, shape);
        if (errors.absolute >= least - 1e-12) continue;
        least = errors.absolute;
        scale = errors.scale;
        best = shape;
      }
  const std::vector<double> lower = factored(known, best);
  std::vector<double> solved = centred;
  solve_lower(lower, n, solved);
  if (scale == 0)  // nothing in blocks
    for (const double one : solved) scale += one * one / static_cast<double>(n);
  solve_upper(lower, n, solved);
  std::vector<DepthGuess> guesses;
  for (const DepthPoint& point : wanted) {
    std::vector<double> row(n);
    DepthGuess guess{middle, 0};
    for (size_t i = 0; i < n; ++i) {
      row[i] = covariance(point, known[i], best);
      guess.value += row[i] * solved[i];
    }
    solve_lower(lower, n, row);
    double explained = 0;
    for (const double one : row) explained += one * one;
    guess.variance = scale * std::max(0.0, covariance(point, point, best) + best.noise - explained);
    guesses.push_back(guess);
  }
  return guesses;
}

std::vector<double> line_over_depth(std::span<const DepthPoint> known, std::span<const double> values, std::span<const DepthPoint> wanted) {
  std::map<size_t, std::map<int, std::vector<double>>> roles;
  for (size_t i = 0; i < known.size(); ++i)
    if (known[i].layer >= 0) roles[known[i].role][known[i].layer].push_back(values[i]);
  const double middle = median({values.begin(), values.end()});
  std::vector<double> guesses;
  for (const DepthPoint& point : wanted) {
    const auto role = roles.find(point.role);
    if (role == roles.end()) {
      guesses.push_back(middle);
      continue;
    }
    const auto after = role->second.lower_bound(point.layer);
    if (after == role->second.end()) {
      guesses.push_back(median(role->second.rbegin()->second));
    } else if (after == role->second.begin() || after->first == point.layer) {
      guesses.push_back(median(after->second));
    } else {
      const auto before = std::prev(after);
      const double share = static_cast<double>(point.layer - before->first) / (after->first - before->first);
      guesses.push_back((1 - share) * median(before->second) + share * median(after->second));
    }
  }
  return guesses;
}

std::vector<double> role_medians(std::span<const DepthPoint> known, std::span<const double> values, std::span<const DepthPoint> wanted) {
  std::map<size_t, std::vector<double>> roles;
  for (size_t i = 0; i < known.size(); ++i) roles[known[i].role].push_back(values[i]);
  const double middle = median({values.begin(), values.end()});
  std::vector<double> guesses;
  for (const DepthPoint& point : wanted) {
    const auto role = roles.find(point.role);
    guesses.push_back(role == roles.end() ? middle : median(role->second));
  }
  return guesses;
}

}  // namespace assay
