#include "assay/plan/runtime_memory.h"

#include <algorithm>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/quant/codec.h"

namespace assay {

Result<RuntimeMemory> runtime_memory(const Hyper& hyper, const RuntimeRequest& request) {
  constexpr uint64_t kPadding = 256;  // tokens
  if (request.context == 0 || request.batch == 0) return fail(ErrorCode::kUsage, {"--context", "is 0", "tokens, e.g. 16384", ""});
  const auto row = static_cast<uint64_t>(hyper.kv_heads) * static_cast<uint64_t>(hyper.head_dim);
  const GgmlTypeInfo* type = find_type(request.kv_type);
  if (row % type->block_size != 0)
    return fail(ErrorCode::kUsage, {"--kv-type", std::string(type->name) + " holds blocks of " + std::to_string(type->block_size),
                                    "a type for rows of " + group_digits(row), ""});
  const CheckedSize tokens = CheckedSize(request.context).round_up(kPadding);
  const CheckedSize cache = tokens * (row / type->block_size) * type->block_bytes * 2 * static_cast<uint64_t>(hyper.layers);
  const auto d = static_cast<uint64_t>(hyper.d_model), ff = static_cast<uint64_t>(hyper.d_ff), vocab = static_cast<uint64_t>(hyper.vocab);
  const CheckedSize widest = std::max(vocab + d, 3 * d + 3 * ff);
  const CheckedSize compute = CheckedSize(request.batch) * widest * sizeof(float) + tokens * request.batch * sizeof(uint16_t);
  if (!cache.valid() || !compute.valid()) return fail(ErrorCode::kUsage, {"--context", "is " + group_digits(request.context), "less", ""});
  return RuntimeMemory{*cache.value(), *compute.value()};
}

}  // namespace assay
