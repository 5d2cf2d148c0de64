#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include <algorithm>

#include "assay/model/matrix.h"
#include "assay/model/panel_product.h"

namespace assay {
namespace {

// Fewer rows than this take other kernels in oneDNN and MKL, with other summation orders: pad.
constexpr int64_t kMinimumRows = 8;
constexpr int64_t kRoundingGrain = 16384;     // elements per task
constexpr int64_t kStreamedBytes = 24 << 20;  // a larger result is not in the cache when it is read

// MKL's bf16 x bf16 -> float32 product (public CBLAS extension). Looked up at run time: builds of libtorch without MKL lack it.
using Bf16Gemm = void (*)(int layout, int trans_a, int trans_b, int m, int n, int k, float alpha, const void* a, int lda, const void* b,
                          int ldb, float beta, float* c, int ldc);

Bf16Gemm find_bf16_gemm() {
  static const auto found = reinterpret_cast<Bf16Gemm>(dlsym(RTLD_DEFAULT, "cblas_gemm_bf16bf16f32"));
  return found;
}

at::Tensor reorder_float32(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "");
  c10::Stack stack{weight, c10::IValue()};
  op.callBoxed(stack);
  return stack[0].toTensor();
}

at::Tensor multiply_float32(const at::Tensor& x, const at::Tensor& packed) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "");
  c10::Stack stack{x, packed, c10::IValue(), std::string("none"), c10::List<std::optional<at::Scalar>>(), std::string()};
  op.callBoxed(stack);
  return stack[0].toTensor();
}

// y (+)= x w^T with float32 sums. x: [rows, in] bf16, w: [out, in] bf16, y: [rows, out] float32.
void multiply_mkl(const at::Tensor& x, const at::Tensor& w, at::Tensor& y, bool accumulate) {
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
  const auto rows = static_cast<int>(x.size(0)), in = static_cast<int>(x.size(1)), out = static_cast<int>(w.size(0));
  find_bf16_gemm()(kRowMajor, kNoTrans, kTrans, rows, out, in, 1.0f, x.data_ptr(), in, w.data_ptr(), in, accumulate ? 1.0f : 0.0f,
                   y.data_ptr<float>(), out);
}

at::Tensor pad_rows(const at::Tensor& x) {
  at::Tensor padded = at::zeros({kMinimumRows, x.size(1)}, x.options());
  padded.narrow(0, 0, x.size(0)).copy_(x);
  return padded;
}

// bfloat16 steps take two inputs.
at::Tensor with_even_inputs(const at::Tensor& x) { return x.size(1) % 2 == 0 ? x.contiguous() : at::constant_pad_nd(x, {0, 1}); }

// Calls body(rows of panel p, their number, element offset of the panel) for every panel of `weight`, on all threads.
template <class Body>
void for_each_panel(const at::Tensor& weight, const Body& body) {
  const int64_t out = weight.size(0), in = weight.size(1);
  const float* from = weight.const_data_ptr<float>();
  at::parallel_for(0, panel::panels(out), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      body(from + p * panel::kOutputs * in, std::min(panel::kOutputs, out - p * panel::kOutputs), p * panel::kOutputs * in);
  });
}

// [panels, in, 64] of the operand type.
at::Tensor pack_panels(const at::Tensor& weight, at::ScalarType operand) {
  const at::Tensor plain = operand == at::kBFloat16 ? with_even_inputs(weight) : weight.contiguous();
  const int64_t in = plain.size(1);
  at::Tensor packed = at::empty({panel::panels(plain.size(0)), in, panel::kOutputs}, plain.options().dtype(operand));
  void* to = packed.mutable_data_ptr();
  for_each_panel(plain, [&](const float* rows, int64_t outputs, int64_t offset) {
    if (operand == at::kBFloat16) {
      panel::pack_bf16(rows, in, outputs, static_cast<uint16_t*>(to) + offset);
    } else {
      panel::pack_float32(rows, in, outputs, static_cast<float*>(to) + offset);
    }
  });
  return packed;
}

at::Tensor round_operand(const at::Tensor& x) {
  const at::Tensor plain = with_even_inputs(x);
  at::Tensor rounded = at::empty_like(plain, plain.options().dtype(at::kBFloat16));
  const float* from = plain.const_data_ptr<float>();
  auto* to = static_cast<uint16_t*>(rounded.mutable_data_ptr());
  at::parallel_for(0, plain.numel(), kRoundingGrain,
                   [&](int64_t begin, int64_t end) { panel::round_bf16(from + begin, end - begin, to + begin); });
  return rounded;
}

at::Tensor rounded_float(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); }

// y = x w^T + addend. A task is one panel and some rows; neighbouring tasks share the panel.
// addend: undefined; or [addend rows, out], repeated for every addend rows of y; or y itself.
void multiply_panels(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& addend, at::Tensor& y) {
  const int64_t rows = x.size(0), in = packed.size(1), out = y.size(1), blocks = (rows + panel::kRows - 1) / panel::kRows;
  const bool bf16 = packed.scalar_type() == at::kBFloat16;
  const void* inputs = x.const_data_ptr();
  const void* weights = packed.const_data_ptr();
  float* to = y.mutable_data_ptr<float>();
  const float* added = addend.defined() ? addend.const_data_ptr<float>() : nullptr;
  const bool streamed =
      static_cast<int64_t>(sizeof(float)) * rows * out > kStreamedBytes && out % 16 == 0 && reinterpret_cast<uintptr_t>(to) % 64 == 0;
  const int64_t repeated = added == nullptr ? rows : addend.size(0);
  at::parallel_for(0, packed.size(0) * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_out = task / blocks * panel::kOutputs, first_row = task % blocks * panel::kRows;
      const int64_t outputs = std::min(panel::kOutputs, out - first_out), w_at = first_out * in;
      panel::for_each_repeat(
          first_row, std::min(first_row + panel::kRows, rows), repeated, [&](int64_t row, int64_t count, int64_t added_row) {
            const panel::Rows some{count, in, out, added == nullptr ? nullptr : added + added_row * out + first_out, out, streamed};
            float* corner = to + row * out + first_out;
            if (bf16) {
              panel::multiply_bf16(some, static_cast<const uint16_t*>(inputs) + row * in, static_cast<const uint16_t*>(weights) + w_at,
                                   outputs, corner);
            } else {
              panel::multiply_float32(some, static_cast<const float*>(inputs) + row * in, static_cast<const float*>(weights) + w_at,
                                      outputs, corner);
            }
          });
    }
  });
}

}  // namespace

// MKL's bfloat16 product keeps the rule of rows on matrix units only, where it is several times faster than anything else.
Matrix::Product Matrix::product_for(Compute compute, at::Device device) {
  if (!device.is_cpu()) return Product::kOperator;
  if (compute == Compute::kBFloat16 && panel::has_matrix_units() && find_bf16_gemm() != nullptr) return Product::kMklBf16;
  if (compute == Compute::kBFloat16 && panel::bf16_supported()) return Product::kPanelsBf16;
  return panel::float32_supported() ? Product::kPanelsFloat32 : Product::kOneDnn;
}

int64_t Matrix::bytes_of(Product product, Compute compute) {
  if (compute == Compute::kDeviations) return 6;
  const bool half = compute == Compute::kBFloat16 && product != Product::kPanelsFloat32 && product != Product::kOneDnn;
  return half ? 2 : 4;
}

Matrix Matrix::pack(const at::Tensor& weight, Compute compute, at::Device device) {
  at::NoGradGuard no_grad;
  Matrix matrix;
  matrix.out_ = weight.size(0);
  matrix.in_ = weight.size(1);
  matrix.compute_ = compute;
  matrix.product_ = product_for(compute, device);
  const auto operand = [&] { return compute == Compute::kBFloat16 ? rounded_float(weight) : weight.contiguous(); };
  if (compute == Compute::kDeviations) matrix.packed_changes_ = pack_panels(weight, at::kBFloat16);
  switch (matrix.product_) {
    case Product::kPanelsFloat32:
      matrix.packed_ = pack_panels(operand(), at::kFloat);
      break;
    case Product::kPanelsBf16:
      matrix.packed_ = pack_panels(weight, at::kBFloat16);
      break;
    case Product::kOneDnn:
      matrix.packed_ = reorder_float32(operand());
      break;
    case Product::kMklBf16:
      matrix.packed_ = weight.to(at::kBFloat16).contiguous();
      break;
    case Product::kOperator:
      matrix.packed_ = compute == Compute::kBFloat16 ? weight.to(device, at::kBFloat16) : weight.to(device);
      break;
  }
  return matrix;
}

at::Tensor Matrix::prepare(const at::Tensor& x) const {
  if (compute_ != Compute::kBFloat16) return x;
  switch (product_) {
    case Product::kPanelsBf16:
      return round_operand(x);
    case Product::kPanelsFloat32:
    case Product::kOneDnn:
      return rounded_float(x);
    default:
      return x.to(at::kBFloat16);
  }
}

at::Tensor Matrix::multiply_prepared(const at::Tensor& x) const {
  at::NoGradGuard no_grad;
  if (product_ == Product::kOperator) return at::linear(x, packed_).to(at::kFloat);
  const int64_t rows = x.size(0);
  if (!on_panels() && rows < kMinimumRows) return multiply_prepared(pad_rows(x)).narrow(0, 0, rows);
  if (product_ == Product::kOneDnn) return multiply_float32(x, packed_);
  at::Tensor y = at::empty({rows, out_}, x.options().dtype(at::kFloat));
  on_panels() ? multiply_panels(x, packed_, {}, y) : multiply_mkl(x, packed_, y, false);
  return y;
}

at::Tensor Matrix::multiply(const at::Tensor& x) const { return multiply_prepared(prepare(x.contiguous())); }

void Matrix::multiply_add(const at::Tensor& x, at::Tensor& y) const {
  at::NoGradGuard no_grad;
  const int64_t rows = x.size(0);
  if (on_panels()) {
    multiply_panels(prepare(x.contiguous()), packed_, y, y);
  } else if (product_ != Product::kMklBf16) {
    y.add_(multiply(x));
  } else if (rows < kMinimumRows) {
    at::Tensor padded = pad_rows(y);
    multiply_mkl(pad_rows(prepare(x)), packed_, padded, true);
    y.copy_(padded.narrow(0, 0, rows));
  } else {
    multiply_mkl(prepare(x.contiguous()), packed_, y, true);  // y: contiguous rows
  }
}

at::Tensor Matrix::add_deviation(const at::Tensor& deviation, const at::Tensor& y_base) const {
  at::NoGradGuard no_grad;
  at::Tensor y = at::empty({deviation.size(0), out_}, y_base.options());
  multiply_panels(deviation, packed_changes_, y_base.contiguous(), y);
  return y;
}

bool deviations_supported(at::Device device) { return device.is_cpu() && panel::bf16_supported(); }

at::Tensor round_deviation(const at::Tensor& x, const at::Tensor& x_base) {
  const at::Tensor plain = with_even_inputs(x), base = with_even_inputs(x_base);
  const int64_t in = plain.size(1), base_rows = base.size(0);
  at::Tensor rounded = at::empty_like(plain, plain.options().dtype(at::kBFloat16));
  const float* from = plain.const_data_ptr<float>();
  const float* subtracted = base.const_data_ptr<float>();
  auto* to = static_cast<uint16_t*>(rounded.mutable_data_ptr());
  at::parallel_for(0, plain.size(0), std::max<int64_t>(1, kRoundingGrain / in), [&](int64_t begin, int64_t end) {
    panel::for_each_repeat(begin, end, base_rows, [&](int64_t row, int64_t count, int64_t base_row) {
      panel::round_difference_bf16(from + row * in, subtracted + base_row * in, count * in, to + row * in);
    });
  });
  return rounded;
}

}  // namespace assay
