#include "assay/base/text.h"
#include "assay/codes/second_moment.h"

namespace assay {
namespace {

constexpr double kAsymmetry = 1e-3;  // of the mean diagonal: float32 sums of one order against another stay far below

Error broken(const std::string& found, const std::string& needed, const std::string& cause) {
  return make_error(ErrorCode::kBadInput, Complaint{"second moments", found, needed, cause});
}

Status check(const at::Tensor& moment) {
  if (moment.dim() != 2 || moment.size(0) != moment.size(1) || moment.size(0) == 0)
    return fail(broken("are not a square matrix", "[inputs, inputs] is needed", ""));
  if (!at::isfinite(moment).all().item<bool>()) return fail(broken("hold NaN or infinite values", "", "a damaged file?"));
  if (moment.diagonal().min().item<float>() < 0)
    return fail(broken("have a negative diagonal", "sums of squares are not", "a damaged file?"));
  const double mean = moment.diagonal().to(at::kDouble).mean().item<double>();
  if (!(mean > 0)) return fail(broken("are all zero", "", "no token reached this input"));
  const double asymmetry = (moment - moment.t()).abs().max().item<double>();
  if (asymmetry > kAsymmetry * mean) return fail(broken("are not symmetric", "X^T X is", "a damaged file, or a matrix of something else?"));
  return {};
}

}  // namespace

int SecondMoment::columns(int64_t block) const {
  return static_cast<int>(std::min<int64_t>(codes::kColumns, width_ - block * codes::kColumns));
}

codes::Moments SecondMoment::own(int64_t block) const {
  return {columns(block), h(block, block), lower(block, block), diagonal_.const_data_ptr<float>() + block * codes::kColumns};
}

Result<SecondMoment> SecondMoment::prepare(const at::Tensor& moment, double damping) {
  at::NoGradGuard no_grad;
  ASSAY_TRY(check(moment));
  SecondMoment result;
  result.width_ = moment.size(0);
  const at::Tensor diagonal = moment.diagonal().contiguous();
  result.importance_.assign(diagonal.const_data_ptr<float>(), diagonal.const_data_ptr<float>() + diagonal.numel());
  result.scale_ = diagonal.to(at::kDouble).mean().item<double>();
  at::Tensor h = moment.to(at::kDouble);
  h = (h + h.t()).mul_(0.5 / result.scale_);
  h.diagonal().add_(damping);
  const auto [factor, failed] = at::linalg_cholesky_ex(h);
  if (failed.item<int>() != 0)
    return fail(broken("are not positive definite after damping by " + std::to_string(damping), "", "a matrix of something else?"));
  const at::Tensor size = factor.diagonal().clone();
  const at::Tensor lower = factor.div_(size.unsqueeze(0));
  result.diagonal_ = size.square().to(at::kFloat);

  const int64_t blocks = result.blocks();
  result.h_ = at::zeros({blocks * blocks, codes::kColumns, codes::kStride});
  result.lower_ = at::zeros({blocks * (blocks + 1) / 2, codes::kColumns, codes::kStride});
  for (int64_t from = 0, i = 0, triangular = 0; from < blocks; ++from) {
    for (int64_t to = 0; to < blocks; ++to) {
      const auto cut = [&](const at::Tensor& whole, const at::Tensor& tile) {
        const int64_t rows = result.columns(from), columns = result.columns(to);
        tile.narrow(0, 0, rows)
            .narrow(1, 0, columns)
            .copy_(whole.narrow(0, from * codes::kColumns, rows).narrow(1, to * codes::kColumns, columns));
      };
      cut(h, result.h_[i++]);
      if (to <= from) cut(lower, result.lower_[triangular++]);
    }
  }
  return result;
}

}  // namespace assay
