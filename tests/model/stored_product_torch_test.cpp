#include <gtest/gtest.h>

#include "assay/model/panel_product.h"
#include "assay/model/stored_product.h"

namespace assay {
namespace {

// float32 sums of a few hundred products of standard normal values; a term sums as many of those again.
constexpr double kProductTolerance = 2e-4, kTermTolerance = 5e-3;

struct Case {
  int64_t rows, out, in;
};
// Rows around a block of 192 and a group of two; inputs around a panel of 64; more outputs than one pass of 128 steps.
constexpr Case kCases[] = {{1, 3, 5}, {191, 64, 64}, {193, 130, 65}, {385, 96, 200}, {900, 300, 128}};

TEST(StoredProduct, EqualsTheProductInDouble) {
  at::manual_seed(3);
  for (const auto& [rows, out, in] : kCases) {
    const at::Tensor g = at::randn({rows, out}), w = at::randn({out, in}), x = at::randn({rows, in}), before = at::randn({rows, in});
    const at::Tensor exact = at::mm(g.to(at::kDouble), w.to(at::kDouble));
    const at::Tensor y = multiply_stored(g, w);
    EXPECT_LT((y - exact).abs().max().item<double>(), kProductTolerance) << rows;
    at::Tensor sum = before.clone();
    multiply_stored_add(g, w, sum);
    EXPECT_LT((sum - before - exact).abs().max().item<double>(), kProductTolerance) << rows;
    const at::Tensor terms = (exact * x).sum(-1);
    EXPECT_LT((bilinear_rows(g, w, x) - terms).abs().max().item<double>(), kTermTolerance) << rows;
  }
}

TEST(StoredProduct, ARowIsTheSameAloneAndWithAnyThreads) {
  if (!panel::float32_supported()) GTEST_SKIP() << "this CPU takes ATen's product";
  at::manual_seed(4);
  const at::Tensor g = at::randn({700, 150}), w = at::randn({150, 1100}), x = at::randn({700, 1100});
  const int threads = at::get_num_threads();
  const at::Tensor y = multiply_stored(g, w), terms = bilinear_rows(g, w, x);
  for (const int other : {1, 3}) {
    at::set_num_threads(other);
    EXPECT_TRUE(multiply_stored(g, w).equal(y));
    EXPECT_TRUE(bilinear_rows(g, w, x).equal(terms));
    for (const int64_t row : {0, 191, 192, 699}) {
      EXPECT_TRUE(multiply_stored(g.narrow(0, row, 1), w).equal(y.narrow(0, row, 1))) << row;
      EXPECT_TRUE(bilinear_rows(g.narrow(0, row, 1), w, x.narrow(0, row, 1)).equal(terms.narrow(0, row, 1))) << row;
    }
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace assay
