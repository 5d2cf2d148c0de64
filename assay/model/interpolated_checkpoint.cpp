#include "assay/model/interpolated_checkpoint.h"

#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/model/edited_checkpoint.h"
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

Result<std::shared_ptr<const Checkpoint>> interpolated_checkpoint(std::shared_ptr<const Checkpoint> base,
                                                                  std::shared_ptr<const StoredMatrices> far, double t, int threads) {
  TensorEdits edits;
  for (const auto& [name, matrix] : *far) {
    ASSAY_TRY(check(*base, name, matrix));
    edits[name].push_back([far, &matrix = matrix, t, threads](const TensorInfo& tensor, std::span<float> values) -> Status {
      ASSAY_ASSIGN(const std::vector<float> q, decoded(tensor, matrix, threads));
      for_pieces(values.size(), threads, [&](size_t first, size_t end) {
        for (size_t i = first; i < end; ++i) {
          const double from = values[i], to = q[i];
          values[i] = t == 1 ? q[i] : static_cast<float>(from + t * (to - from));
        }
      });
      return {};
    });
  }
  return edited_checkpoint(std::move(base), std::move(edits), threads);
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
