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

at::Tensor padded(const at::Tensor& block) {
  at::Tensor out = at::zeros({codes::kColumns, codes::kColumns});
  out.narrow(0, 0, block.size(0)).narrow(1, 0, block.size(1)).copy_(block);
  return out;
}

}  // namespace

int64_t SecondMoment::columns(int64_t block) const { return std::min<int64_t>(codes::kColumns, width_ - block * codes::kColumns); }

codes::Moments SecondMoment::own(int64_t block) const {
  const Own& mine = own_[static_cast<size_t>(block)];
  return {static_cast<int>(columns(block)), mine.h.const_data_ptr<float>(), mine.lower.const_data_ptr<float>(),
          mine.diagonal.const_data_ptr<float>()};
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
  const at::Tensor lower = factor.div(size.unsqueeze(0)).to(at::kFloat), d = size.square().to(at::kFloat);
  h = h.to(at::kFloat);

  const int64_t blocks = (result.width_ + codes::kColumns - 1) / codes::kColumns;
  result.own_.resize(static_cast<size_t>(blocks));
  result.h_.resize(static_cast<size_t>(blocks * blocks));
  result.lower_.resize(static_cast<size_t>(blocks * blocks));
  const auto part = [&](const at::Tensor& whole, int64_t from, int64_t to) {
    return whole.narrow(0, from * codes::kColumns, result.columns(from)).narrow(1, to * codes::kColumns, result.columns(to));
  };
  for (int64_t from = 0; from < blocks; ++from) {
    Own& own = result.own_[static_cast<size_t>(from)];
    own.h = padded(part(h, from, from));
    own.lower = padded(part(lower, from, from));
    own.diagonal = at::ones({codes::kColumns});
    own.diagonal.narrow(0, 0, result.columns(from)).copy_(d.narrow(0, from * codes::kColumns, result.columns(from)));
    for (int64_t to = 0; to < blocks; ++to) {
      // A packed matrix multiplies by its transpose.
      result.h_[result.index(from, to)] = Matrix::pack(part(h, from, to).t().contiguous(), Compute::kFloat32);
      if (to < from) result.lower_[result.index(from, to)] = Matrix::pack(part(lower, from, to).t().contiguous(), Compute::kFloat32);
    }
  }
  return result;
}

}  // namespace assay
