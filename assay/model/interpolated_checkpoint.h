// A model on the straight path from one to another: some of its matrices at w + t (q - w), decoded, as float32. Torch-free.
// Non-goals: making q (plan/, codes/), running it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

// A matrix as stored.
struct StoredMatrix {
  GgmlType type = GgmlType::kF32;
  std::vector<std::byte> bytes;
};
// The far end of the path, by tensor name. Only those named change.
using StoredMatrices = std::map<std::string, StoredMatrix>;

class InterpolatedCheckpoint final : public Checkpoint {
 public:
  // t: 0 is `base`, 1 is `far`, exactly at both; any other number too. threads: of decoding; 0: all.
  // Errors: a tensor that `base` lacks, bytes of the wrong number (kMismatch).
  static Result<std::shared_ptr<const InterpolatedCheckpoint>> make(std::shared_ptr<const Checkpoint> base,
                                                                    std::shared_ptr<const StoredMatrices> far, double t, int threads = 0);

  const Metadata& metadata() const override { return base_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return base_->paths(); }
  std::vector<std::string> warnings() const override { return base_->warnings(); }
  uint64_t file_bytes() const override { return base_->file_bytes(); }

 private:
  InterpolatedCheckpoint(std::shared_ptr<const Checkpoint> base, std::shared_ptr<const StoredMatrices> far, double t, int threads)
      : base_(std::move(base)), far_(std::move(far)), t_(t), threads_(threads), tensors_(base_->tensors()) {}

  std::shared_ptr<const Checkpoint> base_;
  std::shared_ptr<const StoredMatrices> far_;
  double t_;
  int threads_;
  std::vector<TensorInfo> tensors_;
};

// q - w of a matrix, in its rows' order. Errors: those of make(), weights that are not finite.
Result<std::vector<float>> stored_change(const Checkpoint& base, const std::string& tensor, const StoredMatrix& far, int threads = 0);

// The named matrices of another model, as stored there. Errors: one is missing or has another shape (kMismatch).
Result<StoredMatrices> stored_matrices_of(const Checkpoint& other, const Checkpoint& base, std::span<const std::string> tensors);

}  // namespace assay
