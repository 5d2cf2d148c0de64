// HAWQ-V2 (methods.md 3.7): mean curvature of a matrix's weights times the squared error of storing it at the type,
//   Tr H_mm / n_m x |Q(W) - W|^2_F,
// traces by Hutchinson's draws (hessian_trace.h), until every matrix's standard error is below 5 %, or the cap or the budget is reached.
// Four draws before them find the steps and are not in the result.
// Twice the second order of an error that is alike in all directions. Leaves out where the error points, and that real errors seek
// directions of low curvature or do not; products between matrices; the first order.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/payload.h"
#include "assay/base/sum.h"
#include "assay/score/gradient_kernels.h"
#include "assay/score/hessian_trace.h"
#include "assay/score/path_scores.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

constexpr double kDrawForwards = 2 * kGradientForwards;  // per window
constexpr int kPilotDraws = 4;                           // for the steps
constexpr int kMostDraws = 32, kLeastDraws = 4;          // fewer say nothing of their own spread
constexpr double kEnough = 0.05;                         // standard error as a part of the trace

// Of all draws so far, by matrix, and of their sum.
struct Traces {
  std::vector<Moments> matrices;
  Moments sum;
  uint64_t draws() const { return sum.count(); }
};

double relative_error(const Moments& trace) {
  return trace.mean() == 0 ? (trace.mean_square() == 0 ? 0 : HUGE_VAL) : trace.iid_standard_error() / std::fabs(trace.mean());
}

size_t worst_of(const Traces& traces) {
  const auto less = [](const Moments& a, const Moments& b) { return relative_error(a) < relative_error(b); };
  return static_cast<size_t>(std::ranges::max_element(traces.matrices, less) - traces.matrices.begin());
}

HessianTrace trace_of(const PassRun& run) {
  HessianTrace trace;
  trace.base = std::shared_ptr<const Checkpoint>(run.network, &run.network->checkpoint());
  for (const LayerNumbers& layer : run.layers)
    for (const MatrixShape& matrix : layer.matrices) trace.matrices.push_back(matrix.tensor);
  trace.windows = run.windows;
  trace.network = run.network_options;
  trace.network.compute = Compute::kFloat32;
  trace.pass = run.pass;
  trace.options.seed = run.context.seed;
  return trace;
}

int draws_allowed(const PassRun& run) {
  const double fit = std::floor(run.budget / (kDrawForwards * run.passes())) - kPilotDraws;
  return static_cast<int>(std::clamp<double>(fit, kLeastDraws, kMostDraws));
}

Result<std::string> numbers_of(const std::vector<double>& numbers, std::string_view what) {
  PayloadWriter writer;
  writer.add(std::span<const double>(numbers), what);
  return std::move(writer).finish();
}
Result<std::vector<double>> read_numbers(const std::string& payload, size_t count) {
  PayloadReader reader(payload);
  std::vector<double> numbers = reader.reals();
  ASSAY_TRY(reader.finish());
  if (numbers.size() != count) return fail(ErrorCode::kBadInput, "hawq: a kept unit is of another model");
  return numbers;
}

// Draws one after another, each a unit.
class TraceDraws {
 public:
  explicit TraceDraws(const PassRun& run) : run_(run), trace_(trace_of(run)), most_(draws_allowed(run)) {}

  Result<Traces> all() {
    run_.progress.stage("hawq: draws", static_cast<uint64_t>(kPilotDraws + most_));
    Traces traces = none();
    for (int draw = 0; draw < kPilotDraws; ++draw) ASSAY_TRY(add(draw, traces));
    for (const Moments& trace : traces.matrices) pilot_.push_back(trace.mean());
    steps_.clear();
    traces = none();
    for (int draw = kPilotDraws; draw < kPilotDraws + most_; ++draw) {
      ASSAY_TRY(add(draw, traces));
      if (traces.draws() >= kLeastDraws && relative_error(traces.matrices[worst_of(traces)]) < kEnough) break;
    }
    return traces;
  }

 private:
  Traces none() const { return {std::vector<Moments>(trace_.matrices.size()), {}}; }

  Status add(int draw, Traces& traces) {
    ASSAY_ASSIGN(const std::string payload, run_.unit(fmt::format("draw {}", draw), [&] { return make(draw); }));
    ASSAY_ASSIGN(const std::vector<double> products, read_numbers(payload, trace_.matrices.size()));
    double sum = 0;
    for (size_t m = 0; m < products.size(); ++m) {
      traces.matrices[m].add(products[m]);
      sum += products[m];
    }
    traces.sum.add(sum);
    run_.progress.update(static_cast<uint64_t>(draw) + 1);
    return {};
  }

  Result<std::string> make(int draw) {
    if (steps_.empty()) {
      ASSAY_ASSIGN(steps_, shake_steps(trace_));
      if (!pilot_.empty()) steps_ = balanced_steps(trace_, std::move(steps_), pilot_);
    }
    ASSAY_ASSIGN(const std::vector<double> products, trace_draw(trace_, steps_, static_cast<uint64_t>(draw), run_.progress));
    return numbers_of(products, "trace");
  }

  const PassRun& run_;
  HessianTrace trace_;
  int most_;
  std::vector<double> pilot_;            // rough traces; empty: not yet known
  std::map<std::string, double> steps_;  // once needed
};

// |Q(W) - W|^2 of the step's matrices.
Result<std::vector<double>> squared_errors(TypeStep& step, const PassRun& run) {
  const auto work = [&]() -> Result<std::string> {
    ASSAY_ASSIGN(const QuantizationPath path, step.path());
    std::vector<double> errors;
    for (const MatrixShape& matrix : step.matrices()) {
      ASSAY_ASSIGN(const std::vector<float> change,
                   stored_change(*path.base, matrix.tensor, path.far->at(matrix.tensor), path.network.threads));
      errors.push_back(dot_sums(change, change, path.network.threads).signed_sum);
    }
    return numbers_of(errors, "weight error");
  };
  ASSAY_ASSIGN(const std::string payload, run.unit(step.unit("squared errors"), work));
  return read_numbers(payload, step.matrices().size());
}

class Hawq final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "hawq",
            .what = "mean trace of the matrix's Hessian times the squared error of the type",
            .unit = "2 nats per token",
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "HAWQ-V2, arXiv 1911.03852; methods.md 3.7"};
  }

  double estimate(const PassRun& run) const override { return (kPilotDraws + draws_allowed(run)) * kDrawForwards * run.passes(); }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    ASSAY_ASSIGN(const Traces traces, TraceDraws(run).all());
    std::map<std::string, const Moments*> by_tensor;
    std::vector<std::string> names;
    for (const LayerNumbers& layer : run.layers)
      for (const MatrixShape& matrix : layer.matrices) {
        by_tensor[matrix.tensor] = &traces.matrices[names.size()];
        names.push_back(matrix.tensor);
      }
    MatrixTable table(run.layers);
    for (TypeStep& step : type_steps(run)) {
      ASSAY_ASSIGN(const std::vector<double> errors, squared_errors(step, run));
      for (size_t m = 0; m < errors.size(); ++m) {
        const MatrixShape& matrix = step.matrices()[m];
        const Moments& trace = *by_tensor.at(matrix.tensor);
        const double scale = errors[m] / static_cast<double>(matrix.elements());
        table.add(matrix.tensor, {step.type(), scale * trace.mean(), scale * trace.iid_standard_error()});
      }
      if (!step.note().empty()) made.notes.push_back(step.note());
    }
    made.rows = std::move(table).take();
    made.forward_equivalents = static_cast<double>(kPilotDraws + traces.draws()) * kDrawForwards * run.passes();
    made.unspent = estimate(run) - made.forward_equivalents;
    made.notes.push_back(how_it_ended(run, traces, names));
    return made;
  }

 private:
  static std::string how_it_ended(const PassRun& run, const Traces& traces, const std::vector<std::string>& names) {
    const size_t worst = worst_of(traces);
    const double error = relative_error(traces.matrices[worst]);
    const char* why = error < kEnough ? "enough" : draws_allowed(run) == kMostDraws ? "the cap" : "all that the budget allows";
    return fmt::format("{} draws, {}: standard error {:.2g} % of the sum of traces, at most {:.2g} % of a matrix's ({})", traces.draws(),
                       why, 100 * relative_error(traces.sum), 100 * error, names[worst]);
  }
};

}  // namespace

std::unique_ptr<Score> hawq_score() { return std::make_unique<Hawq>(); }

}  // namespace assay
