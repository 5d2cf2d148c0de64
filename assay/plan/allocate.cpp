#include "assay/plan/allocate.h"

#include <algorithm>
#include <cmath>
#include <regex>

#include "assay/base/text.h"
#include "assay/plan/knapsack.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

double bits_per_weight(GgmlType type) {
  const GgmlTypeInfo* info = find_type(type);
  return 8.0 * info->block_bytes / info->block_size;
}

Result<uint64_t> preset_bytes(const Checkpoint& checkpoint, const std::string& name, OutputRequest request) {
  ASSAY_ASSIGN(const Preset* preset, find_preset(name));
  request.recipe = preset_recipe(*preset, checkpoint.tensors(), preset_context(checkpoint.metadata(), request.imatrix != nullptr));
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, request));
  return output.file_bytes;
}

// The type a --keep expression gives this tensor.
std::optional<GgmlType> kept_type(const std::string& tensor, const std::vector<std::pair<std::regex, GgmlType>>& keep) {
  for (const auto& [pattern, type] : keep)
    if (std::regex_search(tensor, pattern)) return type;
  return std::nullopt;
}

}  // namespace

Result<uint64_t> budget_bytes(const Checkpoint& checkpoint, const BudgetRequest& budget, const OutputRequest& request) {
  if (int{budget.bpw.has_value()} + int{budget.size.has_value()} + int{budget.like.has_value()} != 1)
    return fail(ErrorCode::kUsage, "plan: give one of --bpw, --size and --like");
  if (budget.like) return preset_bytes(checkpoint, *budget.like, request);
  if (budget.size) {
    if (!budget.size->ends_with('%')) return parse_size(*budget.size);
    const double percent = std::strtod(budget.size->c_str(), nullptr);
    if (!(percent > 0)) return fail(ErrorCode::kUsage, {"size '" + printable(*budget.size) + "'", "is not a positive percentage", "", ""});
    return static_cast<uint64_t>(percent / 100 * static_cast<double>(checkpoint.file_bytes()));
  }
  if (!(*budget.bpw > 0)) return fail(ErrorCode::kUsage, "plan: --bpw must be positive");
  OutputRequest plain = request;
  plain.recipe = {};
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, plain));
  const auto tensors = static_cast<uint64_t>(*budget.bpw * static_cast<double>(output.parameters) / 8);
  return output.file_bytes - output.tensor_bytes + tensors;  // header and padding beside the tensor bytes
}

Result<Plan> allocate(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget, const AllocateConstraints& constraints,
                      const OutputRequest& request) {
  std::vector<std::pair<std::regex, GgmlType>> keep;
  for (const auto& [pattern, type] : constraints.keep) {
    try {
      keep.emplace_back(std::regex(pattern), type);
    } catch (const std::regex_error&) {
      return fail(ErrorCode::kUsage, {"--keep '" + printable(pattern) + "'", "is not a regular expression", "", ""});
    }
  }
  const auto allowed = [&](GgmlType type) {
    if (!constraints.types.empty() && std::find(constraints.types.begin(), constraints.types.end(), type) == constraints.types.end()) return false;
    return !constraints.min_type || bits_per_weight(type) >= bits_per_weight(*constraints.min_type);
  };
  std::vector<KnapsackGroup> groups;
  std::vector<std::vector<GgmlType>> types;
  uint64_t planned = 0;  // bytes of the table's tensors in the file as it stands
  for (const DamageRow& row : table.rows) {
    KnapsackGroup group;
    std::vector<GgmlType> kinds;
    std::optional<GgmlType> kept;
    for (const std::string& name : row.tensors) {
      const TensorInfo* tensor = checkpoint.find(name);
      if (tensor == nullptr) return fail(ErrorCode::kMismatch, {"table: tensor '" + printable(name) + "'", "is not in the model", "", "a table of another model?"});
      planned += tensor->bytes;
      if (const auto wanted = kept_type(name, keep)) kept = wanted;
    }
    for (const DamageCell& cell : row.cells) {
      if (kept ? cell.type != *kept : !allowed(cell.type)) continue;
      uint64_t bytes = 0;
      bool fits = true;
      for (const std::string& name : row.tensors) {
        const TensorInfo* tensor = checkpoint.find(name);
        fits = fits && row_fits(cell.type, tensor->row_length());
        if (fits) bytes += tensor->elements() / find_type(cell.type)->block_size * find_type(cell.type)->block_bytes;
      }
      if (!fits) continue;
      // Padding: every type's bytes are rounded as the writer rounds them; alignments above 32 are summed up below.
      group.push_back({(bytes + 31) / 32 * 32, std::max(0.0, cell.damage)});
      kinds.push_back(cell.type);
    }
    if (group.empty()) {
      return fail(ErrorCode::kUsage, {"plan: '" + printable(row.name) + "'", "has no allowed type left", "its table rows hold " + std::to_string(row.cells.size()) + " types", "loosen --types, --min-type or --keep"});
    }
    groups.push_back(std::move(group));
    types.push_back(std::move(kinds));
  }
  OutputRequest plain = request;
  plain.recipe = {};
  ASSAY_ASSIGN(const OutputFile as_is, plan_output(checkpoint, plain));
  const uint64_t fixed = as_is.file_bytes > planned ? as_is.file_bytes - planned : 0;
  uint64_t left = budget > fixed ? budget - fixed : 0;
  // The knapsack counts padding per group; if the file still comes out larger than the budget, take the difference off and solve again.
  for (int attempt = 0; attempt < 4; ++attempt) {
    auto solved = solve_knapsack(groups, left);
    if (!solved) {
      return fail(solved.error().code, solved.error().message + "; with " + group_digits(fixed) + " bytes of header and other tensors");
    }
    Plan plan;
    OutputRequest chosen = request;
    chosen.recipe = {};
    for (size_t g = 0; g < groups.size(); ++g)
      for (const std::string& name : table.rows[g].tensors) chosen.recipe.types[name] = types[g][solved->choice[g]];
    ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, chosen));
    if (output.file_bytes > budget) {
      left -= std::min(left, output.file_bytes - budget);
      continue;
    }
    plan.recipe = std::move(chosen.recipe);
    plan.file_bytes = output.file_bytes;
    plan.tensor_bytes = output.tensor_bytes;
    plan.budget_bytes = budget;
    plan.bpw = output.bpw();
    plan.predicted_damage = solved->damage;
    plan.bound = solved->bound;
    plan.gap = solved->gap();
    plan.lambda = solved->lambda;
    plan.exact = solved->exact;
    return plan;
  }
  return fail(ErrorCode::kUsage, {"plan: a budget of " + group_digits(budget) + " bytes", "cannot be met", "", "allow smaller types or a larger size"});
}

}  // namespace assay
