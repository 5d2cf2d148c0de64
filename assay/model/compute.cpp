#include "assay/model/compute.h"

#include "assay/base/text.h"

namespace assay {

std::string_view name_of(Compute compute) { return compute == Compute::kFloat32 ? "float32" : "bf16"; }

Result<Compute> compute_from_name(std::string_view name) {
  if (name == "float32" || name == "f32") return Compute::kFloat32;
  if (name == "bf16" || name == "bfloat16") return Compute::kBFloat16;
  return fail(ErrorCode::kUsage, {"compute mode '" + printable(name) + "'", "is not known", "float32 or bf16", ""});
}

}  // namespace assay
