// A model as if it had never been trained: the same shapes, every matrix normal with the trained one's standard deviation, norms 1, biases
// 0. A function of seed, tensor name and row alone; made when read, so that no second model is in memory. The usual spread of 0.02 would
// make depth and width matter (the stream grows by another factor in every model); the matrix's own keeps each product's size. Torch-free.
// Non-goals: the initialization that the model's authors used.
#pragma once

#include <memory>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

class RandomCheckpoint final : public Checkpoint {
 public:
  // threads: of decoding and drawing; 0: all.
  RandomCheckpoint(std::shared_ptr<const Checkpoint> trained, uint64_t seed, int threads = 0);

  const Metadata& metadata() const override { return trained_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return trained_->paths(); }
  std::vector<std::string> warnings() const override { return {}; }
  uint64_t file_bytes() const override { return trained_->file_bytes(); }

 private:
  std::shared_ptr<const Checkpoint> trained_;
  uint64_t seed_;
  int threads_;
  std::vector<TensorInfo> tensors_;  // float32, but for those that are kept
};

}  // namespace assay
