#include "assay/model/checkpoint.h"

#include <cmath>
#include <filesystem>

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
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return fail(ErrorCode::kBadInput, {"model: tensor '" + printable(tensor.name) + "'",
                                       std::string(std::isnan(values[i]) ? "holds NaN" : "holds an infinite value") + " at weight " + group_digits(i), "finite weights are needed", "a broken conversion or training run?"});
  }
  return values;
}

}  // namespace assay
