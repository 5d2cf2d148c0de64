#include "assay/base/sum.h"
#include "assay/model/stored_product.h"
#include "assay/probe/loss_gradient.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr int64_t kHeadRows = 128;  // logits at a time

class LossGradient {
 public:
  LossGradient(const Network& network, std::span<const Window> windows, Progress& progress)
      : network_(network),
        windows_(windows),
        progress_(progress),
        sequences_(static_cast<int64_t>(windows.size())),
        tokens_(static_cast<int64_t>(windows[0].tokens.size())) {}

  Result<double> run(const GradientSink& sink) {
    at::NoGradGuard no_grad;
    ASSAY_ASSIGN(at::Tensor h, network_.embed(token_matrix(windows_)));
    std::vector<at::Tensor> inputs;
    for (int layer = 0; layer < network_.hyper().layers; ++layer) {
      inputs.push_back(h);
      ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(layer));
      h = block->forward(h, sequences_, tokens_);
    }
    double nll = 0;
    ASSAY_ASSIGN(at::Tensor g, head(h, nll));
    for (int layer = network_.hyper().layers - 1; layer >= 0; --layer) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "gradient: interrupted between blocks");
      ASSAY_ASSIGN(const std::shared_ptr<const PlainBlock> block, network_.plain_block(layer));
      const BlockGradient gradient = block->backward(inputs[static_cast<size_t>(layer)], g, sequences_, tokens_);
      inputs.pop_back();
      for (const SiteGradient& site : gradient.sites)
        ASSAY_TRY(sink(layer, block->tensor(site.site), site.g.t().matmul(site.x).to(at::kCPU)));
      g = gradient.input;
    }
    return nll;
  }

 private:
  // The gradient at the last block's output.
  Result<at::Tensor> head(const at::Tensor& h, double& nll) const {
    ASSAY_ASSIGN(const at::Tensor weight, network_.plain_weight(network_.head_tensor()));
    const std::vector<int32_t> labels = scored_labels(windows_);
    const int64_t begin = windows_[0].score_begin, scored = static_cast<int64_t>(windows_[0].scored());
    const auto count = static_cast<double>(labels.size());
    at::Tensor g = at::zeros_like(h);
    CompensatedSum sum;
    for (int64_t s = 0; s < sequences_; ++s)
      for (int64_t first = 0; first < scored; first += kHeadRows) {
        const int64_t n = std::min(kHeadRows, scored - first), row = s * tokens_ + begin + first;
        const at::Tensor rows = h.narrow(0, row, n);
        at::Tensor p = at::log_softmax(network_.head().multiply(network_.final_norm(rows)).to(at::kCPU), -1);
        for (int64_t r = 0; r < n; ++r)
          sum.add(-static_cast<double>(p[r][labels[static_cast<size_t>(s * scored + first + r)]].item<float>()));
        p.exp_();
        for (int64_t r = 0; r < n; ++r) p[r][labels[static_cast<size_t>(s * scored + first + r)]].sub_(1);
        g.narrow(0, row, n).copy_(network_.final_norm_gradient(rows, multiply_stored(p.div_(count), weight)));
      }
    nll = sum.value() / count;
    return g;
  }

  const Network& network_;
  std::span<const Window> windows_;
  Progress& progress_;
  int64_t sequences_, tokens_;
};

}  // namespace

Result<double> loss_gradient(const Network& network, std::span<const Window> windows, const GradientSink& sink, Progress& progress) {
  return LossGradient(network, windows, progress).run(sink);
}

}  // namespace assay
