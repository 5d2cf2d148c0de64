#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/spectrum.h"

namespace assay {
namespace {

at::Tensor random_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({rows, columns});
}

// Against the library's SVD: values, and vectors up to sign.
void expect_spectrum(const Spectrum& found, const at::Tensor& values, const at::Tensor& vectors) {
  EXPECT_LT((found.values - values).abs().max().item<double>(), 1e-6);
  const at::Tensor dots = (found.vectors * vectors).sum(0).abs();
  EXPECT_LT((dots - 1).abs().max().item<double>(), 1e-6);
}

TEST(Spectrum, OneSideFromTheGramMatrixIsTheSvd) {
  for (const auto& [rows, columns] : {std::pair{40, 24}, std::pair{24, 40}}) {
    const at::Tensor m = random_matrix(rows, columns, 1);
    const auto [u, s, vh] = at::linalg_svd(m.to(at::kDouble), false);
    expect_spectrum(right_spectrum(m), s, vh.t());
    expect_spectrum(left_spectrum(m), s, u);
    EXPECT_LT((singular_values(m) - s).abs().max().item<double>(), 1e-6);
  }
}

// Strips of the Gram matrix: several of them, the last one narrow; no bit depends on the threads.
TEST(Spectrum, OfSeveralStripsIsTheSvdOnAnyThreads) {
  const at::Tensor m = random_matrix(310, 290, 4);
  const auto [u, s, vh] = at::linalg_svd(m.to(at::kDouble), false);
  const Spectrum one = right_spectrum(m, 1), three = right_spectrum(m, 3);
  EXPECT_LT((one.values - s).abs().max().item<double>(), 1e-6);
  EXPECT_LT((singular_values(m) - s).abs().max().item<double>(), 1e-6);
  const int64_t rank = 280;  // the least ones lie too close to each other for single vectors
  EXPECT_LT(((one.vectors * vh.t()).sum(0).abs().narrow(0, 0, rank) - 1).abs().max().item<double>(), 1e-6);
  EXPECT_TRUE(one.values.equal(three.values));
  EXPECT_TRUE(one.vectors.equal(three.vectors));
  EXPECT_TRUE(singular_values(m, 1).equal(singular_values(m, 3)));
}

TEST(Spectrum, ThinProductIsTheSvdOfTheProduct) {
  const at::Tensor a = random_matrix(6, 30, 2), b = random_matrix(6, 30, 3);
  const ThinProduct thin = thin_product(thin_factor(a), thin_factor(b));
  const auto [u, s, vh] = at::linalg_svd(a.t().matmul(b).to(at::kDouble), false);
  EXPECT_LT((thin.values - s.narrow(0, 0, 6)).abs().max().item<double>(), 1e-4);  // the product itself is float32
  const at::Tensor rebuilt = thin.left.matmul(thin.values.unsqueeze(1) * thin.right.t());
  EXPECT_LT((rebuilt - a.to(at::kDouble).t().matmul(b.to(at::kDouble))).abs().max().item<double>(), 1e-10);
}

TEST(Spectrum, KeptRankByHand) {
  // Energies 99, 0.5, 0.5: the first reaches 99 %, and one more is kept at least
  EXPECT_EQ(kept_rank(at::tensor({std::sqrt(99.0), std::sqrt(0.5), std::sqrt(0.5)})), 2);
  EXPECT_EQ(kept_rank(at::tensor({1.0, 1.0, 1.0, 1.0})), 4);
  EXPECT_EQ(kept_rank(at::tensor({5.0})), 1);
}

TEST(Spectrum, CapacityByHand) {
  // Four alike: sum 4, effective rank 4
  EXPECT_NEAR(capacity(at::tensor({1.0, 1.0, 1.0, 1.0})), 1, 1e-9);
  EXPECT_NEAR(capacity(at::tensor({3.0})), 3, 1e-9);
  EXPECT_EQ(capacity(at::tensor({0.0, 0.0})), 0);
  // Splitting a sum over more directions lowers it.
  EXPECT_LT(capacity(at::tensor({2.0, 2.0})), capacity(at::tensor({3.9, 0.1})));
}

TEST(Spectrum, ColumnKurtosisByHand) {
  const at::Tensor m = at::tensor({1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 4.0}).view({4, 2});
  const at::Tensor k = column_kurtosis(m);
  EXPECT_NEAR(k[0].item<double>(), 1 - 3.0, 1e-12);
  EXPECT_NEAR(k[1].item<double>(), (3 * 1.0 + 81.0) / 4 / 9 - 3, 1e-12);  // {-1, -1, -1, 3}: m2 = 3, m4 = 21
}

}  // namespace
}  // namespace assay
