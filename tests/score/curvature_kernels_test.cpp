#include "assay/score/curvature_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace assay {
namespace {

// By hand and shifted by a constant; rows around the 16 lanes.
TEST(CurvatureKernels, SoftmaxByHand) {
  std::vector<float> three = {std::log(1.0f) + 50, std::log(2.0f) + 50, std::log(5.0f) + 50};
  softmax(three);
  EXPECT_NEAR(three[0], 0.125, 1e-5);  // the rounding of logits around 50
  EXPECT_NEAR(three[1], 0.25, 1e-5);
  EXPECT_NEAR(three[2], 0.625, 1e-5);
  for (const size_t n : {1, 15, 16, 17, 100}) {
    std::vector<float> even(n, -3.0f);
    softmax(even);
    for (const float p : even) EXPECT_NEAR(p, 1.0 / static_cast<double>(n), 1e-7);
  }
}

using Residual = void (*)(CounterRandom&, std::span<float>);

std::vector<float> softmax(size_t n) {
  std::vector<float> p(n);
  for (size_t v = 0; v < n; ++v) p[v] = std::exp(2 * std::sin(static_cast<float>(3 * v)));
  const float sum = std::accumulate(p.begin(), p.end(), 0.0f);
  for (float& value : p) value /= sum;
  return p;
}

class ResidualTest : public testing::TestWithParam<Residual> {};

// Mean 0 and covariance diag(p) - p p^T, entry by entry; 37 is not a multiple of any vector.
TEST_P(ResidualTest, HasTheFisherMatrixAsCovariance) {
  constexpr size_t kVocab = 37;
  constexpr int kDraws = 40'000;
  const std::vector<float> p = softmax(kVocab);
  std::vector<double> mean(kVocab), product(kVocab * kVocab);
  for (int draw = 0; draw < kDraws; ++draw) {
    CounterRandom random(1, 2, static_cast<uint64_t>(draw));
    std::vector<float> r = p;
    GetParam()(random, r);
    EXPECT_NEAR(std::accumulate(r.begin(), r.end(), 0.0), 0, 1e-5);  // a constant added to all logits changes nothing
    for (size_t i = 0; i < kVocab; ++i) {
      mean[i] += r[i];
      for (size_t j = 0; j < kVocab; ++j) product[i * kVocab + j] += static_cast<double>(r[i]) * r[j];
    }
  }
  // Largest standard deviation of an entry: that of e_y e_y^T, sqrt(p) <= 0.4.
  const double tolerance = 4 * 0.5 / std::sqrt(kDraws);
  for (size_t i = 0; i < kVocab; ++i) {
    EXPECT_NEAR(mean[i] / kDraws, 0, tolerance);
    for (size_t j = 0; j < kVocab; ++j)
      EXPECT_NEAR(product[i * kVocab + j] / kDraws, (i == j ? p[i] : 0.0f) - p[i] * p[j], tolerance) << i << ' ' << j;
  }
}

INSTANTIATE_TEST_SUITE_P(Noises, ResidualTest, testing::Values(&label_residual, &sign_residual));

// On a peaked row a label is nearly always the top one; its rare others carry everything. Signs spread it.
TEST(CurvatureKernels, SignsHaveTheSmallerFourthMoment) {
  std::vector<float> p(16, 0.02f / 15);
  p[3] = 0.98f;
  double fourth[2] = {};
  for (int noise = 0; noise < 2; ++noise)
    for (uint64_t draw = 0; draw < 20'000; ++draw) {
      CounterRandom random(3, 4, draw);
      std::vector<float> r = p;
      noise == 0 ? label_residual(random, r) : sign_residual(random, r);
      double term = 0;
      for (size_t v = 0; v < p.size(); ++v) term += static_cast<double>(r[v]) * std::cos(static_cast<double>(v));
      fourth[noise] += term * term * term * term;
    }
  EXPECT_LT(fourth[1], 0.2 * fourth[0]);
}

TEST(CurvatureKernels, LogitChangeByHand) {
  const std::vector<float> p = {0.5f, 0.25f, 0.25f}, e = {1, 3, -1}, r = {0.5f, -1, 0.5f}, zero(3), common = {1, 1, 1};
  // mean 1, second moment 0.5 + 2.25 + 0.25 = 3, variance 2; r . e = 0.5 - 3 - 0.5.
  EXPECT_DOUBLE_EQ(logit_change(e, p, r, zero).variance, 2);
  EXPECT_DOUBLE_EQ(logit_change(e, p, r, zero).term, -3);
  EXPECT_DOUBLE_EQ(logit_change(e, p, r, common).term, -3);  // r sums to 0
  EXPECT_DOUBLE_EQ(logit_change(e, p, r, e).term, 0);
  EXPECT_DOUBLE_EQ(logit_change(e, p, r, common).variance, 2);
  // The same for a constant added to every logit, and for rows longer than a vector.
  std::vector<float> long_e, long_p, long_r;
  for (int copy = 0; copy < 7; ++copy)
    for (size_t v = 0; v < 3; ++v) {
      long_e.push_back(e[v] + 10);
      long_p.push_back(p[v] / 7);
      long_r.push_back(r[v]);
    }
  const LogitChange change = logit_change(long_e, long_p, long_r, std::vector<float>(21, 0.0f));
  EXPECT_NEAR(change.variance, 2, 1e-5);
  EXPECT_NEAR(change.term, -21, 1e-5);
}

}  // namespace
}  // namespace assay
