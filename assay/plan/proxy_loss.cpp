#include "assay/plan/proxy_loss.h"

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"
#include "assay/plan/presets.h"
#include "assay/score/name_scores.h"

namespace assay {
namespace {

using T = GgmlType;

constexpr std::pair<T, double> kErrors[] = {{T::kIQ1_S, .35},  {T::kIQ1_M, .30},   {T::kIQ2_XXS, .22}, {T::kIQ2_XS, .18},
                                            {T::kIQ2_S, .15},  {T::kIQ3_XXS, .10}, {T::kIQ3_S, .08},   {T::kIQ4_NL, .055},
                                            {T::kIQ4_XS, .05}, {T::kQ4_K, .04},    {T::kQ5_K, .025},   {T::kQ6_K, .015},
                                            {T::kQ8_0, .005},  {T::kF16, .0001},   {T::kBF16, .0002},  {T::kF32, 0}};

Status check(const std::string& group, const ProxyFacts& facts) {
  const auto bad = [&](const std::string& what, double value) {
    return fail(ErrorCode::kBadInput,
                {"group " + printable(group), what + " is " + std::to_string(value), "a finite number, not below 0", ""});
  };
  if (!std::isfinite(facts.sensitivity) || facts.sensitivity < 0) return bad("sensitivity", facts.sensitivity);
  if (!std::isfinite(facts.vulnerability) || facts.vulnerability < 0) return bad("vulnerability", facts.vulnerability);
  for (const auto& [type, error] : facts.errors)
    if (!std::isfinite(error) || error < 0) return bad(std::string("error at ") + find_type(type)->name, error);
  return {};
}

}  // namespace

double approximate_error(GgmlType type) {
  for (const auto& [known, error] : kErrors)
    if (known == type) return error;
  return 0.1;
}

Result<ProxyLoss> ProxyLoss::make(const ModelStructure& structure, std::span<const GgmlType> types,
                                  const std::map<std::string, ProxyFacts>& facts, const ProxyOptions& options) {
  if (types.empty() || types.size() > UINT8_MAX) return fail(ErrorCode::kUsage, {"proxy loss", "has no types", "1 to 255", ""});
  for (const auto& [name, one] : facts) {
    ASSAY_TRY(check(name, one));
    if (structure.find(name) == nullptr)
      return fail(ErrorCode::kMismatch, {"proxy loss", "is given group " + printable(name) + ", which the model does not have",
                                         "groups such as " + structure.groups[0].name, "another model's, or other rules of grouping"});
  }
  std::vector<NamedTensor> named;
  double elements = 0;
  for (const TensorInfo& tensor : structure.tensors) {
    named.push_back(named_tensor(tensor.name, tensor.elements()));
    elements += static_cast<double>(tensor.elements());
  }
  const NamedModel model(named);
  const double mean = elements / static_cast<double>(structure.groups.size());
  ProxyLoss proxy;
  proxy.types_.assign(types.begin(), types.end());
  for (const DecisionGroup& group : structure.groups) {
    const auto given = facts.find(group.name);
    const ProxyFacts fact = given == facts.end() ? ProxyFacts{} : given->second;
    const ProxyWeight weight{ramp_role_weight(group.role), ramp_depth_weight(named[group.tensors[0]], model),
                             std::log1p(static_cast<double>(group.elements) / mean), fact.sensitivity};
    const double factor = options.kurtosis ? 1 + 0.1 * std::max(0.0, fact.vulnerability - 0.5) : 1;
    for (const GgmlType type : types) {
      const auto measured = fact.errors.find(type);
      const double error = factor * (measured == fact.errors.end() ? approximate_error(type) : measured->second);
      proxy.errors_.push_back(options.squared ? error * error : error);
      proxy.table_.push_back(weight.product() * proxy.errors_.back());
    }
    proxy.weights_.push_back(weight);
  }
  return proxy;
}

double ProxyLoss::loss(std::span<const uint8_t> choice) const {
  // Four sums, so that additions do not wait for each other; the same order on any machine.
  double sums[4] = {};
  const size_t width = types_.size(), n = choice.size();
  const double* row = table_.data();
  size_t g = 0;
  for (; g + 4 <= n; g += 4, row += 4 * width)
    for (size_t k = 0; k < 4; ++k) sums[k] += row[k * width + choice[g + k]];
  for (; g < n; ++g, row += width) sums[0] += row[choice[g]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

std::vector<ProxyContribution> ProxyLoss::contributions(std::span<const uint8_t> choice, size_t most) const {
  std::vector<ProxyContribution> all;
  for (size_t g = 0; g < choice.size(); ++g)
    all.push_back({g, types_[choice[g]], weights_[g].product(), errors_[g * types_.size() + choice[g]], at(g, choice[g])});
  std::stable_sort(all.begin(), all.end(), [](const ProxyContribution& a, const ProxyContribution& b) { return a.loss > b.loss; });
  all.resize(std::min(most, all.size()));
  return all;
}

DamageTable ProxyLoss::table(const ModelStructure& structure) const {
  DamageTable table;
  table.estimator = "ramp proxy";
  table.unit = "RAMP's loss";
  for (size_t g = 0; g < structure.groups.size(); ++g) {
    DamageRow row{structure.groups[g].name, {}, {}};
    for (const size_t t : structure.groups[g].tensors)
      if (is_quantizable(structure.tensors[t])) row.tensors.push_back(structure.tensors[t].name);
    if (row.tensors.empty()) continue;
    for (size_t t = 0; t < types_.size(); ++t) row.cells.push_back({types_[t], at(g, t), 0, false});
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace assay
