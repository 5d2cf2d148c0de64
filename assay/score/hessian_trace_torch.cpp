#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/quiet_progress.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/model/shaken_checkpoint.h"
#include "assay/score/gradient_kernels.h"
#include "assay/score/hessian_trace.h"

namespace assay {
namespace {

// v_m . g_m of every matrix, g of the mean loss.
class SignReader : public GradientReader {
 public:
  SignReader(const HessianTrace& trace, const Shake& shake) : trace_(trace), shake_(shake) {}

  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    return {.mean = labels == GradientLabels::kText && shake_.steps.contains(place.tensor)};
  }
  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    const at::Tensor& mean = gradients.text.mean;
    const std::vector<float> signs = random_signs(*trace_.base, place.tensor, shake_, trace_.network.threads);
    const std::span<const float> g(mean.const_data_ptr<float>(), static_cast<size_t>(mean.numel()));
    dots[place.tensor] = dot_sums(signs, g, trace_.network.threads).signed_sum;
    return {};
  }

  std::map<std::string, double> dots;

 private:
  const HessianTrace& trace_;
  const Shake& shake_;
};

Result<std::map<std::string, double>> dots_at(const HessianTrace& trace, const Shake& shake, double side, const Progress& progress) {
  ASSAY_ASSIGN(auto checkpoint, shaken_checkpoint(trace.base, shake, side, trace.network.threads));
  ASSAY_ASSIGN(const auto network, Network::load(checkpoint, trace.network));
  SignReader reader(trace, shake);
  GradientReader* const readers[] = {&reader};
  QuietProgress quiet(progress);
  ASSAY_ASSIGN(const GradientLosses losses, gradient_pass(*network, trace.windows, readers, trace.pass, quiet));
  (void)losses;
  return std::move(reader.dots);
}

}  // namespace

Result<std::map<std::string, double>> shake_steps(const HessianTrace& trace) {
  if (!(trace.options.step > 0 && trace.options.step < 1)) return fail(ErrorCode::kUsage, "trace: the step must be between 0 and 1");
  const int threads = trace.network.threads;
  std::map<std::string, double> steps;
  for (const std::string& name : trace.matrices) {
    const TensorInfo* info = trace.base->find(name);
    if (info == nullptr || info->n_dims != 2 || role_of(name).role == Role::kPositionEmbd)
      return fail(ErrorCode::kUnsupported, {"trace: tensor '" + printable(name) + "'", "is no matrix of the model", "", ""});
    ASSAY_ASSIGN(const std::vector<float> w, trace.base->read_float(*info, threads == 0 ? available_threads() : threads));
    const double rms = std::sqrt(dot_sums(w, w, threads).signed_sum / static_cast<double>(w.size()));
    steps[name] = trace.options.step * (rms > 0 ? rms : 1);
  }
  return steps;
}

std::map<std::string, double> balanced_steps(const HessianTrace& trace, std::map<std::string, double> steps,
                                             std::span<const double> traces) {
  constexpr double kShortest = 1.0 / 32;
  std::vector<double> curvatures;
  for (size_t m = 0; m < traces.size(); ++m) {
    const double step = steps.at(trace.matrices[m]);
    curvatures.push_back(step * step * std::fabs(traces[m]));
  }
  std::vector<double> sorted = curvatures;
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  for (size_t m = 0; m < traces.size(); ++m)
    if (curvatures[m] > *middle) steps[trace.matrices[m]] *= std::max(kShortest, std::sqrt(*middle / curvatures[m]));
  return steps;
}

Result<std::vector<double>> trace_draw(const HessianTrace& trace, const std::map<std::string, double>& steps, uint64_t draw,
                                       const Progress& progress) {
  const Shake shake{trace.options.seed, draw, steps};
  ASSAY_ASSIGN(const auto above, dots_at(trace, shake, 1, progress));
  ASSAY_ASSIGN(const auto below, dots_at(trace, shake, -1, progress));
  std::vector<double> products;
  // The other matrices' steps differ from this one's: H u holds H_mk v_k step_k, so that v_m . (H u)_m / step_m is right for k = m.
  for (const std::string& name : trace.matrices) products.push_back((above.at(name) - below.at(name)) / (2 * steps.at(name)));
  return products;
}

}  // namespace assay
