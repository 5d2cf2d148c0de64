#include <algorithm>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/score/gradient_kernels.h"
#include "assay/score/pqi.h"

namespace assay {
namespace {

constexpr int kMostIntervals = 4096;

const PathPoint* find_point(const PathGradients& path, double t) {
  const auto found = std::ranges::find_if(path.points, [t](const PathPoint& point) { return point.t == t; });
  return found == path.points.end() ? nullptr : &*found;
}

// Integrates the dots of one matrix.
PqiValue value_of(const PathGradients& path, size_t matrix, std::span<const PathNode> nodes, std::span<const float> c, int threads) {
  PqiValue value;
  value.elements = path.matrices[matrix].elements;
  value.abs_total = absolute_sum(c, threads);
  value.windows.resize(path.points[0].window_losses.size());
  for (size_t k = 0; k < nodes.size(); ++k) {
    const PathDots& dots = path.points[k].matrices[matrix];
    value.contribution += nodes[k].weight * dots.total;
    value.abs_per_step += nodes[k].weight * dots.absolute;
    value.abs_per_sequence += nodes[k].weight * dots.absolute_by_window;
    for (size_t w = 0; w < value.windows.size(); ++w) value.windows[w] += nodes[k].weight * dots.windows[w];
  }
  if (const PathPoint* start = find_point(path, 0)) value.first_order = start->matrices[matrix].total;
  return value;
}

// The losses at both ends: from a node that is there, else measured.
Status measure_ends(const QuantizationPath& path, PqiResult& result, Progress& progress) {
  const auto point = [&](double t) -> Result<PathPoint> {
    if (const PathPoint* found = find_point(result.path, t)) return PathPoint{t, found->loss, found->window_losses, {}};
    return loss_at(path, t, result.path, progress);
  };
  ASSAY_ASSIGN(const PathPoint before, point(0));
  ASSAY_ASSIGN(const PathPoint after, point(1));
  result.loss_before = before.loss;
  result.loss_after = after.loss;
  for (size_t w = 0; w < before.window_losses.size(); ++w)
    result.window_changes.push_back(after.window_losses[w] - before.window_losses[w]);
  return {};
}

}  // namespace

void PqiValue::add(const PqiValue& other) {
  elements += other.elements;
  contribution += other.contribution;
  abs_total += other.abs_total;
  abs_per_step += other.abs_per_step;
  abs_per_sequence += other.abs_per_sequence;
  first_order += other.first_order;
  windows.resize(other.windows.size());
  for (size_t w = 0; w < windows.size(); ++w) windows[w] += other.windows[w];
}

Result<PqiResult> pqi(const QuantizationPath& path, const PqiOptions& options, const PqiSink& sink, Progress& progress) {
  if (options.intervals < 1 || options.intervals > kMostIntervals)
    return fail(ErrorCode::kUsage, {"PQI: " + std::to_string(options.intervals) + " intervals", "are not possible",
                                    "1 to " + std::to_string(kMostIntervals) + " are", ""});
  const std::vector<PathNode> nodes = path_nodes(options.rule, options.intervals);
  std::vector<double> ts;
  for (const PathNode& node : nodes) ts.push_back(node.t);
  if (options.first_order && ts[0] != 0) ts.push_back(0);

  std::map<size_t, std::vector<float>> sums;  // c by matrix
  const auto add = [&](size_t point, size_t matrix, std::span<const float> change, std::span<const float> gradient) -> Status {
    std::vector<float>& c = sums[matrix];
    c.resize(change.size());
    if (point < nodes.size()) add_products(nodes[point].weight, change, gradient, c, path.network.threads);
    return {};
  };
  PqiResult result;
  ASSAY_ASSIGN(result.path, path_gradients(path, ts, add, progress));
  ASSAY_TRY(measure_ends(path, result, progress));
  for (size_t m = 0; m < result.path.matrices.size(); ++m) {
    const PathMatrix& matrix = result.path.matrices[m];
    PqiValue value = value_of(result.path, m, nodes, sums[m], path.network.threads);
    if (sink) ASSAY_TRY(sink(matrix, sums[m]));
    sums.erase(m);
    result.total.add(value);
    const std::string name = group_of(matrix.tensor, Grouping::kLayer);
    auto layer = std::ranges::find_if(result.layers, [&](const PqiRow& row) { return row.name == name; });
    if (layer == result.layers.end()) layer = result.layers.insert(layer, {name, matrix.layer, {}});
    layer->value.add(value);
    result.matrices.push_back({matrix.tensor, matrix.layer, std::move(value)});
  }
  return result;
}

Result<std::vector<double>> contributions(const PathGradients& path, std::span<const PathNode> nodes) {
  std::vector<double> sums(path.matrices.size());
  for (const PathNode& node : nodes) {
    const PathPoint* point = find_point(path, node.t);
    if (point == nullptr)
      return fail(ErrorCode::kUsage,
                  {"path: t = " + std::to_string(node.t), "is not among its points", "the rule needs a gradient there", ""});
    for (size_t m = 0; m < sums.size(); ++m) sums[m] += node.weight * point->matrices[m].total;
  }
  return sums;
}

}  // namespace assay
