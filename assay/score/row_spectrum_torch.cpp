#include <cmath>

#include "assay/score/row_spectrum.h"
#include "assay/score/spectrum.h"

namespace assay {

at::Tensor row_eigenvalues(const at::Tensor& rows, bool centred, int threads) {
  at::NoGradGuard no_grad;
  const OneThread alone;
  const at::Tensor x = rows.to(at::kDouble);
  const at::Tensor y = centred && x.size(0) > 1 ? x - x.mean(0, true) : x;
  // The smaller side's Gram matrix has the same eigenvalues.
  return (y.size(0) < y.size(1) ? left_spectrum(y, threads) : right_spectrum(y, threads)).values.square();
}

double leading_share(const at::Tensor& eigenvalues) {
  if (eigenvalues.numel() == 0) return 0;
  if (eigenvalues.numel() == 1) return 1;
  return eigenvalues[0].item<double>() / (eigenvalues.sum().item<double>() + 1e-12);
}

double concentration(const at::Tensor& eigenvalues) {
  const double sum = eigenvalues.sum().item<double>();
  if (!(sum > 0)) return 0;
  const at::Tensor p = eigenvalues / sum;
  return std::exp(at::xlogy(p, p).sum().item<double>());
}

}  // namespace assay
