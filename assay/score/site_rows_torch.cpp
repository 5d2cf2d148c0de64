#include <algorithm>
#include <cmath>

#include "assay/model/matrix.h"
#include "assay/model/stored_product.h"
#include "assay/score/curvature_kernels.h"
#include "assay/score/curvature_pass.h"
#include "assay/score/site_rows.h"

namespace assay {
namespace {

constexpr int64_t kProductRows = 512;  // of one product of packed changes: input, output and gradient stay in cache

std::span<const float> window_of(const at::Tensor& all, int64_t window, int64_t rows) {
  return {all.const_data_ptr<float>() + window * rows * all.size(1), static_cast<size_t>(rows * all.size(1))};
}
std::span<float> window_of(at::Tensor& all, int64_t window, int64_t rows) {
  return {all.mutable_data_ptr<float>() + window * rows * all.size(1), static_cast<size_t>(rows * all.size(1))};
}

// One window of one matrix, and the place of its rows.
struct WindowRows {
  std::span<const float> x, g;
  std::span<float> to_x, to_g;
  size_t in, out;
};

void copy_all(const WindowRows& window) {
  std::copy(window.x.begin(), window.x.end(), window.to_x.begin());
  std::copy(window.g.begin(), window.g.end(), window.to_g.begin());
}

void copy_drawn(const RowRule& rule, const WindowRows& window, const TokenSample& drawn) {
  const auto kept = static_cast<size_t>(rule.kept);
  std::vector<float> nothing(rule.centred ? 0 : window.in);
  std::span<const float> mean = nothing;
  if (rule.centred) {
    const std::span<float> mean_row = window.to_x.subspan(kept * window.in), sum_row = window.to_g.subspan(kept * window.out);
    window_mean(window.x, window.g, mean_row, sum_row);
    for (float& value : sum_row) value *= static_cast<float>(rule.scale);
    mean = mean_row;
  }
  for (size_t i = 0; i < kept; ++i) {
    const auto position = static_cast<size_t>(drawn.positions[i]);
    const auto scale = static_cast<float>(rule.scale * std::sqrt(drawn.weights[i]));
    const float *x = window.x.data() + position * window.in, *g = window.g.data() + position * window.out;
    float *to_x = window.to_x.data() + i * window.in, *to_g = window.to_g.data() + i * window.out;
    for (size_t j = 0; j < window.in; ++j) to_x[j] = x[j] - mean[j];
    for (size_t j = 0; j < window.out; ++j) to_g[j] = g[j] * scale;
  }
}

}  // namespace

void record_rows(const RowRule& rule, std::span<const SiteWork> work, std::span<const TokenSample> drawn, size_t first, size_t n) {
  std::vector<SiteRows> sources;  // the batch's tokens
  for (const auto& [site, rows] : work) {
    sources.push_back({site->x.to(at::kCPU).contiguous(), site->g.to(at::kCPU).contiguous()});
    if (rows->x.defined()) continue;
    const int64_t all = static_cast<int64_t>(drawn.size()) * rule.rows();
    rows->x = at::empty({all, site->x.size(1)});
    rows->g = at::empty({all, site->g.size(1)});
  }
  at::parallel_for(0, static_cast<int64_t>(work.size() * n), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const auto s = static_cast<size_t>(task) / n, w = static_cast<size_t>(task) % n;
      SiteRows& rows = *work[s].rows;
      const auto from = static_cast<int64_t>(w), to = static_cast<int64_t>(first + w);
      const WindowRows window{window_of(std::as_const(sources[s].x), from, rule.tokens),
                              window_of(std::as_const(sources[s].g), from, rule.tokens),
                              window_of(rows.x, to, rule.rows()),
                              window_of(rows.g, to, rule.rows()),
                              static_cast<size_t>(rows.x.size(1)),
                              static_cast<size_t>(rows.g.size(1))};
      rule.drawn ? copy_drawn(rule, window, drawn[first + w]) : copy_all(window);
    }
  });
}

std::pair<at::Tensor, at::Tensor> mean_and_sum(const at::Tensor& x, const at::Tensor& g) {
  at::Tensor mean = at::empty({1, x.size(1)}), sum = at::empty({1, g.size(1)});
  window_mean(window_of(x, 0, x.size(0)), window_of(g, 0, g.size(0)), row_of(mean, 0), row_of(sum, 0));
  return {mean, sum};
}

std::vector<float> terms_of(const SiteRows& rows, const at::Tensor& change, Compute compute, at::Device device) {
  std::vector<float> terms;
  const auto append = [&](const at::Tensor& some) {
    const at::Tensor values = some.to(at::kCPU);
    terms.insert(terms.end(), values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  };
  if (compute == Compute::kFloat32 && device.is_cpu()) {
    append(bilinear_rows(rows.g, change.contiguous(), rows.x));
    return terms;
  }
  const Matrix delta = Matrix::pack(change, compute, device);
  for (int64_t first = 0; first < rows.x.size(0); first += kProductRows) {
    const int64_t n = std::min(kProductRows, rows.x.size(0) - first);
    append(delta.multiply(rows.x.narrow(0, first, n).to(device)).mul_(rows.g.narrow(0, first, n).to(device)).sum(-1));
  }
  return terms;
}

}  // namespace assay
