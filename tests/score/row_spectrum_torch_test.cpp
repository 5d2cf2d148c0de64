// Spectra of rows whose eigenvalues are known.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/row_spectrum.h"

namespace assay {
namespace {

TEST(RowSpectrum, ByHand) {
  at::manual_seed(1);
  const at::Tensor line = at::randn({40, 1}).matmul(at::randn({1, 7}));
  for (const bool centred : {true, false}) EXPECT_NEAR(leading_share(row_eigenvalues(line, centred)), 1, 1e-9);
  // Rows e1, -e1, e2 / 2, -e2 / 2: centred already, lambda 2 and 1/2.
  const at::Tensor cross = at::tensor({1.0F, 0.0F, -1.0F, 0.0F, 0.0F, 0.5F, 0.0F, -0.5F}).view({4, 2});
  const at::Tensor lambda = row_eigenvalues(cross, true);
  EXPECT_NEAR(lambda[0].item<double>(), 2, 1e-12);
  EXPECT_NEAR(lambda[1].item<double>(), 0.5, 1e-12);
  EXPECT_NEAR(leading_share(lambda), 0.8, 1e-9);
  EXPECT_NEAR(concentration(lambda), std::pow(0.8, 0.8) * std::pow(0.2, 0.2), 1e-12);
  EXPECT_NEAR(concentration(at::ones({8}, at::kDouble)), 1.0 / 8, 1e-12);
  EXPECT_NEAR(concentration(at::tensor({3.0, 0.0}, at::kDouble)), 1, 1e-12);
  EXPECT_EQ(concentration(at::zeros({3}, at::kDouble)), 0);
  // A shift of all rows is seen only where the mean stays in.
  EXPECT_NEAR(leading_share(row_eigenvalues(cross + 100, true)), 0.8, 1e-6);
  EXPECT_GT(leading_share(row_eigenvalues(cross + 100, false)), 0.99);
  EXPECT_EQ(leading_share(row_eigenvalues(at::randn({1, 5}), true)), 1);
  EXPECT_EQ(leading_share(row_eigenvalues(at::empty({0, 5}), true)), 0);
  // The wide form and the tall one.
  const at::Tensor x = at::randn({6, 9});
  EXPECT_EQ(row_eigenvalues(x, false).size(0), 6);
  EXPECT_TRUE(at::allclose(row_eigenvalues(x, false), row_eigenvalues(x.t(), false), 1e-9, 1e-9));
  EXPECT_TRUE(at::equal(row_eigenvalues(x, true, 1), row_eigenvalues(x, true, 3)));
}

}  // namespace
}  // namespace assay
