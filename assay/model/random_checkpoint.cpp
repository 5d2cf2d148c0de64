#include "assay/model/random_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "assay/base/parallel.h"
#include "assay/base/random.h"
#include "assay/base/sha256.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"

namespace assay {
namespace {

// Frequencies of the rotary embedding are no weights.
bool is_kept(const TensorInfo& tensor) { return role_of(tensor.name).role == Role::kRopeFreqs; }

double standard_deviation(std::span<const float> values) {
  CompensatedSum sum, squares;
  for (const float value : values) {
    sum.add(value);
    squares.add(static_cast<double>(value) * value);
  }
  const auto n = static_cast<double>(values.size());
  const double mean = sum.value() / n;
  return std::sqrt(std::max(0.0, squares.value() / n - mean * mean));
}

}  // namespace

RandomCheckpoint::RandomCheckpoint(std::shared_ptr<const Checkpoint> trained, uint64_t seed, int threads)
    : trained_(std::move(trained)), seed_(seed), threads_(threads), tensors_(trained_->tensors()) {
  for (TensorInfo& tensor : tensors_)
    if (!is_kept(tensor)) tensor.type = GgmlType::kF32;
}

const TensorInfo* RandomCheckpoint::find(std::string_view name) const {
  const auto found = std::ranges::find_if(tensors_, [name](const TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<std::vector<std::byte>> RandomCheckpoint::read(const TensorInfo& tensor) const {
  const TensorInfo* stored = trained_->find(tensor.name);
  if (stored == nullptr)
    return fail(ErrorCode::kNotFound, {"random model: tensor '" + printable(tensor.name) + "'", "is not in the model", "", ""});
  if (is_kept(*stored)) return trained_->read(*stored);
  std::vector<float> values(stored->elements(), role_of(stored->name).is_bias ? 0.0F : 1.0F);
  if (stored->n_dims > 1) {
    ASSAY_ASSIGN(values, trained_->read_float(*stored, threads_ == 0 ? available_threads() : threads_));
    const double size = standard_deviation(values);
    const uint64_t stream = name_stream(stored->name), width = stored->row_length();
    parallel_for(values.size() / width, threads_, [&](size_t row) {
      CounterRandom random(seed_, stream, row);
      for (size_t i = row * width; i < (row + 1) * width; ++i) values[i] = static_cast<float>(size * random.next_normal());
    });
  }
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace assay
