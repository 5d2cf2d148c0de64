#include "assay/base/random.h"
#include "assay/probe/attention_basis.h"

namespace assay {
namespace {

// Eigenvectors of a symmetric matrix, by rows, the largest eigenvalue first.
HeadBasis eigenvectors(const at::Tensor& moment) {
  const auto [values, vectors] = at::linalg_eigh(moment, "L");  // ascending, by columns
  const at::Tensor rows = vectors.flip(1).t().to(at::kFloat).contiguous(), energy = values.flip(0).clamp_min(0).contiguous();
  HeadBasis basis;
  basis.rows = std::make_shared<const std::vector<float>>(rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel());
  basis.energy.assign(energy.const_data_ptr<double>(), energy.const_data_ptr<double>() + energy.numel());
  return basis;
}

// Means of x x^T, and of x, in float64.
at::Tensor mean_square(const SecondMoment& moment) {
  const auto d = static_cast<int64_t>(moment.sum.size());
  return at::tensor(moment.square, at::kDouble).view({d, d}) / static_cast<double>(std::max<uint64_t>(1, moment.count));
}
at::Tensor mean(const SecondMoment& moment) {
  return at::tensor(moment.sum, at::kDouble) / static_cast<double>(std::max<uint64_t>(1, moment.count));
}

HeadBasis random_basis(int64_t d, uint64_t seed, uint64_t head, uint64_t draw) {
  at::Tensor normal = at::empty({d, d}, at::kDouble);
  CounterRandom random(seed, head, draw);
  double* data = normal.mutable_data_ptr<double>();
  for (int64_t i = 0; i < d * d; ++i) data[i] = random.next_normal();
  const at::Tensor rows = std::get<0>(at::linalg_qr(normal)).t().to(at::kFloat).contiguous();
  return {std::make_shared<const std::vector<float>>(rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()), {}};
}

}  // namespace

HeadBasis basis_of(BasisKind kind, const LayerMoments& moments, int layer, int head, uint64_t seed, int draw) {
  at::NoGradGuard no_grad;
  const size_t heads = moments.residual.size(), shared = heads / moments.values.size(), at = static_cast<size_t>(head);
  const SecondMoment& residual = moments.residual[at];
  switch (kind) {
    case BasisKind::kResidual:
      return eigenvectors(mean_square(residual));
    case BasisKind::kCentred: {
      const at::Tensor m = mean(residual);
      return eigenvectors(mean_square(residual) - at::outer(m, m));
    }
    case BasisKind::kContext:
      return eigenvectors(mean_square(moments.context[at]));
    case BasisKind::kValues:
      return eigenvectors(mean_square(moments.values[at / shared]));
    case BasisKind::kRandom:
      break;
  }
  constexpr uint64_t kStream = 0x6261736973;  // apart from the noise of queries
  return random_basis(static_cast<int64_t>(residual.sum.size()), seed ^ kStream, static_cast<uint64_t>(layer) * heads + at,
                      static_cast<uint64_t>(draw));
}

}  // namespace assay
