#include <algorithm>
#include <chrono>
#include <map>

#include "assay/base/quiet_progress.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/score/gradient_kernels.h"
#include "assay/score/path_gradients.h"

namespace assay {
namespace {

std::span<const float> span_of(const at::Tensor& tensor) { return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())}; }

Result<std::vector<PathMatrix>> matrices_of(const QuantizationPath& path) {
  std::vector<PathMatrix> matrices;
  for (const TensorInfo& tensor : path.base->tensors()) {
    if (!path.far->contains(tensor.name)) continue;
    const TensorRole role = role_of(tensor.name);
    if (tensor.n_dims != 2 || role.role == Role::kPositionEmbd)
      return fail(ErrorCode::kUnsupported, {"path: tensor '" + printable(tensor.name) + "'", "is not multiplied by anything",
                                            "norms, biases and positions stay as they are here", ""});
    matrices.push_back({tensor.name, role.layer, tensor.elements()});
  }
  return matrices;
}

// Takes the dots of every matrix at one point.
class DotReader : public GradientReader {
 public:
  DotReader(const QuantizationPath& path, const std::vector<PathMatrix>& matrices, size_t point, const PathObserver& observer,
            std::vector<PathDots>& dots)
      : path_(path), matrices_(matrices), point_(point), observer_(observer), dots_(dots) {
    for (size_t m = 0; m < matrices.size(); ++m) index_[matrices[m].tensor] = m;
    dots_.resize(matrices.size());
  }

  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    if (labels != GradientLabels::kText || !index_.contains(place.tensor)) return {};
    return {.mean = true, .windows = true};
  }

  Status window(const MatrixPlace& place, GradientLabels, size_t, const at::Tensor& gradient) override {
    ASSAY_ASSIGN(const std::span<const float> change, change_of(place));
    const DotSums sums = dot_sums(change, span_of(gradient));
    PathDots& dots = dots_[index_.at(place.tensor)];
    const auto count = static_cast<double>(path_.windows.size());
    dots.windows.push_back(sums.signed_sum);
    dots.total += sums.signed_sum / count;
    dots.absolute_by_window += sums.absolute_sum / count;
    return {};
  }

  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    ASSAY_ASSIGN(const std::span<const float> change, change_of(place));
    const size_t m = index_.at(place.tensor);
    dots_[m].absolute = dot_sums(change, span_of(gradients.text.mean)).absolute_sum;
    if (observer_) ASSAY_TRY(observer_(point_, m, change, span_of(gradients.text.mean)));
    changes_.erase(place.tensor);
    return {};
  }

 private:
  Result<std::span<const float>> change_of(const MatrixPlace& place) {
    const auto found = changes_.find(place.tensor);
    if (found != changes_.end()) return std::span<const float>(found->second);
    ASSAY_ASSIGN(std::vector<float> change, stored_change(*path_.base, place.tensor, path_.far->at(place.tensor), path_.network.threads));
    return std::span<const float>(changes_[place.tensor] = std::move(change));
  }

  const QuantizationPath& path_;
  const std::vector<PathMatrix>& matrices_;
  size_t point_;
  const PathObserver& observer_;
  std::vector<PathDots>& dots_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::vector<float>> changes_;  // of the block at hand
};

Result<std::shared_ptr<const Network>> model_at(const QuantizationPath& path, double t, PathGradients& spent) {
  const auto begin = std::chrono::steady_clock::now();
  ASSAY_ASSIGN(auto checkpoint, interpolated_checkpoint(path.base, path.far, t, path.network.threads));
  ASSAY_ASSIGN(auto network, Network::load(checkpoint, path.network));
  spent.load_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return network;
}

Result<PathPoint> point_at(const QuantizationPath& path, double t, std::span<GradientReader* const> readers, PathGradients& spent,
                           const Progress& progress) {
  ASSAY_ASSIGN(const std::shared_ptr<const Network> network, model_at(path, t, spent));
  QuietProgress quiet(progress);
  ASSAY_ASSIGN(GradientLosses losses, gradient_pass(*network, path.windows, readers, path.pass, quiet));
  spent.forward_seconds += losses.forward_seconds;
  spent.backward_seconds += losses.backward_seconds[static_cast<size_t>(GradientLabels::kText)];
  spent.reader_seconds += losses.reader_seconds;
  return PathPoint{t, losses.mean, std::move(losses.windows), {}};
}

}  // namespace

Result<PathGradients> path_gradients(const QuantizationPath& path, std::span<const double> ts, const PathObserver& observer,
                                     Progress& progress) {
  PathGradients result;
  ASSAY_ASSIGN(result.matrices, matrices_of(path));
  progress.stage("path", ts.size());
  for (size_t i = 0; i < ts.size(); ++i) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "path: interrupted between points");
    std::vector<PathDots> dots;
    DotReader reader(path, result.matrices, i, observer, dots);
    GradientReader* const readers[] = {&reader};
    ASSAY_ASSIGN(PathPoint point, point_at(path, ts[i], readers, result, progress));
    point.matrices = std::move(dots);
    result.points.push_back(std::move(point));
    progress.update(i + 1);
  }
  return result;
}

Result<PathPoint> loss_at(const QuantizationPath& path, double t, PathGradients& spent, Progress& progress) {
  if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "path: interrupted between points");
  return point_at(path, t, {}, spent, progress);
}

}  // namespace assay
