// Reads a checkpoint's tensors into the weights of blocks, norms and the embedding. Thread-safe. Internal to model/.
// Non-goals: what stays in memory (network.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "assay/model/block_weights.h"
#include "assay/model/network.h"

namespace assay {

// A token embedding kept as stored (quantized ones stay small); rows are decoded when looked up.
class Embedding {
 public:
  Embedding() = default;
  Embedding(TensorInfo info, std::vector<std::byte> bytes) : info_(std::move(info)), bytes_(std::move(bytes)) {}
  // [ids, width] float32 on the CPU; ids lie within the vocabulary. Broken values: kBadInput naming tensor and row.
  Result<at::Tensor> rows(std::span<const int32_t> ids) const;
  uint64_t bytes() const { return bytes_.size(); }

 private:
  TensorInfo info_;
  std::vector<std::byte> bytes_;
};

class WeightLoader {
 public:
  WeightLoader(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Hyper> hyper, std::shared_ptr<const RopeCache> rope,
               Compute compute, at::Device device, int threads)
      : checkpoint_(std::move(checkpoint)),
        hyper_(std::move(hyper)),
        rope_(std::move(rope)),
        compute_(compute),
        device_(device),
        threads_(threads) {}

  bool has(const std::string& name) const { return checkpoint_->find(name) != nullptr; }
  // As stored, float32, on the CPU: [out, in] or [n].
  Result<at::Tensor> read(const std::string& name) const;
  Result<at::Tensor> read_to_device(const std::string& name) const;
  Result<Matrix> read_matrix(const std::string& name) const;
  Result<NormWeights> read_norm(const std::string& stem) const;
  Result<Embedding> read_embedding(const std::string& name) const;
  Result<std::shared_ptr<const Block>> read_block(int layer) const;
  Result<std::shared_ptr<const PlainBlock>> read_plain_block(int layer) const;

  // Bytes of a tensor once it is a packed matrix (vectors count as such: they are small).
  uint64_t packed_bytes(const TensorInfo& tensor) const {
    return tensor.elements() * static_cast<uint64_t>(Matrix::bytes_per_weight(compute_, device_));
  }

 private:
  // What Block and PlainBlock share.
  template <class Weights>
  Status read_common(int layer, Weights& weights) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Hyper> hyper_;
  std::shared_ptr<const RopeCache> rope_;
  Compute compute_;
  at::Device device_;
  int threads_;
};

// "blk.3.attn_q.weight".
std::string block_tensor(int layer, Site site);

}  // namespace assay
