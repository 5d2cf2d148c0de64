#include "assay/model/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <filesystem>
#include <optional>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/model/hf_import.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(Gguf file) : file_(std::move(file)) {}
  const Metadata& metadata() const override { return file_.metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return file_.tensors(); }
  const TensorInfo* find(std::string_view name) const override { return file_.find(name); }
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override { return file_.read(tensor); }
  std::vector<std::string> paths() const override { return file_.paths(); }
  std::vector<std::string> warnings() const override { return file_.warnings(); }
  uint64_t file_bytes() const override { return file_.file_bytes(); }

 private:
  Gguf file_;
};

// The position of the first NaN or infinite value.
std::optional<size_t> first_non_finite(std::span<const float> values, int threads) {
  constexpr size_t kPiece = size_t{1} << 16;
  constexpr uint32_t kExponent = 0x7f800000;
  std::atomic<size_t> first = values.size();
  parallel_for((values.size() + kPiece - 1) / kPiece, threads, [&](size_t piece) {
    const std::span<const float> some = values.subspan(piece * kPiece, std::min(kPiece, values.size() - piece * kPiece));
    uint32_t broken = 0;
    for (const float value : some) broken |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1 : 0;
    if (broken == 0) return;
    const auto at = std::find_if(some.begin(), some.end(), [](float value) { return !std::isfinite(value); });
    const size_t position = piece * kPiece + static_cast<size_t>(at - some.begin());
    size_t known = first.load();
    while (position < known && !first.compare_exchange_weak(known, position)) {
    }
  });
  return first.load() < values.size() ? std::optional<size_t>(first.load()) : std::nullopt;
}

}  // namespace

Result<std::shared_ptr<const Checkpoint>> Checkpoint::open(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error) || path.ends_with(".safetensors")) return open_hf_checkpoint(path);
  ASSAY_ASSIGN(Gguf file, Gguf::open(path));
  return std::shared_ptr<const Checkpoint>(std::make_shared<GgufCheckpoint>(std::move(file)));
}

Result<std::vector<float>> Checkpoint::read_float(const TensorInfo& tensor, int threads) const {
  ASSAY_ASSIGN(const std::vector<std::byte> bytes, read(tensor));
  std::vector<float> values(tensor.elements());
  ASSAY_TRY(decode(tensor.type, bytes, tensor.row_length(), values, threads));
  if (const auto at = first_non_finite(values, threads)) {
    return fail(ErrorCode::kBadInput,
                {"model: tensor '" + printable(tensor.name) + "'",
                 std::string(std::isnan(values[*at]) ? "holds NaN" : "holds an infinite value") + " at weight " + group_digits(*at),
                 "finite weights are needed", "a broken conversion or training run?"});
  }
  return values;
}

}  // namespace assay
