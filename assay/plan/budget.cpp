#include "assay/plan/budget.h"

#include <charconv>
#include <cmath>

#include "assay/base/text.h"

namespace assay {
namespace {

Result<uint64_t> preset_bytes(const Checkpoint& checkpoint, const std::string& name, OutputRequest request) {
  ASSAY_ASSIGN(const Preset* preset, find_preset(name));
  ASSAY_ASSIGN(const KeptTensors kept, kept_tensors(checkpoint, request.prune_layers));
  request.recipe = preset_recipe(*preset, kept.tensors, preset_context(checkpoint.metadata(), request.imatrix != nullptr));
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, request));
  return output.file_bytes;
}

Result<uint64_t> size_bytes(const Checkpoint& checkpoint, const std::string& text) {
  if (!text.ends_with('%')) return parse_size(text);
  double percent = 0;
  const char* last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, percent);
  if (error != std::errc{} || end != last || !(percent > 0) || percent > 1000)
    return fail(ErrorCode::kUsage, {"--size '" + printable(text) + "'", "is not a percentage of the input", "e.g. 30%", ""});
  return static_cast<uint64_t>(percent / 100 * static_cast<double>(checkpoint.file_bytes()));
}

Result<uint64_t> tensor_budget(const Checkpoint& checkpoint, double bpw, OutputRequest request) {
  if (!(bpw > 0) || bpw > 64)
    return fail(ErrorCode::kUsage, {"--bpw " + std::to_string(bpw), "is not a number of bits per weight", "e.g. 4.5", ""});
  request.recipe = {};
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, request));
  return output.header_bytes + static_cast<uint64_t>(std::floor(bpw * static_cast<double>(output.parameters) / 8));
}

}  // namespace

Result<uint64_t> budget_bytes(const Checkpoint& checkpoint, const BudgetRequest& budget, const OutputRequest& request) {
  if (int{budget.bpw.has_value()} + int{budget.size.has_value()} + int{budget.like.has_value()} != 1)
    return fail(ErrorCode::kUsage, "plan: give one of --bpw, --size and --like");
  if (budget.like) return preset_bytes(checkpoint, *budget.like, request);
  if (budget.size) return size_bytes(checkpoint, *budget.size);
  return tensor_budget(checkpoint, *budget.bpw, request);
}

}  // namespace assay
