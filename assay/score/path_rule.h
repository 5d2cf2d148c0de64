// Quadrature over t in [0, 1]: where the gradient is taken on the path from a model to its quantization, and with what weight.
// Torch-free. Non-goals: what is integrated (path_gradients.h).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

// Of N equal intervals: their middles, left ends, right ends; Simpson's rule on each (its ends and its middle: 2 N + 1 nodes).
// kGauss: Gauss-Legendre with N nodes on the whole path. Error in 1/N: order 2, 1, 1, 4; Gauss is exact up to degree 2 N - 1.
enum class PathRule : uint8_t { kMidpoint, kLeft, kRight, kSimpson, kGauss };
inline constexpr PathRule kPathRules[] = {PathRule::kMidpoint, PathRule::kLeft, PathRule::kRight, PathRule::kSimpson, PathRule::kGauss};
std::string_view name_of(PathRule rule);            // "midpoint", ...
Result<PathRule> path_rule(std::string_view name);  // kUsage: lists the names

struct PathNode {
  double t = 0, weight = 0;
};
// In rising t; weights add up to 1. intervals: 1 to 4096.
std::vector<PathNode> path_nodes(PathRule rule, int intervals);

}  // namespace assay
