#include "assay/probe/weight_change.h"

namespace assay {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

void add_sparse(const std::vector<SparseWeight>& weights, const at::Tensor& x, at::Tensor& y) {
  if (!x.is_cpu()) {
    for (const SparseWeight& w : weights) y.select(1, w.row).add_(x.select(1, w.column), w.value);
    return;
  }
  const int64_t in = x.size(1), out = y.size(1);
  const float* from = x.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / static_cast<int64_t>(weights.size()));
  at::parallel_for(0, x.size(0), grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (const SparseWeight& w : weights) to[r * out + w.row] += from[r * in + w.column] * w.value;
  });
}

}  // namespace

at::Tensor WeightChange::rows(const at::Tensor& indices, int64_t in) const {
  if (dense.defined()) return dense.index_select(0, indices);
  if (left.defined()) return left.index_select(0, indices).matmul(right);
  at::Tensor out = at::zeros({indices.numel(), in});
  const at::Tensor wanted = indices.to(at::kLong).contiguous();
  const int64_t* row = wanted.const_data_ptr<int64_t>();
  float* to = out.mutable_data_ptr<float>();
  for (int64_t i = 0; i < wanted.numel(); ++i)
    for (const SparseWeight& w : sparse)
      if (w.row == row[i]) to[i * in + w.column] += w.value;
  return out;
}

at::Tensor WeightChange::whole(int64_t out, int64_t in) const {
  if (dense.defined()) return dense;
  if (left.defined()) return left.matmul(right);
  at::Tensor all = at::zeros({out, in});
  for (const SparseWeight& w : sparse) all.mutable_data_ptr<float>()[w.row * in + w.column] += w.value;
  return all;
}

PackedChange PackedChange::pack(const WeightChange& change, Compute compute, at::Device device) {
  PackedChange packed;
  packed.sparse_ = change.sparse;
  if (change.dense.defined()) packed.dense_ = Matrix::pack(change.dense, compute, device);
  if (change.left.defined()) {
    packed.left_ = Matrix::pack(change.left, compute, device);
    packed.right_ = Matrix::pack(change.right, compute, device);
  }
  return packed;
}

void PackedChange::multiply_add(const at::Tensor& x, at::Tensor& y) const {
  if (dense_.defined()) dense_.multiply_add(x, y);
  if (left_.defined()) left_.multiply_add(right_.multiply(x), y);
  if (!sparse_.empty()) add_sparse(sparse_, x, y);
}

}  // namespace assay
