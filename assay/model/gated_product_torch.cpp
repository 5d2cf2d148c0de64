#include <algorithm>
#include <array>

#include "assay/model/gated_product.h"
#include "assay/model/panel_product.h"
#include "assay/model/row_math.h"

namespace assay {
namespace {

using Tile = std::array<float, panel::kRows * panel::kOutputs>;

// Some rows of one panel: where they lie in x and y, and in the base.
struct Part {
  int64_t row, count, base_row, first_out, outputs;
};

class GatedProduct {
 public:
  GatedProduct(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up, int64_t out, const GatedBase* base, at::Tensor& y)
      : bf16_(gate.scalar_type() == at::kBFloat16),
        in_(gate.size(1)),
        out_(out),
        x_(x.const_data_ptr()),
        gate_(gate.const_data_ptr()),
        up_(up.const_data_ptr()),
        y_(y.mutable_data_ptr()) {
    if (base == nullptr) return;
    base_gate_ = base->gate.const_data_ptr<float>();
    base_up_ = base->up.const_data_ptr<float>();
    base_activated_ = base->activated.const_data_ptr<float>();
  }

  void run(const Part& part) const {
    alignas(64) Tile gate, up;
    multiply(part, gate_, base_gate_, gate);
    multiply(part, up_, base_up_, up);
    alignas(64) float activated[panel::kOutputs];
    for (int64_t r = 0; r < part.count; ++r) {
      const int64_t at = (part.row + r) * out_ + part.first_out;
      float* to = bf16_ ? activated : static_cast<float*>(y_) + at;
      row::silu_multiply(gate.data() + r * panel::kOutputs, up.data() + r * panel::kOutputs, static_cast<size_t>(part.outputs), to);
      if (!bf16_) continue;
      auto* rounded = static_cast<uint16_t*>(y_) + at;
      if (base_activated_ == nullptr) {
        panel::round_bf16(activated, part.outputs, rounded);
      } else {
        panel::round_difference_bf16(activated, base_activated_ + (part.base_row + r) * out_ + part.first_out, part.outputs, rounded);
      }
    }
  }

 private:
  void multiply(const Part& part, const void* panels, const float* base, Tile& tile) const {
    const float* addend = base == nullptr ? nullptr : base + part.base_row * out_ + part.first_out;
    const panel::Rows rows{part.count, in_, panel::kOutputs, addend, out_};
    const int64_t x_at = part.row * in_, panel_at = part.first_out * in_;
    if (bf16_) {
      panel::multiply_bf16(rows, static_cast<const uint16_t*>(x_) + x_at, static_cast<const uint16_t*>(panels) + panel_at, part.outputs,
                           tile.data());
    } else {
      panel::multiply_float32(rows, static_cast<const float*>(x_) + x_at, static_cast<const float*>(panels) + panel_at, part.outputs,
                              tile.data());
    }
  }

  bool bf16_;
  int64_t in_, out_;
  const void *x_, *gate_, *up_;
  void* y_;
  const float *base_gate_ = nullptr, *base_up_ = nullptr, *base_activated_ = nullptr;
};

}  // namespace

at::Tensor gated_product(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up, int64_t out, const GatedBase* base) {
  const int64_t rows = x.size(0), repeated = base == nullptr ? rows : base->gate.size(0);
  const int64_t blocks = (rows + panel::kRows - 1) / panel::kRows;
  at::Tensor y = at::empty({rows, out}, x.options());
  const GatedProduct product(x, gate, up, out, base, y);
  at::parallel_for(0, gate.size(0) * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_out = task / blocks * panel::kOutputs, first_row = task % blocks * panel::kRows;
      panel::for_each_repeat(first_row, std::min(first_row + panel::kRows, rows), repeated,
                             [&](int64_t row, int64_t count, int64_t base_row) {
                               product.run({row, count, base_row, first_out, std::min(panel::kOutputs, out - first_out)});
                             });
    }
  });
  return y;
}

}  // namespace assay
