#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

// The lower triangle of M^T M in float64 and some of the rest, which is never read. Some rows at a time, so that a float32 matrix is never
// whole in float64. Strips of columns side by side, each on one thread, so that threads change no bit.
at::Tensor gram(const at::Tensor& matrix, int threads) {
  constexpr int64_t kRows = 4096, kColumns = 128;
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  const OneThread alone;
  at::Tensor sum = at::zeros({columns, columns}, at::kDouble);
  for (int64_t first = 0; first < rows; first += kRows) {
    const at::Tensor some = matrix.narrow(0, first, std::min(kRows, rows - first)).to(at::kDouble).contiguous();
    alone.parallel(static_cast<size_t>((columns + kColumns - 1) / kColumns), threads, [&](size_t strip) {
      const int64_t begin = static_cast<int64_t>(strip) * kColumns, count = std::min(kColumns, columns - begin);
      at::Tensor part = sum.narrow(1, begin, count).narrow(0, begin, columns - begin);
      part.add_(some.narrow(1, begin, columns - begin).t().matmul(some.narrow(1, begin, count)));
    });
  }
  return sum;
}

}  // namespace

at::Tensor as_tensor(std::span<const float> values, uint64_t rows, uint64_t columns) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(rows), static_cast<int64_t>(columns)}, at::kFloat);
}

OneThread::OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
OneThread::~OneThread() { at::set_num_threads(before_); }
void OneThread::parallel(size_t count, int threads, const std::function<void(size_t)>& body) const {
  parallel_for(count, threads, [&](size_t i) {
    at::set_num_threads(1);  // partly a setting of each thread
    body(i);
  });
}

Spectrum right_spectrum(const at::Tensor& matrix, int threads) {
  const int64_t rank = std::min(matrix.size(0), matrix.size(1));
  const at::Tensor squared = gram(matrix, threads);
  const OneThread alone;
  const auto [squares, vectors] = at::linalg_eigh(squared, "L");  // ascending
  return {squares.clamp_min(0).sqrt().flip(0).narrow(0, 0, rank), vectors.flip(1).narrow(1, 0, rank)};
}

at::Tensor singular_values(const at::Tensor& matrix, int threads) {
  const at::Tensor squared = gram(matrix.size(0) < matrix.size(1) ? matrix.t() : matrix, threads);
  const OneThread alone;
  return at::linalg_eigvalsh(squared, "L").clamp_min(0).sqrt().flip(0);
}

Spectrum left_spectrum(const at::Tensor& matrix, int threads) { return right_spectrum(matrix.t(), threads); }

ThinFactor thin_factor(const at::Tensor& a) {
  const OneThread alone;
  const auto [q, r] = at::linalg_qr(a.t().to(at::kDouble));
  return {q, r};
}

ThinProduct thin_product(const ThinFactor& a, const ThinFactor& b) {
  const OneThread alone;
  const auto [u, s, vh] = at::linalg_svd(a.r.matmul(b.r.t()), false);
  return {s, a.q.matmul(u), b.q.matmul(vh.t())};
}

int64_t kept_rank(const at::Tensor& values) {
  const at::Tensor energy = values.square().cumsum(0);
  const int64_t length = values.size(0);
  if (length == 0) return 0;
  const double wanted = 0.99 * energy[length - 1].item<double>();
  const int64_t below = (energy < wanted).sum().item<int64_t>();  // the place of the first that reaches it
  return std::min(length, std::max<int64_t>(2, below + 1));
}

double capacity(const at::Tensor& values) {
  const double sum = values.sum().item<double>();
  if (values.numel() == 0 || !(sum > 0)) return 0;
  const at::Tensor p = values / sum;
  const double entropy = -(p * (p + 1e-12).log()).sum().item<double>();
  return sum / std::exp(entropy);
}

at::Tensor column_kurtosis(const at::Tensor& matrix) {
  const at::Tensor d = matrix - matrix.mean(0, true);
  const at::Tensor square = d.square();
  const at::Tensor m2 = square.mean(0), m4 = square.square().mean(0);
  return at::where(m2 > 0, m4 / m2.square() - 3, at::zeros_like(m2));
}

}  // namespace assay
