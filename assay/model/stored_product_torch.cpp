#include <algorithm>
#include <vector>

#include "assay/model/panel_product.h"
#include "assay/model/row_math.h"
#include "assay/model/stored_product.h"

namespace assay {
namespace {

bool on_panels(const at::Tensor& x) { return x.is_cpu() && panel::float32_supported(); }

// A product's tasks: one panel of outputs and one of equal blocks of rows each, so that threads have equal work. Neighbours share the panel
// and, kGroup blocks at a time, the rows, so that those of a long product stay in the second cache from panel to panel.
struct Task {
  int64_t first_out, outputs, first_row, rows;
};
constexpr int64_t kGroup = 2;

template <class Body>
void for_each_task(int64_t rows, int64_t out, const Body& body) {
  const int64_t blocks = (rows + panel::kRows - 1) / panel::kRows, panels = panel::panels(out);
  at::parallel_for(0, panels * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_block = task / (panels * kGroup) * kGroup, together = std::min(kGroup, blocks - first_block);
      const int64_t place = task - first_block * panels;
      const int64_t first_out = place / together * panel::kOutputs, block = first_block + place % together;
      const int64_t first_row = block * rows / blocks;
      body(Task{first_out, std::min(panel::kOutputs, out - first_out), first_row, (block + 1) * rows / blocks - first_row});
    }
  });
}

void multiply_panels(const at::Tensor& x, const at::Tensor& w, at::Tensor& y, bool add) {
  const int64_t steps = w.size(0), out = w.size(1);
  const float* inputs = x.const_data_ptr<float>();
  const float* weights = w.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  for_each_task(x.size(0), out, [&](const Task& task) {
    float* corner = to + task.first_row * out + task.first_out;
    panel::multiply_stored({.count = task.rows, .in = steps, .stride = out, .addend = add ? corner : nullptr, .addend_stride = out},
                           inputs + task.first_row * steps, weights + task.first_out, out, task.outputs, corner);
  });
}

}  // namespace

at::Tensor multiply_stored(const at::Tensor& x, const at::Tensor& w) {
  if (!on_panels(x)) return at::mm(x, w);
  at::Tensor y = at::empty({x.size(0), w.size(1)}, x.options());
  multiply_panels(x, w, y, false);
  return y;
}

void multiply_stored_add(const at::Tensor& x, const at::Tensor& w, at::Tensor& y) {
  on_panels(x) ? multiply_panels(x, w, y, true) : static_cast<void>(y.addmm_(x, w));
}

// (g W) . x, so that no panel is packed: a task's part of g W stays in cache, its part of the result is one float per row.
at::Tensor bilinear_rows(const at::Tensor& g, const at::Tensor& w, const at::Tensor& x) {
  if (!on_panels(x)) return at::mm(g, w).mul_(x).sum(-1);
  const int64_t rows = x.size(0), steps = w.size(0), in = w.size(1);
  at::Tensor parts = at::empty({panel::panels(in), rows}, x.options());
  const float* gradients = g.const_data_ptr<float>();
  const float* weights = w.const_data_ptr<float>();
  const float* inputs = x.const_data_ptr<float>();
  float* to = parts.mutable_data_ptr<float>();
  for_each_task(rows, in, [&](const Task& task) {
    alignas(64) float product[panel::kRows * panel::kOutputs];
    panel::multiply_stored({.count = task.rows, .in = steps, .stride = panel::kOutputs}, gradients + task.first_row * steps,
                           weights + task.first_out, in, task.outputs, product);
    float* part = to + task.first_out / panel::kOutputs * rows + task.first_row;
    for (int64_t r = 0; r < task.rows; ++r)
      part[r] =
          row::dot(product + r * panel::kOutputs, inputs + (task.first_row + r) * in + task.first_out, static_cast<size_t>(task.outputs));
  });
  at::Tensor terms = at::zeros({rows}, x.options());
  float* sums = terms.mutable_data_ptr<float>();
  for (int64_t p = 0; p < parts.size(0); ++p)
    for (int64_t r = 0; r < rows; ++r) sums[r] += to[p * rows + r];
  return terms;
}

}  // namespace assay
