// A model whose matrices are moved by a step of their own to random sides: W + step v, every v +-1 with even odds (Rademacher). v is a
// function of seed, draw, the tensor's place in the file and the weight's place in the tensor. Torch-free.
// Non-goals: what such a step does to the model (score/hessian_trace.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

struct Shake {
  uint64_t seed = 0, draw = 0;
  std::map<std::string, double> steps;  // by tensor; those not named stay as they are
};

class ShakenCheckpoint final : public Checkpoint {
 public:
  // side: the steps' factor, +1 or -1 for the two sides of one draw. threads: of decoding; 0: all.
  // Errors: a tensor that `base` lacks (kMismatch).
  static Result<std::shared_ptr<const ShakenCheckpoint>> make(std::shared_ptr<const Checkpoint> base, Shake shake, double side,
                                                              int threads = 0);

  const Metadata& metadata() const override { return base_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return base_->paths(); }
  std::vector<std::string> warnings() const override { return base_->warnings(); }
  uint64_t file_bytes() const override { return base_->file_bytes(); }

 private:
  ShakenCheckpoint(std::shared_ptr<const Checkpoint> base, Shake shake, double side, int threads)
      : base_(std::move(base)), shake_(std::move(shake)), side_(side), threads_(threads), tensors_(base_->tensors()) {}

  std::shared_ptr<const Checkpoint> base_;
  Shake shake_;
  double side_;
  int threads_;
  std::vector<TensorInfo> tensors_;
};

// v of a tensor, +-1, in its rows' order. The tensor is in `base`.
std::vector<float> random_signs(const Checkpoint& base, const std::string& tensor, const Shake& shake, int threads = 0);

}  // namespace assay
