#include "assay/plan/encode_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "assay/base/text.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

// Weights decoded at once: 16 MiB of float32, enough rows for every thread.
constexpr uint64_t kSliceWeights = uint64_t{1} << 22;

std::string who(const TensorInfo& tensor) { return "model: tensor '" + printable(tensor.name) + "'"; }

// The tensor's stored bytes, decoded slice by slice.
class Slices {
 public:
  Slices(const TensorInfo& tensor, std::span<const std::byte> stored, int threads)
      : tensor_(tensor), stored_(stored), threads_(threads), row_bytes_(stored.size() / std::max<uint64_t>(1, tensor.rows())) {}

  // Calls body(first row, values) for all rows in order; a slice never crosses a multiple of `rows_per_matrix`.
  template <class Body>
  Status each(uint64_t rows_per_matrix, const Body& body) {
    const uint64_t step = std::max<uint64_t>(1, kSliceWeights / tensor_.row_length());
    for (uint64_t first = 0; first < tensor_.rows();) {
      const uint64_t end = std::min((first / rows_per_matrix + 1) * rows_per_matrix, first + step);
      values_.resize((end - first) * tensor_.row_length());
      ASSAY_TRY(
          decode(tensor_.type, stored_.subspan(first * row_bytes_, (end - first) * row_bytes_), tensor_.row_length(), values_, threads_));
      ASSAY_TRY(check_finite(first));
      ASSAY_TRY(body(first, std::span<const float>(values_)));
      first = end;
    }
    return {};
  }

 private:
  Status check_finite(uint64_t first_row) const {
    const auto broken = std::find_if(values_.begin(), values_.end(), [](float value) { return !std::isfinite(value); });
    if (broken == values_.end()) return {};
    const uint64_t position = first_row * tensor_.row_length() + static_cast<uint64_t>(broken - values_.begin());
    return fail(
        ErrorCode::kBadInput,
        {who(tensor_), std::string(std::isnan(*broken) ? "holds NaN" : "holds an infinite value") + " at weight " + group_digits(position),
         "finite weights are needed", "a broken conversion or training run?"});
  }

  const TensorInfo& tensor_;
  std::span<const std::byte> stored_;
  int threads_;
  uint64_t row_bytes_;
  std::vector<float> values_;
};

}  // namespace

bool can_encode(GgmlType type) {
  const Codec* codec = find_codec(type);
  return codec != nullptr && codec->encode != nullptr;
}

Status encode_tensor_into(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix, int threads,
                          std::span<std::byte> out) {
  ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
  if (out.size() != size) return fail(ErrorCode::kInternal, who(tensor) + " is to be encoded into a buffer of another size");
  ASSAY_ASSIGN(const std::vector<std::byte> stored, checkpoint.read(tensor));
  if (tensor.elements() == 0) return {};
  Slices slices(tensor, stored, threads);
  if (type == tensor.type) {
    const Codec* codec = find_codec(type);
    if (codec != nullptr && codec->decode != nullptr)
      ASSAY_TRY(slices.each(tensor.rows(), [](uint64_t, std::span<const float>) { return Status{}; }));
    std::memcpy(out.data(), stored.data(), out.size());
    return {};
  }
  const std::vector<float> importance = imatrix != nullptr ? imatrix->importance(tensor.name) : std::vector<float>{};
  const uint64_t columns = tensor.row_length(), matrices = tensor.dims[2] * tensor.dims[3];
  if (!importance.empty() && importance.size() != columns && importance.size() != columns * matrices) {
    return fail(ErrorCode::kMismatch, {who(tensor), "has rows of " + group_digits(columns) + " weights",
                                       "the imatrix holds " + group_digits(importance.size()) + " for it", "an imatrix of another model?"});
  }
  const bool shared = importance.size() <= columns;
  const uint64_t rows_per_matrix = shared ? tensor.rows() : tensor.dims[1], row_bytes = size / tensor.rows();
  return slices.each(rows_per_matrix, [&](uint64_t first, std::span<const float> values) -> Status {
    EncodeOptions options;
    options.threads = threads;
    if (!importance.empty()) options.importance = std::span(importance).subspan(first / rows_per_matrix * columns, columns);
    auto status = encode(type, values, columns, out.subspan(first * row_bytes, values.size() / columns * row_bytes), options);
    if (!status) return fail(status.error().code, who(tensor) + ": " + status.error().message);
    return {};
  });
}

Result<std::vector<std::byte>> encode_tensor(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix,
                                             int threads) {
  ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
  std::vector<std::byte> bytes(size);
  ASSAY_TRY(encode_tensor_into(checkpoint, tensor, type, imatrix, threads, bytes));
  return bytes;
}

}  // namespace assay
