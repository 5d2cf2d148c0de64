#include "assay/probe/gradient_pass.h"
#include "assay/probe/loss_gradient.h"

namespace assay {
namespace {

class MeanReader : public GradientReader {
 public:
  explicit MeanReader(const GradientSink& sink) : sink_(sink) {}
  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    return {.mean = place.layer >= 0 && labels == GradientLabels::kText};
  }
  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    return sink_(place.layer, place.tensor, gradients.text.mean);
  }

 private:
  const GradientSink& sink_;
};

}  // namespace

Result<double> loss_gradient(const Network& network, std::span<const Window> windows, const GradientSink& sink, Progress& progress) {
  MeanReader reader(sink);
  GradientReader* const readers[] = {&reader};
  GradientPassOptions options;
  options.memory = 0;
  return gradient_pass(network, windows, readers, options, progress).map([](const GradientLosses& losses) { return losses.mean; });
}

}  // namespace assay
