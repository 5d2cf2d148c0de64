#include "assay/score/path_rule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

double integral_of_power(PathRule rule, int intervals, int power) {
  double sum = 0;
  for (const PathNode& node : path_nodes(rule, intervals)) sum += node.weight * std::pow(node.t, power);
  return sum;
}

double integral_of_exp(PathRule rule, int intervals) {
  double sum = 0;
  for (const PathNode& node : path_nodes(rule, intervals)) sum += node.weight * std::exp(2 * node.t);
  return sum;
}

TEST(PathRule, WeightsSumToOneAndNodesRise) {
  for (const PathRule rule : kPathRules)
    for (const int n : {1, 2, 3, 7, 32, 200}) {
      EXPECT_NEAR(integral_of_power(rule, n, 0), 1, 1e-13) << name_of(rule) << n;
      const auto nodes = path_nodes(rule, n);
      EXPECT_EQ(nodes.size(), static_cast<size_t>(rule == PathRule::kSimpson ? 2 * n + 1 : n));
      for (size_t i = 0; i < nodes.size(); ++i) {
        EXPECT_GE(nodes[i].t, 0);
        EXPECT_LE(nodes[i].t, 1);
        EXPECT_GT(nodes[i].weight, 0);
        EXPECT_TRUE(i == 0 || nodes[i].t > nodes[i - 1].t);
      }
    }
}

TEST(PathRule, AreExactUpToTheirDegree) {
  constexpr double kExact = 1e-13;
  EXPECT_NEAR(integral_of_power(PathRule::kMidpoint, 1, 1), 0.5, kExact);
  EXPECT_GT(std::fabs(integral_of_power(PathRule::kMidpoint, 1, 2) - 1.0 / 3), 0.08);
  EXPECT_NEAR(integral_of_power(PathRule::kSimpson, 1, 3), 0.25, kExact);
  EXPECT_NEAR(integral_of_power(PathRule::kSimpson, 5, 3), 0.25, kExact);
  EXPECT_GT(std::fabs(integral_of_power(PathRule::kSimpson, 1, 4) - 0.2), 1e-3);
  for (const int n : {1, 2, 3, 5, 8}) {
    for (int power = 0; power < 2 * n; ++power) EXPECT_NEAR(integral_of_power(PathRule::kGauss, n, power), 1.0 / (power + 1), kExact);
    EXPECT_GT(std::fabs(integral_of_power(PathRule::kGauss, n, 2 * n) - 1.0 / (2 * n + 1)), 1e-11) << n;
  }
  // Two nodes, known in closed form.
  EXPECT_NEAR(path_nodes(PathRule::kGauss, 2)[0].t, 0.5 - 0.5 / std::sqrt(3.0), kExact);
}

// Errors fall with the number of intervals as each rule's order says.
TEST(PathRule, ErrorsFallWithTheirOrder) {
  const double exact = (std::exp(2.0) - 1) / 2;
  const std::pair<PathRule, double> orders[] = {
      {PathRule::kMidpoint, 4}, {PathRule::kLeft, 2}, {PathRule::kRight, 2}, {PathRule::kSimpson, 16}};
  for (const auto& [rule, ratio] : orders)
    for (const int n : {8, 16, 32}) {
      const double coarse = integral_of_exp(rule, n) - exact, fine = integral_of_exp(rule, 2 * n) - exact;
      EXPECT_NEAR(coarse / fine, ratio, 0.1 * ratio) << name_of(rule) << n;
    }
}

TEST(PathRule, NamesAreRead) {
  for (const PathRule rule : kPathRules) EXPECT_EQ(path_rule(name_of(rule)).value(), rule);
  const auto unknown = path_rule("trapeze");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("simpson"), std::string::npos);
}

}  // namespace
}  // namespace assay
