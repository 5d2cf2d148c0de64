#include "assay/model/edited_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "assay/base/parallel.h"
#include "assay/base/text.h"

namespace assay {

namespace {

class EditedCheckpoint final : public Checkpoint {
 public:
  EditedCheckpoint(std::shared_ptr<const Checkpoint> base, TensorEdits edits, int threads)
      : base_(std::move(base)), edits_(std::move(edits)), threads_(threads), tensors_(base_->tensors()) {
    for (TensorInfo& info : tensors_) {
      if (!edits_.contains(info.name)) continue;
      info.type = GgmlType::kF32;
      info.bytes = info.elements() * sizeof(float);
    }
  }

  const Metadata& metadata() const override { return base_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return base_->paths(); }
  std::vector<std::string> warnings() const override { return base_->warnings(); }
  uint64_t file_bytes() const override { return base_->file_bytes(); }

 private:
  std::shared_ptr<const Checkpoint> base_;
  TensorEdits edits_;
  int threads_;
  std::vector<TensorInfo> tensors_;  // float32 where edited
};

const TensorInfo* EditedCheckpoint::find(std::string_view name) const {
  const auto found = std::ranges::find_if(tensors_, [name](const TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<std::vector<std::byte>> EditedCheckpoint::read(const TensorInfo& tensor) const {
  const TensorInfo* stored = base_->find(tensor.name);
  if (stored == nullptr)
    return fail(ErrorCode::kNotFound, {"edited model: tensor '" + printable(tensor.name) + "'", "is not in the model", "", ""});
  const auto edits = edits_.find(tensor.name);
  if (edits == edits_.end()) return base_->read(*stored);
  ASSAY_ASSIGN(std::vector<float> values, base_->read_float(*stored, threads_ == 0 ? available_threads() : threads_));
  for (const TensorEdit& edit : edits->second) ASSAY_TRY(edit(*stored, values));
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace

void append(TensorEdits& edits, const TensorEdits& more) {
  for (const auto& [name, list] : more) {
    std::vector<TensorEdit>& all = edits[name];
    all.insert(all.end(), list.begin(), list.end());
  }
}

Result<std::shared_ptr<const Checkpoint>> edited_checkpoint(std::shared_ptr<const Checkpoint> base, TensorEdits edits, int threads) {
  for (const auto& [name, list] : edits)
    if (base->find(name) == nullptr)
      return fail(ErrorCode::kMismatch, {"edited model: tensor '" + printable(name) + "'", "is not in the model", "", "another model?"});
  return std::shared_ptr<const Checkpoint>(std::make_shared<EditedCheckpoint>(std::move(base), std::move(edits), threads));
}

}  // namespace assay
