#include <fmt/format.h>

#include "assay/base/payload.h"
#include "assay/base/quiet_progress.h"
#include "assay/score/quantized_set.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

// The numbers of a matrix at a point, in this order.
void write(PayloadWriter& writer, const std::string& tensor, const PathDots& dots) {
  const double values[] = {dots.total, dots.absolute, dots.absolute_by_window};
  writer.add(std::string_view(tensor));
  writer.add(std::span<const double>(values), tensor);
}

Result<PathPoint> read_point(const std::string& payload, double t, std::span<const PathMatrix> matrices) {
  PayloadReader reader(payload);
  PathPoint point{t, reader.real(), {}, std::vector<PathDots>(matrices.size())};
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    const std::string tensor = reader.text();
    std::vector<double> values = reader.reals();
    values.resize(3);
    for (size_t m = 0; m < matrices.size(); ++m)
      if (matrices[m].tensor == tensor) point.matrices[m] = {values[0], values[1], values[2], {}};
  }
  ASSAY_TRY(reader.finish());
  return point;
}

}  // namespace

TypeStep::TypeStep(const PassRun& run, GgmlType type, std::string layer) : run_(run), type_(type), layer_(std::move(layer)) {
  std::map<std::string, MatrixShape> shapes;
  std::vector<std::string> names;
  for (const LayerNumbers& numbers : run.layers)
    for (const MatrixShape& matrix : numbers.matrices) {
      if (!layer_.empty() && group_of(matrix.tensor, Grouping::kLayer) != layer_) continue;
      names.push_back(matrix.tensor);
      shapes[matrix.tensor] = matrix;
    }
  const auto can_hold = [&](const std::string& tensor) {
    const std::vector<GgmlType> types = run.types_of(tensor);
    return std::find(types.begin(), types.end(), type) != types.end();
  };
  const TypeFit fit = type_fit(names, can_hold);
  for (const std::string& tensor : fit.tensors) matrices_.push_back(shapes.at(tensor));
  note_ = note_of(fit, type);
}

std::string TypeStep::unit(const std::string& what) const {
  return find_type(type_)->name + std::string(" ") + (layer_.empty() ? "" : layer_ + " ") + what;
}

Result<QuantizationPath> TypeStep::path() {
  if (!far_) {
    std::vector<std::string> names;
    for (const MatrixShape& matrix : matrices_) names.push_back(matrix.tensor);
    ASSAY_ASSIGN(far_, stored_at(type_, names, run_.stored));
  }
  QuantizationPath path;
  path.base = std::shared_ptr<const Checkpoint>(run_.network, &run_.network->checkpoint());
  path.far = far_;
  path.windows = run_.windows;
  path.network = run_.network_options;
  path.network.compute = Compute::kFloat32;
  path.pass = run_.pass;
  return path;
}

Result<std::string> TypeStep::make_point(double t) {
  ASSAY_ASSIGN(const QuantizationPath along, path());
  QuietProgress quiet(run_.progress);
  const double ts[] = {t};
  ASSAY_ASSIGN(const PathGradients made, path_gradients(along, ts, {}, quiet));
  PayloadWriter writer;
  writer.add(made.points[0].loss, "loss");
  writer.add(uint64_t{made.matrices.size()});
  for (size_t m = 0; m < made.matrices.size(); ++m) write(writer, made.matrices[m].tensor, made.points[0].matrices[m]);
  return std::move(writer).finish();
}

Result<PathGradients> TypeStep::gradients(std::span<const double> ts) {
  PathGradients path;
  for (const MatrixShape& matrix : matrices_) path.matrices.push_back({matrix.tensor, matrix.role.layer, matrix.elements()});
  run_.progress.stage("gradients: " + unit("").substr(0, unit("").size() - 1), ts.size());
  for (size_t i = 0; i < ts.size(); ++i) {
    const double t = ts[i];
    ASSAY_ASSIGN(const std::string payload, run_.unit(unit(fmt::format("gradient {}", t)), [&] { return make_point(t); }));
    ASSAY_ASSIGN(PathPoint point, read_point(payload, t, path.matrices));
    path.points.push_back(std::move(point));
    run_.progress.update(i + 1);
  }
  return path;
}

double TypeStep::estimate(std::span<const double> ts) const {
  double forwards = 0;
  for (const double t : ts)
    if (!run_.at_hand || !run_.at_hand(unit(fmt::format("gradient {}", t)))) forwards += kGradientForwards * run_.passes();
  return forwards;
}

std::vector<TypeStep> type_steps(const PassRun& run) {
  std::vector<TypeStep> steps;
  for (const GgmlType type : run.types) {
    TypeStep step(run, type);
    if (!step.matrices().empty()) steps.push_back(std::move(step));
  }
  return steps;
}

double estimate_of_steps(const PassRun& run, std::span<const double> ts) {
  double forwards = 0;
  for (const TypeStep& step : type_steps(run)) forwards += step.estimate(ts);
  return forwards;
}

MatrixTable::MatrixTable(std::span<const LayerNumbers> layers) {
  for (const LayerNumbers& layer : layers)
    for (const MatrixShape& matrix : layer.matrices) {
      places_[matrix.tensor] = rows_.size();
      rows_.push_back({matrix.tensor, {matrix.tensor}, matrix.elements(), {}});
    }
}

}  // namespace assay
