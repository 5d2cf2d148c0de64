#include "assay/model/compute.h"

#include "assay/base/text.h"

namespace assay {

std::string_view name_of(Compute compute) {
  switch (compute) {
    case Compute::kFloat32:
      return "float32";
    case Compute::kBFloat16:
      return "bf16";
    case Compute::kDeviations:
      return "deviations";
  }
  return "";
}

Result<Compute> compute_from_name(std::string_view name) {
  if (name == "float32" || name == "f32") return Compute::kFloat32;
  if (name == "bf16" || name == "bfloat16") return Compute::kBFloat16;
  if (name == "deviations") return Compute::kDeviations;
  return fail(ErrorCode::kUsage, {"compute mode '" + printable(name) + "'", "is not known", "float32, bf16 or deviations", ""});
}

Compute compute_of_changes(Compute compute) { return compute == Compute::kDeviations ? Compute::kBFloat16 : compute; }

}  // namespace assay
