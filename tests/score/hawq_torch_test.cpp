// HAWQ-V2: Hutchinson's traces against the diagonal of the Hessian taken weight by weight, and against the loss itself.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "assay/base/sum.h"
#include "assay/model/shaken_checkpoint.h"
#include "assay/score/hessian_trace.h"
#include "assay/score/path_scores.h"
#include "tests/score/pass_case.h"

namespace assay {
namespace {

using namespace testing_path;

HessianTrace trace_of(const PassCase& model, const std::vector<std::string>& matrices) {
  HessianTrace trace;
  trace.base = model.base;
  trace.matrices = matrices;
  trace.windows = model.windows;
  trace.options.seed = 3;
  return trace;
}

std::vector<std::string> all_matrices(const PassCase& model) {
  std::vector<std::string> names;
  for (const LayerNumbers& layer : model.layers)
    for (const MatrixShape& matrix : layer.matrices) names.push_back(matrix.tensor);
  return names;
}

// Sum of H_ii over a matrix: each weight alone is moved by +-size and its own derivative taken.
double exact_trace(const PassCase& model, const std::string& tensor, float size) {
  const std::vector<float> w = *model.base->read_float(*model.base->find(tensor));
  double trace = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    std::vector<float> moved = w;
    moved[i] += size;
    StoredMatrix matrix{GgmlType::kF32, std::vector<std::byte>(w.size() * sizeof(float))};
    std::memcpy(matrix.bytes.data(), moved.data(), matrix.bytes.size());
    QuantizationPath path;
    path.base = model.base;
    path.far = std::make_shared<StoredMatrices>(StoredMatrices{{tensor, std::move(matrix)}});
    path.windows = model.windows;
    const double ts[] = {1, -1};
    const auto points = path_gradients(path, ts);
    EXPECT_TRUE(points);
    const double d = static_cast<double>(moved[i]) - static_cast<double>(w[i]);
    trace += (points->points[0].matrices[0].total - points->points[1].matrices[0].total) / (2 * d * d);
  }
  return trace;
}

TEST(HessianTrace, MeanOverDrawsIsTheTrace) {
  const PassCase model;
  // The head: its curvature is of one sign, so that few draws tell its trace.
  const std::string tensor = "output.weight";
  const double exact = exact_trace(model, tensor, 0.01f);
  for (const bool together : {false, true}) {  // alone, and with all others moving too
    const HessianTrace trace = trace_of(model, together ? all_matrices(model) : std::vector{tensor});
    const size_t place = static_cast<size_t>(std::ranges::find(trace.matrices, tensor) - trace.matrices.begin());
    const auto steps = shake_steps(trace);
    ASSERT_TRUE(steps);
    Moments draws;
    for (uint64_t draw = 0; draw < 150; ++draw) draws.add(trace_draw(trace, *steps, draw)->at(place));
    EXPECT_LT(std::fabs(draws.mean() - exact), 4 * draws.iid_standard_error()) << together;
    EXPECT_LT(draws.iid_standard_error(), 0.25 * std::fabs(exact)) << together << " " << exact;
  }
}

// In one draw, step by step in squares, the products add up to u . H u of the whole step u: second differences of the loss along it.
TEST(HessianTrace, OneDrawIsTheCurvatureAlongItsStep) {
  for (const bool tied : {false, true}) {
    const PassCase model(tied);
    const HessianTrace trace = trace_of(model, all_matrices(model));
    const auto steps = *shake_steps(trace);
    const auto loss = [&](double side) {
      const auto checkpoint = *shaken_checkpoint(model.base, {3, 7, steps}, side);
      return gradient_pass(**Network::load(checkpoint, {}), model.windows, {})->mean;
    };
    // The loss needs a longer step than the gradient, and extrapolation.
    const auto difference = [&](double side) { return (loss(side) - 2 * loss(0) + loss(-side)) / (side * side); };
    const double curvature = (4 * difference(3) - difference(6)) / 3;
    const auto products = trace_draw(trace, steps, 7);
    ASSERT_TRUE(products);
    double sum = 0, size = 0;
    for (size_t m = 0; m < products->size(); ++m) {
      const double part = products->at(m) * steps.at(trace.matrices[m]) * steps.at(trace.matrices[m]);
      sum += part;
      size += std::fabs(part);
    }
    EXPECT_NEAR(sum, curvature, 0.005 * size) << tied;  // parts of both signs
    EXPECT_GT(std::fabs(sum), 0.1 * size) << tied;
  }
}

// Half or twice the step changes a draw by far less than another draw does.
TEST(HessianTrace, DoesNotDependOnTheStep) {
  const PassCase model;
  HessianTrace trace = trace_of(model, all_matrices(model));
  const auto sum_at = [&](double step, uint64_t draw) {
    trace.options.step = step;
    const std::vector<double> products = *trace_draw(trace, *shake_steps(trace), draw);
    return std::accumulate(products.begin(), products.end(), 0.0);
  };
  const double usual = TraceOptions{}.step, sum = sum_at(usual, 0);
  EXPECT_NEAR(sum_at(usual / 2, 0), sum, 0.01 * std::fabs(sum));
  EXPECT_NEAR(sum_at(usual * 2, 0), sum, 0.01 * std::fabs(sum));
  EXPECT_GT(std::fabs(sum_at(usual, 1) - sum), 0.02 * std::fabs(sum));
  trace.options.step = 0;
  EXPECT_FALSE(shake_steps(trace));
}

TEST(HessianTrace, ShortensTheStepsThatBendTheLossMost) {
  const PassCase model;
  const HessianTrace trace = trace_of(model, {"blk.0.attn_q.weight", "blk.1.attn_q.weight", "output.weight"});
  const std::map<std::string, double> steps = {{"blk.0.attn_q.weight", 1}, {"blk.1.attn_q.weight", 2}, {"output.weight", 1}};
  const double rough[] = {-3, 1, 400};  // curvatures 3, 4, 400
  const auto balanced = balanced_steps(trace, steps, rough);
  EXPECT_EQ(balanced.at("blk.0.attn_q.weight"), 1);
  EXPECT_EQ(balanced.at("blk.1.attn_q.weight"), 2);
  EXPECT_DOUBLE_EQ(balanced.at("output.weight"), 0.1);
  const double steep[] = {-3, 1, 4e9};
  EXPECT_DOUBLE_EQ(balanced_steps(trace, steps, steep).at("output.weight"), 1.0 / 32);
}

TEST(Hawq, IsTheMeanTraceTimesTheSquaredError) {
  PassCase model;
  model.budget = (4 + 5) * 6 * 2 + 3;
  EXPECT_DOUBLE_EQ(model.estimate(*hawq_score()), (4 + 5) * 6 * 2);
  const PassRows rows = model.rows(*hawq_score());
  EXPECT_DOUBLE_EQ(rows.forward_equivalents, (4 + 5) * 6 * 2);
  EXPECT_DOUBLE_EQ(rows.unspent, 0);
  EXPECT_TRUE(has_note(rows, "5 draws, all that the budget allows"));
  const HessianTrace trace = trace_of(model, all_matrices(model));
  auto steps = *shake_steps(trace);
  const auto add_draws = [&](uint64_t first, uint64_t end) {
    std::vector<Moments> traces(trace.matrices.size());
    for (uint64_t draw = first; draw < end; ++draw) {
      const std::vector<double> products = *trace_draw(trace, steps, draw);
      for (size_t m = 0; m < traces.size(); ++m) traces[m].add(products[m]);
    }
    return traces;
  };
  std::vector<double> rough;
  for (const Moments& one : add_draws(0, 4)) rough.push_back(one.mean());
  steps = balanced_steps(trace, steps, rough);
  const std::vector<Moments> traces = add_draws(4, 9);
  const QuantizationPath path = model.path(GgmlType::kQ4_0);
  for (size_t m = 0; m < traces.size(); ++m) {
    const ScoreCell* cell = cell_of(rows, trace.matrices[m], GgmlType::kQ4_0);
    const auto stored = path.far->find(trace.matrices[m]);
    ASSERT_EQ(cell != nullptr, stored != path.far->end()) << trace.matrices[m];
    if (cell == nullptr) continue;
    double square = 0, count = 0;
    const std::vector<float> changes = *stored_change(*model.base, trace.matrices[m], stored->second);
    for (const float change : changes) {
      square += static_cast<double>(change) * static_cast<double>(change);
      ++count;
    }
    EXPECT_NEAR(cell->value, traces[m].mean() / count * square, 1e-9 * std::fabs(cell->value)) << trace.matrices[m];
    EXPECT_NEAR(cell->standard_error, traces[m].iid_standard_error() / count * square, 1e-9 * cell->standard_error);
  }
}

TEST(Hawq, KeepsEveryDrawAndObeysItsBudget) {
  PassCase model;
  model.budget = 8 * 6 * 2;
  model.rows(*hawq_score());
  EXPECT_EQ(model.units.kept, 8u + 2);  // draws, and the errors of two types
  model.budget = 10 * 6 * 2;
  const PassRows more = model.rows(*hawq_score());
  EXPECT_EQ(model.units.kept, 10u + 2);
  EXPECT_DOUBLE_EQ(more.forward_equivalents, 10 * 6 * 2);
  model.budget = 7 * 6 * 2;  // four for the steps and four more are the least
  EXPECT_GT(model.estimate(*hawq_score()), model.budget);
  model.budget = HUGE_VAL;
  const PassRows all = model.rows(*hawq_score());
  EXPECT_DOUBLE_EQ(all.forward_equivalents + all.unspent, model.estimate(*hawq_score()));
  EXPECT_TRUE(has_note(all, "draws, the cap") || has_note(all, "draws, enough"));
}

TEST(Hawq, IsRepeatable) { expect_repeatable(hawq_score()); }

}  // namespace
}  // namespace assay
