#include "assay/model/interpolated_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

constexpr size_t kPiece = size_t{1} << 16;

Status check(const Checkpoint& base, const std::string& name, const StoredMatrix& far) {
  const TensorInfo* info = base.find(name);
  if (info == nullptr) return fail(ErrorCode::kMismatch, {"path: tensor '" + printable(name) + "'", "is not in the model", "", ""});
  const std::span<const uint64_t> dims(info->dims.data(), info->n_dims);
  ASSAY_ASSIGN(const uint64_t bytes, tensor_bytes(far.type, dims, name));
  if (bytes == far.bytes.size()) return {};
  return fail(ErrorCode::kMismatch,
              {"path: tensor '" + printable(name) + "'", "has " + group_digits(far.bytes.size()) + " bytes at its end",
               group_digits(bytes) + " are needed", "another model?"});
}

Result<std::vector<float>> decoded(const TensorInfo& info, const StoredMatrix& far, int threads) {
  std::vector<float> values(info.elements());
  ASSAY_TRY(decode(far.type, far.bytes, info.row_length(), values, threads == 0 ? available_threads() : threads));
  if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return values;
  return fail(ErrorCode::kBadInput, {"path: tensor '" + printable(info.name) + "'", "holds NaN or infinite values at its end",
                                     "finite weights are needed", "its encoding is broken?"});
}

// body(first, end) over all weights.
template <class Body>
void for_pieces(size_t size, int threads, const Body& body) {
  parallel_for((size + kPiece - 1) / kPiece, threads, [&](size_t p) { body(p * kPiece, std::min(size, (p + 1) * kPiece)); });
}

}  // namespace

Result<std::shared_ptr<const InterpolatedCheckpoint>> InterpolatedCheckpoint::make(std::shared_ptr<const Checkpoint> base,
                                                                                   std::shared_ptr<const StoredMatrices> far, double t,
                                                                                   int threads) {
  for (const auto& [name, matrix] : *far) ASSAY_TRY(check(*base, name, matrix));
  std::shared_ptr<InterpolatedCheckpoint> made(new InterpolatedCheckpoint(std::move(base), std::move(far), t, threads));
  for (TensorInfo& info : made->tensors_)
    if (made->far_->contains(info.name)) info.type = GgmlType::kF32;
  return std::shared_ptr<const InterpolatedCheckpoint>(std::move(made));
}

const TensorInfo* InterpolatedCheckpoint::find(std::string_view name) const {
  const auto found = std::ranges::find_if(tensors_, [name](const TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<std::vector<std::byte>> InterpolatedCheckpoint::read(const TensorInfo& tensor) const {
  const TensorInfo* stored = base_->find(tensor.name);
  if (stored == nullptr)
    return fail(ErrorCode::kNotFound, {"path: tensor '" + printable(tensor.name) + "'", "is not in the model", "", ""});
  const auto far = far_->find(tensor.name);
  if (far == far_->end()) return base_->read(*stored);
  std::vector<std::byte> bytes(stored->elements() * sizeof(float));
  ASSAY_ASSIGN(const std::vector<float> w, base_->read_float(*stored, threads_ == 0 ? available_threads() : threads_));
  ASSAY_ASSIGN(const std::vector<float> q, decoded(*stored, far->second, threads_));
  for_pieces(w.size(), threads_, [&](size_t first, size_t end) {
    float piece[256];
    for (size_t begin = first; begin < end; begin += std::size(piece)) {
      const size_t n = std::min(std::size(piece), end - begin);
      for (size_t i = 0; i < n; ++i) {
        const double from = w[begin + i], to = q[begin + i];
        piece[i] = t_ == 1 ? q[begin + i] : static_cast<float>(from + t_ * (to - from));
      }
      std::memcpy(bytes.data() + begin * sizeof(float), piece, n * sizeof(float));
    }
  });
  return bytes;
}

Result<std::vector<float>> stored_change(const Checkpoint& base, const std::string& tensor, const StoredMatrix& far, int threads) {
  ASSAY_TRY(check(base, tensor, far));
  const TensorInfo& info = *base.find(tensor);
  ASSAY_ASSIGN(const std::vector<float> w, base.read_float(info, threads == 0 ? available_threads() : threads));
  ASSAY_ASSIGN(std::vector<float> change, decoded(info, far, threads));
  for_pieces(w.size(), threads, [&](size_t first, size_t end) {
    for (size_t i = first; i < end; ++i) change[i] -= w[i];
  });
  return change;
}

Result<StoredMatrices> stored_matrices_of(const Checkpoint& other, const Checkpoint& base, std::span<const std::string> tensors) {
  StoredMatrices all;
  for (const std::string& tensor : tensors) {
    const TensorInfo* info = other.find(tensor);
    const std::string who = other.paths().empty() ? "other model" : other.paths()[0];
    if (info == nullptr) return fail(ErrorCode::kMismatch, {who, "has no tensor '" + printable(tensor) + "'", "the path needs it", ""});
    StoredMatrix matrix;
    matrix.type = info->type;
    ASSAY_ASSIGN(matrix.bytes, other.read(*info));
    const TensorInfo* ours = base.find(tensor);
    if (ours == nullptr || ours->row_length() != info->row_length() || ours->elements() != info->elements())
      return fail(ErrorCode::kMismatch, {who, "has another shape for tensor '" + printable(tensor) + "'", "", "not the same model"});
    all.emplace(tensor, std::move(matrix));
  }
  return all;
}

}  // namespace assay
