#include "assay/model/matrix.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

namespace assay {
namespace {

// Fewer rows than this take other kernels in oneDNN and MKL, with other summation orders: pad.
constexpr int64_t kMinimumRows = 8;

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
void multiply_bf16(const at::Tensor& x, const at::Tensor& w, at::Tensor& y, bool accumulate) {
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
  const auto rows = static_cast<int>(x.size(0)), in = static_cast<int>(x.size(1)), out = static_cast<int>(w.size(0));
  if (const Bf16Gemm gemm = find_bf16_gemm()) {
    gemm(kRowMajor, kNoTrans, kTrans, rows, out, in, 1.0f, x.data_ptr(), in, w.data_ptr(), in, accumulate ? 1.0f : 0.0f,
         y.data_ptr<float>(), out);
    return;
  }
  const at::Tensor product = at::linear(x.to(at::kFloat), w.to(at::kFloat));
  accumulate ? y.add_(product) : y.copy_(product);
}

at::Tensor pad_rows(const at::Tensor& x) {
  at::Tensor padded = at::zeros({kMinimumRows, x.size(1)}, x.options());
  padded.narrow(0, 0, x.size(0)).copy_(x);
  return padded;
}

}  // namespace

Matrix Matrix::pack(const at::Tensor& weight, Compute compute, at::Device device) {
  at::NoGradGuard no_grad;
  Matrix matrix;
  matrix.out_ = weight.size(0);
  matrix.in_ = weight.size(1);
  matrix.compute_ = compute;
  matrix.device_ = device;
  if (compute == Compute::kBFloat16) {
    matrix.packed_ = weight.to(device, at::kBFloat16).contiguous();
  } else {
    matrix.packed_ = device.is_cpu() ? reorder_float32(weight.contiguous()) : weight.to(device);
  }
  return matrix;
}

at::Tensor Matrix::prepare(const at::Tensor& x) const { return compute_ == Compute::kBFloat16 ? x.to(at::kBFloat16) : x; }

at::Tensor Matrix::multiply_prepared(const at::Tensor& x) const {
  at::NoGradGuard no_grad;
  if (!device_.is_cpu()) return at::linear(x, packed_).to(at::kFloat);
  const int64_t rows = x.size(0);
  if (rows < kMinimumRows) return multiply_prepared(pad_rows(x)).narrow(0, 0, rows);
  if (compute_ == Compute::kFloat32) return multiply_float32(x, packed_);
  at::Tensor y = at::empty({rows, out_}, x.options().dtype(at::kFloat));
  multiply_bf16(x, packed_, y, false);
  return y;
}

at::Tensor Matrix::multiply(const at::Tensor& x) const { return multiply_prepared(prepare(x.contiguous())); }

void Matrix::multiply_add(const at::Tensor& x, at::Tensor& y) const {
  at::NoGradGuard no_grad;
  const int64_t rows = x.size(0);
  if (!device_.is_cpu() || compute_ == Compute::kFloat32) {
    y.add_(multiply(x));
  } else if (rows < kMinimumRows) {
    at::Tensor padded = pad_rows(y);
    multiply_bf16(pad_rows(prepare(x)), packed_, padded, true);
    y.copy_(padded.narrow(0, 0, rows));
  } else {
    multiply_bf16(prepare(x.contiguous()), packed_, y, true);  // y: contiguous rows
  }
}

}  // namespace assay
