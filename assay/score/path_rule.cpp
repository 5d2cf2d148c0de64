#include "assay/score/path_rule.h"

#include <cmath>
#include <numbers>

#include "assay/base/text.h"

namespace assay {
namespace {

// The Legendre polynomial of degree n and its derivative at x in (-1, 1).
std::pair<double, double> legendre(int n, double x) {
  double before = 1, value = x;
  for (int k = 2; k <= n; ++k) {
    const double next = ((2 * k - 1) * x * value - (k - 1) * before) / k;
    before = value;
    value = next;
  }
  return {value, n * (x * value - before) / (x * x - 1)};
}

std::vector<PathNode> gauss_nodes(int n) {
  constexpr int kSteps = 100;  // Newton from Tricomi's guess needs about four
  std::vector<PathNode> nodes;
  for (int i = n; i >= 1; --i) {
    double x = std::cos(std::numbers::pi * (i - 0.25) / (n + 0.5));
    for (int step = 0; step < kSteps; ++step) {
      const auto [value, slope] = legendre(n, x);
      const double moved = x - value / slope;
      const bool settled = std::fabs(moved - x) < 1e-15;
      x = moved;
      if (settled) break;
    }
    const double slope = legendre(n, x).second;
    nodes.push_back({(1 + x) / 2, 1 / ((1 - x * x) * slope * slope)});
  }
  return nodes;
}

}  // namespace

std::string_view name_of(PathRule rule) {
  switch (rule) {
    case PathRule::kMidpoint:
      return "midpoint";
    case PathRule::kLeft:
      return "left";
    case PathRule::kRight:
      return "right";
    case PathRule::kSimpson:
      return "simpson";
    case PathRule::kGauss:
      return "gauss";
  }
  return "";
}

Result<PathRule> path_rule(std::string_view name) {
  for (const PathRule rule : kPathRules)
    if (name == name_of(rule)) return rule;
  return fail(ErrorCode::kUsage, {"rule '" + printable(name) + "'", "is not known", "midpoint, left, right, simpson or gauss", ""});
}

std::vector<PathNode> path_nodes(PathRule rule, int intervals) {
  const double n = intervals;
  std::vector<PathNode> nodes;
  switch (rule) {
    case PathRule::kMidpoint:
    case PathRule::kLeft:
    case PathRule::kRight: {
      const double shift = rule == PathRule::kLeft ? 0 : rule == PathRule::kRight ? 1 : 0.5;
      for (int k = 0; k < intervals; ++k) nodes.push_back({(k + shift) / n, 1 / n});
      return nodes;
    }
    case PathRule::kSimpson:
      for (int k = 0; k <= 2 * intervals; ++k) {
        const bool end = k == 0 || k == 2 * intervals;
        nodes.push_back({k / (2 * n), (end ? 1 : k % 2 == 1 ? 4 : 2) / (6 * n)});
      }
      return nodes;
    case PathRule::kGauss:
      return gauss_nodes(intervals);
  }
  return nodes;
}

}  // namespace assay
