// Cosine and sine tables of a model, made as long as the longest sequence so far asks for. Thread-safe. Internal to model/.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>

#include "assay/model/rope_tables.h"

namespace assay {

struct RopeTables {
  at::Tensor cos, sin;  // [positions, rope_dims / 2] float32
};

class RopeCache {
 public:
  RopeCache(RopeAngles angles, at::Device device) : angles_(std::move(angles)), device_(device) {}
  // At least `positions` rows; a row does not depend on their number.
  std::shared_ptr<const RopeTables> tables(int64_t positions) const;

 private:
  RopeAngles angles_;
  at::Device device_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const RopeTables> tables_;
};

}  // namespace assay
