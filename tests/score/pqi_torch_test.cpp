// The identities of methods.md 3.8 on a small model, and the integral by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/pqi.h"
#include "tests/score/path_model.h"

namespace assay {
namespace {

using namespace testing_path;

constexpr double kLossNoise = 2e-6;  // float32 logits: what a difference of two losses cannot see
constexpr double kSize = 0.02;       // of the step: a tenth of the weights' spread

struct Case {
  explicit Case(bool tied = false) : base(tiny_checkpoint(tied)) {}
  std::shared_ptr<const Checkpoint> base;
  std::vector<Window> windows = some_windows(3);
  QuantizationPath path(double size, int only = kBlocks) const {
    QuantizationPath made;
    made.base = base;
    made.far = noisy_matrices(*base, size, only);
    made.windows = windows;
    return made;
  }
};

PqiResult run(const QuantizationPath& path, PathRule rule, int intervals, const PqiSink& sink = {}) {
  auto result = pqi(path, {rule, intervals, true}, sink);
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

TEST(Pqi, ClosesWithTheOrderOfItsRule) {
  const Case model;
  const QuantizationPath path = model.path(kSize);
  const PqiResult fine = run(path, PathRule::kMidpoint, 32);
  EXPECT_GT(std::fabs(fine.change()), 1e-2);
  EXPECT_LT(std::fabs(fine.closure_error()), 1e-3 * std::fabs(fine.change()));
  const auto error = [&](PathRule rule, int n) { return run(path, rule, n).closure_error(); };
  EXPECT_NEAR(error(PathRule::kMidpoint, 2) / error(PathRule::kMidpoint, 4), 4, 0.6);
  EXPECT_NEAR(error(PathRule::kLeft, 8) / error(PathRule::kLeft, 16), 2, 0.2);
  EXPECT_NEAR(error(PathRule::kRight, 8) / error(PathRule::kRight, 16), 2, 0.2);
  EXPECT_LT(error(PathRule::kLeft, 8) * error(PathRule::kRight, 8), 0);  // from both sides
  EXPECT_LT(std::fabs(error(PathRule::kGauss, 5)), kLossNoise + 1e-4 * std::fabs(fine.change()));
  EXPECT_LT(std::fabs(error(PathRule::kSimpson, 4)), std::fabs(error(PathRule::kMidpoint, 4)) / 5);
}

TEST(Pqi, RowsAddUpAndTheSinkSeesEveryWeight) {
  const Case model;
  std::vector<std::string> order;
  std::vector<double> sums, sizes;
  const PqiResult result =
      run(model.path(kSize), PathRule::kMidpoint, 4, [&](const PathMatrix& matrix, std::span<const float> c) -> Status {
        EXPECT_EQ(c.size(), matrix.elements);
        order.push_back(matrix.tensor);
        sums.push_back(0);
        sizes.push_back(0);
        for (const float one : c) {
          sums.back() += static_cast<double>(one);
          sizes.back() += std::fabs(static_cast<double>(one));
        }
        return {};
      });
  ASSERT_EQ(result.matrices.size(), 3u * 7);
  ASSERT_EQ(result.layers.size(), 3u);
  double total = 0, layers = 0;
  std::vector<double> windows(3);
  for (size_t m = 0; m < order.size(); ++m) {
    const PqiValue& value = result.matrices[m].value;
    EXPECT_EQ(order[m], result.matrices[m].name);
    EXPECT_NEAR(value.contribution, sums[m], 1e-5 * value.abs_total);
    EXPECT_NEAR(value.abs_total, sizes[m], 1e-6 * value.abs_total);
    EXPECT_GE(value.abs_total, std::fabs(value.contribution));
    EXPECT_GT(value.abs_per_step, value.abs_total);
    EXPECT_GT(value.abs_per_sequence, value.abs_per_step);
    EXPECT_NE(value.first_order, 0);
    EXPECT_NEAR((value.windows[0] + value.windows[1] + value.windows[2]) / 3, value.contribution, 1e-12);
    for (size_t w = 0; w < 3; ++w) windows[w] += value.windows[w];
    total += value.contribution;
  }
  for (const PqiRow& layer : result.layers) layers += layer.value.contribution;
  EXPECT_NEAR(total, result.total.contribution, 1e-12);
  EXPECT_NEAR(layers, result.total.contribution, 1e-12);
  EXPECT_EQ(result.layers[1].name, "blk.1");
  // Every window closes on its own.
  for (size_t w = 0; w < 3; ++w) EXPECT_NEAR(windows[w], result.window_changes[w], 0.02 * std::fabs(result.window_changes[w]) + 1e-4) << w;
}

TEST(Pqi, OneLayerAloneHoldsAllOfItsChange) {
  const Case model;
  for (int layer = 0; layer < 3; ++layer) {
    const PqiResult one = run(model.path(kSize, layer), PathRule::kMidpoint, 16);
    ASSERT_EQ(one.matrices.size(), 7u);
    ASSERT_EQ(one.layers.size(), 1u);
    EXPECT_EQ(one.layers[0].layer, layer);
    EXPECT_GT(std::fabs(one.change()), 1e-3);
    EXPECT_NEAR(one.layers[0].value.contribution, one.change(), kLossNoise + 2e-3 * std::fabs(one.change())) << layer;
  }
}

// Two matrices of one weight each; F = a w + 1/2 w H w. Derivatives along d are linear in t.
PathGradients quadratic(std::span<const double> ts, double& change) {
  const double a[2] = {0.3, -1}, h[2][2] = {{2, 0.5}, {0.5, -1}}, w[2] = {1, 2}, d[2] = {0.4, -0.6};
  PathGradients path;
  path.matrices = {{"one", 0, 1}, {"two", 1, 1}};
  const auto loss = [&](double t) {
    double sum = 0;
    for (size_t i = 0; i < 2; ++i) {
      sum += a[i] * (w[i] + t * d[i]);
      for (size_t j = 0; j < 2; ++j) sum += 0.5 * (w[i] + t * d[i]) * h[i][j] * (w[j] + t * d[j]);
    }
    return sum;
  };
  for (const double t : ts) {
    PathPoint point{t, loss(t), {}, std::vector<PathDots>(2)};
    for (size_t i = 0; i < 2; ++i) {
      double slope = a[i];
      for (size_t j = 0; j < 2; ++j) slope += h[i][j] * (w[j] + t * d[j]);
      point.matrices[i].total = d[i] * slope;
    }
    path.points.push_back(point);
  }
  change = loss(1) - loss(0);
  return path;
}

TEST(Pqi, OneMidpointIsExactOnAQuadratic) {
  double change = 0;
  const double ts[] = {0, 0.5, 1};
  const PathGradients path = quadratic(ts, change);
  const auto sum = [&](PathRule rule, int n) {
    const auto parts = contributions(path, path_nodes(rule, n));
    EXPECT_TRUE(parts) << parts.error().message;
    return (*parts)[0] + (*parts)[1];
  };
  EXPECT_NEAR(sum(PathRule::kMidpoint, 1), change, 1e-14);
  EXPECT_NEAR(sum(PathRule::kSimpson, 1), change, 1e-14);
  EXPECT_NEAR(sum(PathRule::kGauss, 1), change, 1e-14);
  EXPECT_GT(std::fabs(sum(PathRule::kLeft, 1) - change), 0.05);
  EXPECT_NEAR((sum(PathRule::kLeft, 1) + sum(PathRule::kRight, 1)) / 2, change, 1e-14);
  const auto missing = contributions(path, path_nodes(PathRule::kMidpoint, 3));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUsage);
}

// Embedding and head are matrices like others: with them too the whole change is accounted for.
TEST(Pqi, ClosesWithBothEndsOfTheModel) {
  for (const bool tied : {false, true}) {
    const Case model(tied);
    QuantizationPath path = model.path(kSize);
    path.far = noisy_matrices(*model.base, kSize, kEverything);
    const PqiResult all = run(path, PathRule::kGauss, 8);
    ASSERT_EQ(all.matrices.size(), 21u + (tied ? 1 : 2));
    ASSERT_EQ(all.layers.size(), 3u + (tied ? 1 : 2));
    EXPECT_NEAR(all.total.contribution, all.change(), kLossNoise + 2e-3 * std::fabs(all.change())) << tied;
    const auto end = std::ranges::find_if(all.matrices, [](const PqiRow& row) { return row.name == "token_embd.weight"; });
    EXPECT_EQ(end->layer, -1);
    EXPECT_GT(std::fabs(end->value.contribution), 100 * kLossNoise);
    path.far = noisy_matrices(*model.base, kSize, kEnds);
    const PqiResult ends = run(path, PathRule::kGauss, 8);
    EXPECT_EQ(ends.matrices.size(), tied ? 1u : 2u);
    EXPECT_NEAR(ends.total.contribution, ends.change(), kLossNoise + 2e-3 * std::fabs(ends.change())) << tied;
  }
}

TEST(Pqi, RefusesWhatItCannotDo) {
  const Case model;
  QuantizationPath path = model.path(kSize);
  EXPECT_FALSE(pqi(path, {PathRule::kMidpoint, 0, true}));
  auto far = std::make_shared<StoredMatrices>(*path.far);
  const TensorInfo& norm = *model.base->find("output_norm.weight");
  far->emplace(norm.name, StoredMatrix{norm.type, model.base->read(norm).value()});
  path.far = far;
  const auto refused = pqi(path, {PathRule::kMidpoint, 1, true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace assay
