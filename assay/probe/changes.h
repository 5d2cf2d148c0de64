// Makes the change of a matrix for an edit: dW = decoded(encoded(W)) - W, another file's weights minus ours, one weight scaled.
// Encodings are kept (compact, as stored bytes) up to a budget, so that a tensor is encoded once per type and not once per window.
// Thread-safe. Non-goals: where the change applies (sweep.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/imatrix.h"
#include "assay/model/interpolated_checkpoint.h"
#include "assay/model/network.h"
#include "assay/probe/sweep.h"

namespace assay {

struct ChangeOptions {
  uint64_t cache_bytes = uint64_t{512} << 20;
  int threads = 0;  // for encoding; 0: all
};

class ChangeSource {
 public:
  // `imatrix` may be null: encode without importance.
  ChangeSource(std::shared_ptr<const Network> network, std::shared_ptr<const Imatrix> imatrix, ChangeOptions options);
  ~ChangeSource();
  ChangeSource(const ChangeSource&) = delete;
  ChangeSource& operator=(const ChangeSource&) = delete;

  // [out, in] float32 on the CPU: the tensor at `type` minus the tensor.
  Result<at::Tensor> requantized(const std::string& tensor, GgmlType type) const;
  // The tensor at `type`, as stored.
  Result<StoredMatrix> stored(const std::string& tensor, GgmlType type) const;
  // The same tensor of another model, of any type, minus ours.
  Result<at::Tensor> taken_from(const std::string& tensor, const Checkpoint& other) const;
  // One weight (row-major index) multiplied by `factor`.
  Result<WeightChange> scaled_weight(const std::string& tensor, uint64_t index, double factor) const;

  // Seconds spent encoding so far.
  double encoding_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
