#include <algorithm>

#include "assay/model/rope_cache.h"

namespace assay {

std::shared_ptr<const RopeTables> RopeCache::tables(int64_t positions) const {
  constexpr int64_t kLeast = 512;
  const std::lock_guard lock(mutex_);
  if (tables_ && tables_->cos.size(0) >= positions) return tables_;
  at::NoGradGuard no_grad;
  const int64_t rows = std::max({kLeast, positions, tables_ ? 2 * tables_->cos.size(0) : 0});
  const auto half = static_cast<int64_t>(angles_.frequency.size());
  auto grown = std::make_shared<RopeTables>();
  grown->cos = at::empty({rows, half}, at::kFloat);
  grown->sin = at::empty({rows, half}, at::kFloat);
  float* cos = grown->cos.mutable_data_ptr<float>();
  float* sin = grown->sin.mutable_data_ptr<float>();
  for (int64_t position = 0; position < rows; ++position)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * angles_.frequency[static_cast<size_t>(i)];
      cos[position * half + i] = static_cast<float>(std::cos(angle) * angles_.magnitude);
      sin[position * half + i] = static_cast<float>(std::sin(angle) * angles_.magnitude);
    }
  grown->cos = grown->cos.to(device_);
  grown->sin = grown->sin.to(device_);
  tables_ = std::move(grown);
  return tables_;
}

}  // namespace assay
