#include "assay/model/shaken_checkpoint.h"

#include <algorithm>

#include "assay/base/parallel.h"
#include "assay/base/random.h"
#include "assay/model/edited_checkpoint.h"

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

Result<std::shared_ptr<const Checkpoint>> shaken_checkpoint(const std::shared_ptr<const Checkpoint>& base, const Shake& shake, double side,
                                                            int threads) {
  TensorEdits edits;
  const Shake signs_of{.seed = shake.seed, .draw = shake.draw, .steps = {}};  // signs need no steps, and every edit has a copy
  for (const auto& [name, step] : shake.steps)
    edits[name].push_back([base, signs_of, move = side * step, threads](const TensorInfo& tensor, std::span<float> values) -> Status {
      const std::vector<float> signs = random_signs(*base, tensor.name, signs_of, threads);
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(static_cast<double>(values[i]) + move * static_cast<double>(signs[i]));
      return {};
    });
  return edited_checkpoint(base, std::move(edits), threads);
}

}  // namespace assay
