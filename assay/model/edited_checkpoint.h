// A model some of whose tensors are changed by functions when they are read, as float32; no second model is in memory. Torch-free.
// Non-goals: which change (awq/, study/), running it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

// In place, values in the tensor's row order. Called whenever the tensor is read, perhaps by several threads.
using TensorEdit = std::function<Status(const TensorInfo& tensor, std::span<float> values)>;
// By tensor name, one after the other.
using TensorEdits = std::map<std::string, std::vector<TensorEdit>>;

// `more` after what is there.
void append(TensorEdits& edits, const TensorEdits& more);

class EditedCheckpoint final : public Checkpoint {
 public:
  // threads: of decoding; 0: all. Errors: a tensor that `base` lacks (kMismatch).
  static Result<std::shared_ptr<const EditedCheckpoint>> make(std::shared_ptr<const Checkpoint> base, TensorEdits edits, int threads = 0);

  const Metadata& metadata() const override { return base_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return base_->paths(); }
  std::vector<std::string> warnings() const override { return base_->warnings(); }
  uint64_t file_bytes() const override { return base_->file_bytes(); }

 private:
  EditedCheckpoint(std::shared_ptr<const Checkpoint> base, TensorEdits edits, int threads)
      : base_(std::move(base)), edits_(std::move(edits)), threads_(threads), tensors_(base_->tensors()) {}

  std::shared_ptr<const Checkpoint> base_;
  TensorEdits edits_;
  int threads_;
  std::vector<TensorInfo> tensors_;  // float32 where edited
};

}  // namespace assay
