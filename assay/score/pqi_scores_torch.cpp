// PQI, the post-quantization integral (pqi.h; methods.md 3.8): what each matrix contributes to the change of the loss when everything is
// stored at the type, c_i = d_i int_0^1 dF/dw_i(w + t d) dt, by the midpoint rule; summed with its sign, or element by element without, the
// absolute value at one of three places. One integral per type feeds all four. Leaves out what the matrix would do alone: its gradient is
// that of a model whose other matrices move too. The c_i themselves are there for the first two, after an integral of their own.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/payload.h"
#include "assay/score/path_scores.h"
#include "assay/score/pqi.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

constexpr int kMostIntervals = 32, kLeastIntervals = 4;  // the source's number; below four the curve of the loss is not followed
constexpr double kEnds = 2;                              // forwards of a window for the losses at both ends

struct Form {
  const char *name, *what;
  double PqiValue::* value;
};
constexpr Form kForms[] = {
    {"pqi_signed", "part of the matrix in the change of the loss with everything at the type (PQI)", &PqiValue::contribution},
    {"pqi", "the same, weight by weight without signs after the sum over the path (PQI)", &PqiValue::abs_total},
    {"pqi_per_step", "the same without signs at every step of the path", &PqiValue::abs_per_step},
    {"pqi_per_sequence", "the same without signs at every step and window", &PqiValue::abs_per_sequence},
};

// What a unit keeps of an integral.
struct Integral {
  std::vector<std::pair<std::string, PqiValue>> matrices;
  double change = 0, predicted = 0;  // of the loss, nats per token
};

Result<std::string> make_integral(TypeStep& step, int intervals, const PqiSink& sink, Progress& progress) {
  ASSAY_ASSIGN(const QuantizationPath path, step.path());
  ASSAY_ASSIGN(const PqiResult made, pqi(path, {PathRule::kMidpoint, intervals, false}, sink, progress));
  PayloadWriter writer;
  writer.add(made.change(), "change of the loss");
  writer.add(made.total.contribution, "change of the loss");
  writer.add(uint64_t{made.matrices.size()});
  for (const PqiRow& row : made.matrices) {
    const double values[] = {row.value.contribution, row.value.abs_total, row.value.abs_per_step, row.value.abs_per_sequence};
    writer.add(std::string_view(row.name));
    writer.add(std::span<const double>(values), row.name);
  }
  return std::move(writer).finish();
}

Result<Integral> read_integral(const std::string& payload) {
  PayloadReader reader(payload);
  Integral integral;
  integral.change = reader.real();
  integral.predicted = reader.real();
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    const std::string tensor = reader.text();
    std::vector<double> values = reader.reals();
    values.resize(4);
    PqiValue value;
    value.contribution = values[0];
    value.abs_total = values[1];
    value.abs_per_step = values[2];
    value.abs_per_sequence = values[3];
    integral.matrices.emplace_back(tensor, value);
  }
  ASSAY_TRY(reader.finish());
  return integral;
}

std::string name_of_integral(int intervals) { return "integral midpoint " + std::to_string(intervals); }
double forwards_of(const PassRun& run, int intervals) { return run.passes() * (intervals * kGradientForwards + kEnds); }

// anew: what is at hand is no help.
double estimate_of(const PassRun& run, const std::vector<TypeStep>& steps, int intervals, bool anew) {
  double forwards = 0;
  for (const TypeStep& step : steps)
    if (anew || !run.at_hand || !run.at_hand(step.unit(name_of_integral(intervals)))) forwards += forwards_of(run, intervals);
  return forwards;
}

// The most that the budget allows.
int intervals_of(const PassRun& run, const std::vector<TypeStep>& steps, bool anew) {
  int intervals = kMostIntervals;
  while (intervals > kLeastIntervals && estimate_of(run, steps, intervals, anew) > run.budget) --intervals;
  return intervals;
}

std::string closure_note(const TypeStep& step, const Integral& integral, int intervals) {
  const double error = integral.predicted - integral.change;
  std::string part;
  if (integral.change != 0) part = fmt::format(" ({:.2g} % of the change)", 100 * std::fabs(error / integral.change));
  return fmt::format("{}: N = {}, loss changes by {:.6g} nats per token, predicted {:.6g}: closure error {:.2g}{}",
                     find_type(step.type())->name, intervals, integral.change, integral.predicted, error, part);
}

class PqiScore final : public PassScore {
 public:
  explicit PqiScore(const Form& form) : form_(form) {}
  ScoreInfo info() const override {
    return {.name = form_.name,
            .what = form_.what,
            .unit = "nats per token",
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "post-quantization integral; methods.md 3.8"};
  }
  std::string family() const override { return kPathFamily; }

  double estimate(const PassRun& run) const override {
    const std::vector<TypeStep> steps = type_steps(run);
    return estimate_of(run, steps, intervals_of(run, steps, is_written(run)), is_written(run));
  }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    std::vector<TypeStep> steps = type_steps(run);
    const bool written = is_written(run);
    const int intervals = intervals_of(run, steps, written);
    if (intervals < kMostIntervals)
      made.notes.push_back(fmt::format("{} intervals instead of {}: the budget allows no more", intervals, kMostIntervals));
    if (written) ASSAY_TRY(run.weights->expect(*this, matrices_of(run, steps)));
    MatrixTable table(run.layers);
    for (TypeStep& step : steps) {
      PqiSink sink;
      if (written) sink = [&](const PathMatrix& matrix, std::span<const float> c) { return write(run, step.type(), matrix.tensor, c); };
      const auto work = [&] { return make_integral(step, intervals, sink, run.progress); };
      const std::string name = step.unit(name_of_integral(intervals));
      ASSAY_ASSIGN(const std::string payload, written ? run.unit_anew(name, work) : run.unit(name, work));
      ASSAY_ASSIGN(const Integral integral, read_integral(payload));
      for (const auto& [tensor, value] : integral.matrices) table.add(tensor, {step.type(), value.*form_.value, 0});
      made.notes.push_back(closure_note(step, integral, intervals));
      if (!step.note().empty()) made.notes.push_back(step.note());
      made.forward_equivalents += forwards_of(run, intervals);
    }
    made.rows = std::move(table).take();
    return made;
  }

  // The sum over the path is taken before the absolute value, if any.
  bool has_weight_values() const override { return form_.value == &PqiValue::contribution || form_.value == &PqiValue::abs_total; }

 private:
  bool is_written(const PassRun& run) const { return run.weights != nullptr && run.weights->wants(*this); }

  Status write(const PassRun& run, GgmlType type, const std::string& tensor, std::span<const float> c) const {
    if (form_.value == &PqiValue::contribution) return run.weights->take(*this, type, tensor, c);
    std::vector<float> sizes(c.size());
    fill_weights(sizes, run.context.threads, [&](size_t i) { return std::fabs(static_cast<double>(c[i])); });
    return run.weights->take(*this, type, tensor, sizes);
  }

  static std::vector<WeightedMatrix> matrices_of(const PassRun& run, const std::vector<TypeStep>& steps) {
    std::vector<WeightedMatrix> all;
    for (const LayerNumbers& layer : run.layers)
      for (const MatrixShape& shape : layer.matrices) all.push_back({shape, {}});
    for (const TypeStep& step : steps)
      for (const MatrixShape& changed : step.matrices())
        std::ranges::find(all, changed.tensor, [](const WeightedMatrix& one) { return one.shape.tensor; })->types.push_back(step.type());
    return all;
  }

  const Form& form_;
};

}  // namespace

std::unique_ptr<Score> pqi_score(PqiForm form) { return std::make_unique<PqiScore>(kForms[static_cast<size_t>(form)]); }

}  // namespace assay
