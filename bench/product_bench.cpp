// Rates of the matrix products that every run is made of, in GFLOP/s: the arithmetic limit that stands beside the other figures.
// usage: product_bench [threads]      One line of JSON per compute mode and shape; then the products of backward and of the curvature
// table.
#include <fmt/format.h>

#include <chrono>

#include "assay/base/parallel.h"
#include "assay/model/matrix.h"
#include "assay/model/stored_product.h"

namespace {

using namespace assay;

// Seconds of the fastest of several calls.
template <class F>
double best_seconds(const F& body) {
  double best = 1e9, spent = 0;
  for (int i = 0; i < 40 && spent < 0.12; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

}  // namespace

int main(int count, char** arguments) {
  at::NoGradGuard no_grad;
  at::set_num_threads(count > 1 ? std::atoi(arguments[1]) : available_threads());
  // [out, in] of Qwen2.5-0.5B's matrices, of the demo model's, and a piece of a head.
  const int64_t shapes[][2] = {{896, 896}, {128, 896}, {4864, 896}, {896, 4864}, {15360, 896}, {256, 256}, {768, 256}};
  for (const Compute compute : {Compute::kFloat32, Compute::kBFloat16})
    for (const auto& [out, in] : shapes) {
      const Matrix matrix = Matrix::pack(at::randn({out, in}), compute);
      for (const int64_t rows : {8, 64, 512, 2048, 4096}) {
        const at::Tensor x = matrix.prepare(at::randn({rows, in}));
        const double seconds = best_seconds([&] { (void)matrix.multiply_prepared(x); });
        fmt::print("{{\"compute\": \"{}\", \"rows\": {}, \"out\": {}, \"in\": {}, \"gflops\": {:.1f}}}\n", name_of(compute), rows, out, in,
                   2e-9 * static_cast<double>(rows * out * in) / seconds);
      }
    }
  for (const auto& [out, in] : shapes) {
    const at::Tensor weight = at::randn({out, in});
    for (const int64_t rows : {512, 1024, 2048, 4096}) {
      const at::Tensor g = at::randn({rows, out}), x = at::randn({rows, in});
      const auto print = [&](const char* product, double seconds) {
        fmt::print("{{\"product\": \"{}\", \"rows\": {}, \"out\": {}, \"in\": {}, \"gflops\": {:.1f}}}\n", product, rows, out, in,
                   2e-9 * static_cast<double>(rows * out * in) / seconds);
      };
      print("backward", best_seconds([&] { (void)multiply_stored(g, weight); }));
      print("terms", best_seconds([&] { (void)bilinear_rows(g, weight, x); }));
    }
  }
  return 0;
}
