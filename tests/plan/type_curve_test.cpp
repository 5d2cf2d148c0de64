#include "assay/plan/type_curve.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr double kRounding = 1e-9;

// Six types, `tensors` tensors of two roles; damage(tensor, role, G) gives the cells.
template <class Damage>
CurveInput table(size_t tensors, const Damage& damage) {
  CurveInput input;
  input.roles = 2;
  input.whole = {3, 1.2, 0.5, 0.2, 0.05, 0.01};
  input.family_of = {0, 1, 2, 3, 4, 5};
  for (size_t t = 0; t < tensors; ++t) {
    input.role_of.push_back(t % 2);
    for (size_t q = 0; q < input.whole.size(); ++q) input.cells.push_back({t, q, damage(t, t % 2, input.whole[q])});
  }
  return input;
}

double predicted(const CurveFit& fit, const CurveInput& input, size_t t, size_t q) {
  return std::exp(fit.log_damage(fit.effects[t], input.role_of[t], q, input.whole[q]));
}

TEST(TypeCurve, RecoversRankOneExactly) {
  const auto damage = [](size_t t, size_t, double whole) { return 0.001 * static_cast<double>(t + 1) * whole; };
  const CurveInput input = table(8, damage);
  for (const CurveFit& fit : {fit_rank_one(input), fit_type_curve(input)}) {
    EXPECT_EQ(fit.offset, 0);
    EXPECT_EQ(fit.saturation, 0);
    EXPECT_NEAR(fit.type_error, 0, kRounding);
    EXPECT_NEAR(fit.cell_error, 0, kRounding);
    for (size_t t = 0; t < 8; ++t)
      for (size_t q = 0; q < 6; ++q) EXPECT_NEAR(predicted(fit, input, t, q) / damage(t, 0, input.whole[q]), 1, kRounding);
  }
}

// A type without cells is extrapolated by the whole model's curve.
TEST(TypeCurve, PredictsATypeLeftOut) {
  const auto damage = [](size_t t, size_t, double whole) { return 0.001 * static_cast<double>(t + 1) * whole; };
  CurveInput input = table(8, damage);
  std::erase_if(input.cells, [](const CurveCell& cell) { return cell.type == 5; });
  const CurveFit fit = fit_type_curve(input);
  EXPECT_NEAR(predicted(fit, input, 3, 5), damage(3, 0, 0.01), kRounding);
  EXPECT_EQ(fit.measured_x.size(), 5u);
}

TEST(TypeCurve, LearnsSlopesOfRoles) {
  const auto damage = [](size_t t, size_t role, double whole) {
    return 0.001 * static_cast<double>(t + 1) * std::pow(whole, role == 0 ? 0.6 : 1.3);
  };
  CurveInput input = table(40, damage);
  std::erase_if(input.cells, [](const CurveCell& cell) { return cell.type == 4; });
  const CurveFit ours = fit_type_curve(input), rank1 = fit_rank_one(input);
  EXPECT_NEAR(ours.slopes[0], 0.6, 0.05);
  EXPECT_NEAR(ours.slopes[1], 1.3, 0.05);
  EXPECT_LT(ours.type_error, 0.3 * rank1.type_error);
  double error = 0, plain = 0;
  for (size_t t = 0; t < 40; ++t) {
    const double truth = std::log(damage(t, t % 2, input.whole[4]));
    error += std::abs(std::log(predicted(ours, input, t, 4)) - truth);
    plain += std::abs(std::log(predicted(rank1, input, t, 4)) - truth);
  }
  EXPECT_LT(error, 0.2 * plain);
}

// An offset and a saturating curve, both on the grid: found, and the rest of the table then fits.
TEST(TypeCurve, FindsOffsetAndSaturation) {
  const double offset = 0.9 / 0.1 * 0.001 * 0.01 / 1.003;  // so that it is 0.9 of the smallest cell
  const auto damage = [&](size_t t, size_t, double whole) {
    return offset + 0.001 * static_cast<double>(t + 1) * whole / (1 + 0.3 * whole);
  };
  CurveInput input = table(30, damage);
  const CurveFit fit = fit_type_curve(input);
  EXPECT_EQ(fit.saturation, 0.3);
  EXPECT_NEAR(fit.offset, offset, kRounding);
  EXPECT_NEAR(fit.type_error, 0, 1e-6);
  EXPECT_GT(fit_rank_one(input).type_error, 0.1);
}

// What one role does at one type, beyond any curve, is learned where the type was measured of other tensors.
TEST(TypeCurve, LearnsDeviationsAcrossGaps) {
  CounterRandom random(3, 0);
  const auto damage = [&](size_t t, size_t role, double whole) {
    return 0.001 * static_cast<double>(t + 1) * whole * (role == 1 && whole == 0.5 ? 3 : 1) * std::exp(0.02 * random.next_normal());
  };
  CurveInput input = table(40, damage);
  std::erase_if(input.cells, [](const CurveCell& cell) { return cell.tensor == 7 && cell.type == 2; });
  const CurveFit fit = fit_type_curve(input);
  EXPECT_NEAR(predicted(fit, input, 7, 2) / (0.008 * 0.5 * 3), 1, 0.15);
  EXPECT_LT(fit.cell_error, 0.15);
  EXPECT_GT(fit_rank_one(input).cell_error, 0.2);
}

TEST(TypeCurve, ASingleTypeHasNoErrorAndTakesTheSaturationGiven) {
  CurveInput input = table(4, [](size_t, size_t, double whole) { return whole; });
  std::erase_if(input.cells, [](const CurveCell& cell) { return cell.type != 0; });
  input.saturation = 0.25;
  const CurveFit fit = fit_type_curve(input);
  EXPECT_EQ(fit.saturation, 0.25);
  EXPECT_EQ(fit.offset, 0);
  EXPECT_EQ(fit.type_error, 0);
  EXPECT_EQ(fit.cell_error, 0);
  EXPECT_DOUBLE_EQ(predicted(fit, input, 1, 0), 3);
}

// Variants of one type are left out together: they would predict each other.
TEST(TypeCurve, FamiliesAreLeftOutTogether) {
  CurveInput input = table(4, [](size_t, size_t, double whole) { return std::sqrt(whole); });
  const double apart = fit_rank_one(input).type_error;
  std::erase_if(input.cells, [](const CurveCell& cell) { return cell.type > 1; });
  input.whole[1] = input.whole[0];
  input.family_of[1] = 0;
  EXPECT_GT(apart, 0.1);
  EXPECT_EQ(fit_rank_one(input).type_error, 0);  // nothing is left to predict it from
}

}  // namespace
}  // namespace assay
