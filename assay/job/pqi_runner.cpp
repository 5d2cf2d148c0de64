#include "assay/job/pqi_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/payload.h"
#include "assay/base/quiet_progress.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/job/make_table.h"
#include "assay/job/weight_sample.h"
#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/score/gradient_kernels.h"
#include "assay/score/pqi.h"
#include "assay/score/quantized_set.h"
#include "assay/score/second_order.h"
#include "assay/study/pqi_analysis.h"

namespace assay {
namespace {

constexpr uint64_t kMostSampled = uint64_t{1} << 20;  // weights whose measures are compared

std::span<const float> span_of(const at::Tensor& tensor) { return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())}; }

PqiSlope slope_of(const PathPoint& point) {
  PqiSlope slope{point.t, 0, std::vector<double>(point.window_losses.size())};
  for (const PathDots& dots : point.matrices) {
    slope.total += dots.total;
    for (size_t w = 0; w < slope.windows.size(); ++w) slope.windows[w] += dots.windows[w];
  }
  return slope;
}

void write(PayloadWriter& writer, const PqiSlope& slope) {
  writer.add(slope.t, "t");
  writer.add(slope.total, "slope");
  writer.add(std::span<const double>(slope.windows), "slope");
}
PqiSlope read_slope(PayloadReader& reader) {
  PqiSlope slope;
  slope.t = reader.real();
  slope.total = reader.real();
  slope.windows = reader.reals();
  return slope;
}

// Measures of the sampled weights at one end of the path.
struct EndMeasures {
  std::vector<double> gradient, fisher, product;  // |g|, F, |d g|
  std::vector<double> change, fisher_term;        // |d|, 1/2 F d^2
};

// Gradients and their squares at one end of the path: nothing per weight is kept beyond the sample.
class EndReader : public GradientReader {
 public:
  EndReader(const QuantizationPath& path, const WeightSample& sample, EndMeasures& measures, std::map<std::string, double>& fishers)
      : path_(path), sample_(sample), measures_(measures), fishers_(fishers) {}

  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    if (labels != GradientLabels::kText || !sample_.holds(place.tensor)) return {};
    return {.mean = true, .squares = true};
  }

  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    ASSAY_ASSIGN(const std::vector<float> d, stored_change(*path_.base, place.tensor, path_.far->at(place.tensor), path_.network.threads));
    const std::span<const float> g = span_of(gradients.text.mean), squares = span_of(gradients.text.squares);
    // To the Fisher diagonal per token, as GradientView::fisher_scale().
    const double scale = static_cast<double>(gradients.text.scored) / static_cast<double>(gradients.text.windows);
    fishers_[place.tensor] = 0.5 * scale * weighted_square(squares, d, path_.network.threads);
    const auto at = [](std::span<const float> values, uint64_t i) { return static_cast<double>(values[i]); };
    const std::span<const float> change(d);
    sample_.take(place.tensor, measures_.gradient, [&](uint64_t i) { return std::fabs(at(g, i)); });
    sample_.take(place.tensor, measures_.fisher, [&](uint64_t i) { return scale * at(squares, i); });
    sample_.take(place.tensor, measures_.product, [&](uint64_t i) { return std::fabs(at(change, i) * at(g, i)); });
    sample_.take(place.tensor, measures_.change, [&](uint64_t i) { return std::fabs(at(change, i)); });
    sample_.take(place.tensor, measures_.fisher_term,
                 [&](uint64_t i) { return 0.5 * scale * at(squares, i) * at(change, i) * at(change, i); });
    return {};
  }

 private:
  const QuantizationPath& path_;
  const WeightSample& sample_;
  EndMeasures& measures_;
  std::map<std::string, double>& fishers_;
};

Status measure_end(const QuantizationPath& path, double t, GradientReader& reader, const Progress& progress) {
  ASSAY_ASSIGN(auto checkpoint, interpolated_checkpoint(path.base, path.far, t, path.network.threads));
  ASSAY_ASSIGN(const auto network, Network::load(checkpoint, path.network));
  QuietProgress quiet(progress);
  GradientReader* const readers[] = {&reader};
  ASSAY_ASSIGN(const GradientLosses losses, gradient_pass(*network, path.windows, readers, path.pass, quiet));
  (void)losses;
  return {};
}

std::vector<PqiAgreement> agreements_of(const EndMeasures& before, const EndMeasures& after, const std::vector<double>& c) {
  return {agreement_of("|g| at w", "|g| at w~", before.gradient, after.gradient),
          agreement_of("Fisher at w", "Fisher at w~", before.fisher, after.fisher),
          agreement_of("|d g| at w", "|d g| at w~", before.product, after.product),
          agreement_of("|d g| at w", "PQI", before.product, c),
          agreement_of("|d g| at w~", "PQI", after.product, c),
          agreement_of("1/2 F d^2 at w", "PQI", before.fisher_term, c),
          agreement_of("|d|", "PQI", before.change, c)};
}

}  // namespace

Result<std::unique_ptr<PqiRunner>> PqiRunner::open(const std::string& model, const TextInput& text, const RunSettings& settings,
                                                   Progress& progress) {
  if (settings.compute != Compute::kFloat32)
    return fail(ErrorCode::kUsage, {"study pqi", "needs float32: differences of gradients are its matter", "--compute float32", ""});
  apply_settings(settings);
  std::unique_ptr<PqiRunner> runner(new PqiRunner);
  runner->settings_ = settings;
  runner->progress_ = &progress;
  ASSAY_ASSIGN(runner->model_, open_model(model, settings, progress));
  ASSAY_ASSIGN(runner->set_, open_windows(text, runner->model_));
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, runner->model_, progress));
  runner->store_ = std::make_unique<UnitStore>(std::move(store));
  return runner;
}

std::vector<uint32_t> PqiRunner::documents() const {
  std::vector<uint32_t> documents;
  for (const Window& window : set_.windows) documents.push_back(window.document);
  return documents;
}

Status PqiRunner::quantize(GgmlType type, const std::vector<int>& layers, std::vector<std::string>& notes) {
  std::vector<std::string> tensors;
  for (const TensorInfo& tensor : model_.checkpoint->tensors())
    if (tensor.n_dims == 2 && is_quantizable(tensor) && std::ranges::count(layers, role_of(tensor.name).layer) > 0)
      tensors.push_back(tensor.name);
  const auto can_hold = [&](const std::string& tensor) { return !usable_types(*model_.checkpoint->find(tensor), {type}).empty(); };
  const TypeFit fit = type_fit(tensors, can_hold);
  const std::string name = find_type(type)->name;
  if (fit.tensors.empty())
    return fail(ErrorCode::kUnsupported, {"type " + name, "fits no matrix of these layers", "another of --types", "rows not divisible?"});
  if (!fit.left_out.empty()) notes.push_back(note_of(fit, type));
  const ChangeSource encoded(model_.network, nullptr, {0, settings_.threads});
  ASSAY_ASSIGN(far_, stored_at(type, fit.tensors, [&](const std::string& tensor, GgmlType) { return encoded.stored(tensor, type); }));
  start_.reset();
  std::string of;
  for (const int layer : layers) of += std::to_string(layer) + ",";
  units_ = store_->units(store_->key("pqi study").add("windows", fingerprint(set_.windows)).add("type", name).add("layers", of));
  return {};
}

std::vector<PathMatrix> PqiRunner::matrices() const {
  std::vector<PathMatrix> matrices;
  for (const TensorInfo& tensor : model_.checkpoint->tensors())
    if (far_->contains(tensor.name)) matrices.push_back({tensor.name, role_of(tensor.name).layer, tensor.elements()});
  return matrices;
}

QuantizationPath PqiRunner::path(int layer) const {
  QuantizationPath path;
  path.base = model_.checkpoint;
  path.far = far_;
  if (layer >= 0) {
    auto alone = std::make_shared<StoredMatrices>();
    for (const auto& [name, matrix] : *far_)
      if (role_of(name).layer == layer) alone->emplace(name, matrix);
    path.far = std::move(alone);
  }
  path.windows = set_.windows;
  path.network = network_options(settings_);
  path.pass.memory = tile_memory(settings_);
  return path;
}

Result<std::string> PqiRunner::unit(const std::string& name, const std::function<Result<std::string>()>& work) {
  ASSAY_ASSIGN(std::string payload, find_or_make(*units_, name, work));
  ASSAY_TRY(store_->flush());
  return payload;
}

Result<std::string> PqiRunner::make_integral(PathRule rule, int intervals, uint64_t seed) {
  const QuantizationPath all = path();
  TopShares shares;
  const WeightSample sample(matrices(), kMostSampled, seed);
  std::vector<double> sizes;  // |c| of the sample
  const auto sink = [&](const PathMatrix& matrix, std::span<const float> c) -> Status {
    shares.add(c);
    sample.take(matrix.tensor, sizes, [&](uint64_t i) { return std::fabs(static_cast<double>(c[i])); });
    return {};
  };
  ASSAY_ASSIGN(const PqiResult result, pqi(all, {rule, intervals, true}, sink, *progress_));
  EndMeasures before, after;
  std::map<std::string, double> fishers, fishers_after;
  EndReader first(all, sample, before, fishers), last(all, sample, after, fishers_after);
  ASSAY_TRY(measure_end(all, 0, first, *progress_));
  ASSAY_TRY(measure_end(all, 1, last, *progress_));

  PayloadWriter writer;
  writer.add(uint64_t{sample.size()});
  writer.add(uint64_t{result.matrices.size()});
  for (const PqiRow& row : result.matrices) {
    writer.add(std::string_view(row.name));
    writer.add(row.value.elements);
    const double values[] = {row.value.contribution, row.value.abs_total, row.value.abs_per_step, row.value.abs_per_sequence,
                             fishers.at(row.name)};
    writer.add(std::span<const double>(values), row.name);
  }
  writer.add(uint64_t{result.path.points.size()});
  for (const PathPoint& point : result.path.points) write(writer, slope_of(point));
  for (const double part : kTopShares) writer.add(shares.share(part), "share of the top weights");
  const std::vector<PqiAgreement> agreements = agreements_of(before, after, sizes);
  writer.add(uint64_t{agreements.size()});
  for (const PqiAgreement& one : agreements) {
    writer.add(std::string_view(one.measure));
    writer.add(std::string_view(one.with));
    std::vector<double> values;
    if (one.spearman) values.push_back(*one.spearman);
    writer.add(std::span<const double>(values), "correlation");
    values.clear();
    for (const auto& [part, overlap] : one.overlaps) values.insert(values.end(), {part, overlap});
    writer.add(std::span<const double>(values), "overlap");
  }
  return std::move(writer).finish();
}

Result<PqiIntegral> PqiRunner::integral(PathRule rule, int intervals, uint64_t seed) {
  const std::string name = "integral " + std::string(name_of(rule)) + " " + std::to_string(intervals) + " seed " + std::to_string(seed);
  ASSAY_ASSIGN(const std::string payload, unit(name, [&] { return make_integral(rule, intervals, seed); }));
  PayloadReader reader(payload);
  PqiIntegral integral;
  integral.sampled = reader.number();
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    PqiMatrix row;
    row.name = reader.text();
    row.elements = reader.number();
    std::vector<double> values = reader.reals();
    values.resize(5);
    row.role = name_of(role_of(row.name).role);
    row.layer = role_of(row.name).layer;
    row.contribution = values[0];
    row.abs_total = values[1];
    row.abs_per_step = values[2];
    row.abs_per_sequence = values[3];
    integral.matrices.push_back(std::move(row));
    integral.fishers.push_back(values[4]);
  }
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) integral.slopes.push_back(read_slope(reader));
  for (const double part : kTopShares) integral.coverage.push_back({part, reader.real()});
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    PqiAgreement one;
    one.measure = reader.text();
    one.with = reader.text();
    if (const std::vector<double> rho = reader.reals(); !rho.empty()) one.spearman = rho[0];
    const std::vector<double> overlaps = reader.reals();
    for (size_t i = 0; i + 1 < overlaps.size(); i += 2) one.overlaps.emplace_back(overlaps[i], overlaps[i + 1]);
    integral.agreements.push_back(std::move(one));
  }
  ASSAY_TRY(reader.finish());
  return integral;
}

Result<PqiSlope> PqiRunner::slope(double t) {
  const auto work = [&]() -> Result<std::string> {
    QuietProgress quiet(*progress_);
    const double ts[] = {t};
    ASSAY_ASSIGN(const PathGradients found, path_gradients(path(), ts, {}, quiet));
    PayloadWriter writer;
    write(writer, slope_of(found.points[0]));
    return std::move(writer).finish();
  };
  ASSAY_ASSIGN(const std::string payload, unit("slope " + fmt::format("{}", t), work));
  PayloadReader reader(payload);
  PqiSlope slope = read_slope(reader);
  ASSAY_TRY(reader.finish());
  return slope;
}

Result<std::vector<double>> PqiRunner::losses(double t) {
  const auto work = [&]() -> Result<std::string> {
    QuietProgress quiet(*progress_);
    PathGradients spent;
    ASSAY_ASSIGN(const PathPoint point, loss_at(path(), t, spent, quiet));
    PayloadWriter writer;
    writer.add(std::span<const double>(point.window_losses), "loss");
    return std::move(writer).finish();
  };
  ASSAY_ASSIGN(const std::string payload, unit("losses " + fmt::format("{}", t), work));
  PayloadReader reader(payload);
  std::vector<double> losses = reader.reals();
  ASSAY_TRY(reader.finish());
  return losses;
}

Result<std::string> PqiRunner::make_orders(int layer) {
  QuietProgress quiet(*progress_);
  const QuantizationPath part = path(layer);
  if (!start_) {
    const double at_w[] = {0};
    ASSAY_ASSIGN(start_, path_gradients(path(), at_w, {}, quiet));
  }
  SecondOrderOptions options;
  options.start = &*start_;
  ASSAY_ASSIGN(SecondOrder order, second_order(part, options, quiet));
  ASSAY_ASSIGN(const PathPoint end, loss_at(part, 1, order.path, quiet));
  const std::vector<PathPoint>& points = order.path.points;
  std::vector<std::vector<double>> at;
  for (const PathPoint& point : points) at.push_back(slope_of(point).windows);
  std::vector<double> second(at[0].size()), change(at[0].size());
  for (size_t w = 0; w < second.size(); ++w) {  // as second_order() does for their mean
    const double near = (at[1][w] - at[2][w]) / (2 * options.step), far = (at[3][w] - at[4][w]) / (4 * options.step);
    second[w] = 0.5 * (4 * near - far) / 3;
    change[w] = end.window_losses[w] - points[0].window_losses[w];
  }
  uint64_t count = 0;
  for (const PathMatrix& matrix : order.path.matrices) count += matrix.elements;
  PayloadWriter writer;
  writer.add(count);
  writer.add(order.total.error, "second order");
  writer.add(points[0].loss, "loss");
  writer.add(end.loss, "loss");
  writer.add(std::span<const double>(at[0]), "first order");
  writer.add(std::span<const double>(second), "second order");
  writer.add(std::span<const double>(change), "change");
  return std::move(writer).finish();
}

Result<PqiStepOrders> PqiRunner::orders(int layer) {
  ASSAY_ASSIGN(const std::string payload, unit("orders " + std::to_string(layer), [&] { return make_orders(layer); }));
  PayloadReader reader(payload);
  PqiStepOrders orders;
  orders.elements = reader.number();
  orders.second_error = reader.real();
  orders.loss_before = reader.real();
  orders.loss_after = reader.real();
  orders.first = reader.reals();
  orders.second = reader.reals();
  orders.change = reader.reals();
  ASSAY_TRY(reader.finish());
  return orders;
}

Result<PqiCost> PqiRunner::cost(size_t windows) {
  const auto work = [&]() -> Result<std::string> {
    QuietProgress quiet(*progress_);
    QuantizationPath few = path();
    few.windows = few.windows.first(windows);
    const double ts[] = {0.5};
    ASSAY_ASSIGN(const PathGradients gradient, path_gradients(few, ts, {}, quiet));
    PathGradients forward;
    ASSAY_ASSIGN(const PathPoint point, loss_at(few, 0.5, forward, quiet));
    (void)point;
    PayloadWriter writer;
    writer.add(gradient.load_seconds + gradient.forward_seconds + gradient.backward_seconds + gradient.reader_seconds, "seconds");
    writer.add(forward.forward_seconds, "seconds");
    return std::move(writer).finish();
  };
  ASSAY_ASSIGN(const std::string payload, unit("cost " + std::to_string(windows), work));
  PayloadReader reader(payload);
  PqiCost cost{windows, reader.real(), reader.real()};
  ASSAY_TRY(reader.finish());
  return cost;
}

}  // namespace assay
