// Second order along a step against differences of the loss itself, and how the loss departs from each order (methods.md 9, item 22).
#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/second_order.h"
#include "tests/score/path_model.h"

namespace assay {
namespace {

using namespace testing_path;

struct Case {
  std::shared_ptr<const Checkpoint> base = tiny_checkpoint();
  std::vector<Window> windows = some_windows(3);
  QuantizationPath path(double size, int only = kBlocks) const {
    QuantizationPath made;
    made.base = base;
    made.far = noisy_matrices(*base, size, only);
    made.windows = windows;
    return made;
  }
};

double loss(const QuantizationPath& path, double t) {
  PathGradients spent;
  return loss_at(path, t, spent)->loss;
}

TEST(SecondOrder, EqualsDifferencesOfTheLoss) {
  const Case model;
  const QuantizationPath path = model.path(0.005);
  const auto result = second_order(path);
  ASSERT_TRUE(result) << result.error().message;
  constexpr double kStep = 0.2;  // far enough for rounding, near enough for the fourth order
  const double before = loss(path, -kStep), at = loss(path, 0), after = loss(path, kStep);
  const double first = (after - before) / (2 * kStep), second = (after - 2 * at + before) / (2 * kStep * kStep);
  EXPECT_NEAR(result->total.first, first, 0.02 * std::fabs(first) + 2e-4);
  EXPECT_NEAR(result->total.second, second, 0.02 * std::fabs(second));
  EXPECT_LT(result->total.error, 0.02 * std::fabs(result->total.second));
  double rows = 0, firsts = 0;
  ASSERT_EQ(result->matrices.size(), 21u);
  for (const SecondOrderRow& row : result->matrices) {
    rows += row.term.second;
    firsts += row.term.first;
  }
  EXPECT_NEAR(rows, result->total.second, 1e-9);
  EXPECT_NEAR(firsts, result->total.first, 1e-9);
}

// A step of half the length: a quarter of the second order, on any h within the stated error.
TEST(SecondOrder, ScalesWithTheStepAndItsErrorIsHonest) {
  const Case model;
  const auto whole = second_order(model.path(0.01)), half = second_order(model.path(0.005)), wide = second_order(model.path(0.01), {0.25});
  ASSERT_TRUE(whole && half && wide);
  EXPECT_NEAR(whole->total.second / half->total.second, 4, 0.02);
  EXPECT_NEAR(wide->total.second, whole->total.second, wide->total.error + whole->total.error);
  EXPECT_GT(wide->total.error, whole->total.error);
  EXPECT_FALSE(second_order(model.path(0.01), {0}));
}

// Cross terms: both blocks together less each alone; rows of one path hold them, paths of one block do not.
TEST(SecondOrder, BlocksAloneLackTheProductsBetweenThem) {
  const Case model;
  const auto all = second_order(model.path(0.005));
  ASSERT_TRUE(all);
  double alone = 0;
  for (int layer = 0; layer < 3; ++layer) {
    const auto one = second_order(model.path(0.005, layer));
    ASSERT_TRUE(one);
    EXPECT_EQ(one->matrices.size(), 7u);
    alone += one->total.second;
  }
  EXPECT_GT(std::fabs(alone - all->total.second), 10 * all->total.error);
}

TEST(SecondOrder, TheLossDepartsWithSlopesTwoAndThree) {
  const Case model;
  const QuantizationPath path = model.path(0.01);
  const auto result = second_order(path);
  ASSERT_TRUE(result);
  const auto departure = [&](double t, bool with_second) {
    return loss(path, t) - loss(path, 0) - t * result->total.first - (with_second ? t * t * result->total.second : 0);
  };
  EXPECT_NEAR(departure(0.05, false) / departure(0.025, false), 4, 0.4);
  EXPECT_NEAR(departure(0.2, true) / departure(0.1, true), 8, 1);
  EXPECT_LT(std::fabs(departure(0.05, true)), 0.2 * std::fabs(departure(0.05, false)));
}

// One block's second order with the gradient at w taken from the path of all blocks: the same numbers.
TEST(SecondOrder, TakesAStartThatIsKnown) {
  const Case model;
  const QuantizationPath all = model.path(0.01), one = model.path(0.01, 1);
  const double at_w[] = {0.0};
  const auto start = path_gradients(all, at_w);
  ASSERT_TRUE(start);
  SecondOrderOptions options;
  options.start = &*start;
  const auto given = second_order(one, options), computed = second_order(one);
  ASSERT_TRUE(given && computed) << (given ? computed.error().message : given.error().message);
  ASSERT_EQ(given->matrices.size(), computed->matrices.size());
  EXPECT_EQ(given->path.points.size(), 5u);
  EXPECT_EQ(given->total.first, computed->total.first);
  EXPECT_EQ(given->total.second, computed->total.second);
  EXPECT_EQ(given->total.error, computed->total.error);
  const auto part = path_gradients(one, at_w);
  options.start = &*part;
  EXPECT_EQ(second_order(all, options).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
