#include "assay/model/shaken_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "assay/base/parallel.h"
#include "assay/base/random.h"
#include "assay/base/text.h"

namespace assay {
namespace {

constexpr size_t kSignsPerDraw = 128;  // bits of one call of the generator
constexpr size_t kPiece = size_t{1} << 16;
static_assert(kPiece % kSignsPerDraw == 0);

size_t place_of(const Checkpoint& base, std::string_view name) {
  const auto& tensors = base.tensors();
  return static_cast<size_t>(std::ranges::find_if(tensors, [name](const TensorInfo& one) { return one.name == name; }) - tensors.begin());
}

}  // namespace

std::vector<float> random_signs(const Checkpoint& base, const std::string& tensor, const Shake& shake, int threads) {
  std::vector<float> signs(base.find(tensor)->elements());
  const uint64_t stream = shake.draw << 32 | place_of(base, tensor);
  parallel_for((signs.size() + kPiece - 1) / kPiece, threads, [&](size_t p) {
    const size_t end = std::min(signs.size(), (p + 1) * kPiece);
    for (size_t first = p * kPiece; first < end; first += kSignsPerDraw) {
      const auto bits = philox4x32(shake.seed, stream, first / kSignsPerDraw);
      for (size_t i = first; i < std::min(end, first + kSignsPerDraw); ++i)
        signs[i] = (bits[(i - first) / 32] >> (i % 32) & 1) != 0 ? 1.0f : -1.0f;
    }
  });
  return signs;
}

Result<std::shared_ptr<const ShakenCheckpoint>> ShakenCheckpoint::make(std::shared_ptr<const Checkpoint> base, Shake shake, double side,
                                                                       int threads) {
  for (const auto& [name, step] : shake.steps)
    if (base->find(name) == nullptr)
      return fail(ErrorCode::kMismatch, {"shaken model: tensor '" + printable(name) + "'", "is not in the model", "", ""});
  std::shared_ptr<ShakenCheckpoint> made(new ShakenCheckpoint(std::move(base), std::move(shake), side, threads));
  for (TensorInfo& info : made->tensors_)
    if (made->shake_.steps.contains(info.name)) info.type = GgmlType::kF32;
  return std::shared_ptr<const ShakenCheckpoint>(std::move(made));
}

const TensorInfo* ShakenCheckpoint::find(std::string_view name) const {
  const auto found = std::ranges::find_if(tensors_, [name](const TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<std::vector<std::byte>> ShakenCheckpoint::read(const TensorInfo& tensor) const {
  const TensorInfo* stored = base_->find(tensor.name);
  if (stored == nullptr)
    return fail(ErrorCode::kNotFound, {"shaken model: tensor '" + printable(tensor.name) + "'", "is not in the model", "", ""});
  const auto step = shake_.steps.find(tensor.name);
  if (step == shake_.steps.end()) return base_->read(*stored);
  ASSAY_ASSIGN(std::vector<float> values, base_->read_float(*stored, threads_ == 0 ? available_threads() : threads_));
  const std::vector<float> signs = random_signs(*base_, tensor.name, shake_, threads_);
  const double move = side_ * step->second;
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<double>(values[i]) + move * static_cast<double>(signs[i]));
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace assay
