#include "assay/plan/published_objective.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "assay/base/text.h"
#include "assay/plan/depth_smoother.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/presets.h"
#include "assay/plan/type_curve.h"

namespace assay {
namespace {

// A model that knows nothing but how often tokens occur loses about so much (nats per token): at types with more, damage says nothing of
// the curve.
constexpr double kCollapsed = 8;
constexpr double kLeastPerplexity = 1;  // tables of either kind may come without a sign that says which
constexpr double kShareOfZero = 0.5;    // of the smallest positive cell: what a printed 0 is taken for
constexpr double kFullyMeasured = 0.9;  // of the weights: then the sum of damages may be compared with the whole model's
constexpr double kMostSaturation = 1;   // per nat

tl::unexpected<Error> bad(const std::string& who, const std::string& found, const std::string& needed, const std::string& cause = "") {
  return fail(ErrorCode::kBadInput, {who, found, needed, cause});
}

// "q2_k_r4" and "q2_K": one type, its rows stored in two ways.
std::string family_name(const std::string& type) {
  const std::string name = lower_ascii(type);
  const size_t at = name.rfind("_r");
  const bool variant =
      at != std::string::npos && at + 2 < name.size() &&
      std::all_of(name.begin() + static_cast<std::ptrdiff_t>(at) + 2, name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return variant ? name.substr(0, at) : name;
}

Result<std::map<std::string, double>> whole_model(const PublishedTable& group0) {
  const std::string who = "group0 table";
  if (group0.columns != std::vector<std::string>{"group0"})
    return bad(who, "has " + group_digits(group0.columns.size()) + " columns, the first '" + printable(group0.columns[0]) + "'",
               "one column 'group0' is needed", "a table of tensors in its place?");
  if (group0.percent) return bad(who, "is in percent", "KL divergences are needed", "ppl_results.csv?");
  std::map<std::string, double> whole;
  for (const PublishedRow& row : group0.rows) {
    const TypeSize* const type = find_type_size(row.type);
    if (type == nullptr) return unknown_type(who, row.type);
    if (std::isnan(row.values[0])) continue;
    if (row.values[0] < 0) return bad(who + ": " + row.type, fmt::format("is {}", row.values[0]), "a KL divergence is not negative");
    whole[type->name] = row.values[0];
  }
  if (!whole.empty() && std::all_of(whole.begin(), whole.end(), [](const auto& one) { return one.second >= kLeastPerplexity; }))
    return bad(who, "holds nothing below 1", "KL divergences are needed", "perplexities? group0/kld_results.csv");
  return whole;
}

class Completer {
 public:
  Completer(std::span<const MappedTensor> map, const PublishedOptions& options) : map_(map), options_(options) {}

  Status read(const PublishedTable& table, const PublishedTable& group0) {
    if (table.percent) return bad("published table", "is in percent", "KL divergences are needed", "kld_results.csv, not ppl_results.csv");
    ASSAY_ASSIGN(whole_, whole_model(group0));
    ASSAY_TRY(read_types(table));
    ASSAY_ASSIGN(const PublishedTruth truth, published_truth(table, map_));
    ASSAY_TRY(read_cells(truth));
    add_unmeasured(table);
    return {};
  }

  Result<PublishedObjective> complete() {
    const bool rank1 = options_.model == PublishedModel::kRank1;
    ASSAY_ASSIGN(const CurveInput input, curve_input(!rank1));
    const CurveFit fit = rank1 ? fit_rank_one(input) : fit_type_curve(input);
    PublishedObjective result;
    result.estimator = "published:" + std::string(name_of(options_.model));
    result.types = wanted_;
    result.offset = fit.offset;
    result.saturation = fit.saturation;
    result.common_slope = fit.common_slope;
    result.type_error = fit.type_error;
    result.cell_error = fit.cell_error;
    result.collapsed = {collapsed_.begin(), collapsed_.end()};
    std::vector<double> effects = fit.effects, variances(effects.size());
    guess_effects(effects, variances);
    for (size_t t = 0; t < rows_.size(); ++t) {
      ObjectiveRow row = rows_[t];
      for (const std::string& type : wanted_) row.cells.push_back(cell_of(fit, t, type, effects[t], variances[t]));
      result.rows.push_back(std::move(row));
    }
    return result;
  }

 private:
  // Types of the table, and those wanted.
  Status read_types(const PublishedTable& table) {
    for (const PublishedRow& row : table.rows) {
      const TypeSize* const type = find_type_size(row.type);
      if (type == nullptr) return unknown_type("published table", row.type);
      if (std::all_of(row.values.begin(), row.values.end(), [](double value) { return std::isnan(value); })) continue;
      measured_.push_back(type->name);
    }
    if (options_.types.empty()) wanted_ = measured_;
    for (const std::string& name : options_.types) {
      const TypeSize* const type = find_type_size(name);
      if (type == nullptr) return tl::unexpected(Error{ErrorCode::kUsage, unknown_type("types", name).value().message});
      if (std::find(wanted_.begin(), wanted_.end(), type->name) == wanted_.end()) wanted_.push_back(type->name);
    }
    std::set<std::string> needed(measured_.begin(), measured_.end());
    needed.insert(wanted_.begin(), wanted_.end());
    std::vector<std::string> missing;
    for (const std::string& type : needed)
      if (!whole_.contains(type)) missing.push_back(type);
    if (!missing.empty())
      return fail(ErrorCode::kMismatch, {"group0 table", "has no number for " + join(missing, ", "),
                                         "one for each measured and each wanted type", "files of two models?"});
    for (const std::string& type : measured_)
      if (whole_.at(type) > kCollapsed) collapsed_.insert(type);
    if (collapsed_.size() == measured_.size()) collapsed_.clear();  // better than nothing
    types_.assign(needed.begin(), needed.end());
    std::erase_if(types_, [&](const std::string& type) { return whole_.at(type) <= 0; });
    return {};
  }

  size_t role_of(const std::string& role) { return roles_.emplace(role, roles_.size()).first->second; }

  Status read_cells(const PublishedTruth& truth) {
    double smallest = std::numeric_limits<double>::infinity();
    for (const PublishedMeasurement& one : truth.measurements) {
      if (one.value < 0)
        return bad("published table: '" + one.name + "' at " + one.type, fmt::format("is {}", one.value),
                   "a KL divergence is not negative");
      if (one.value > 0) smallest = std::min(smallest, one.value);
    }
    if (smallest >= kLeastPerplexity && std::isfinite(smallest))
      return bad("published table", "holds nothing below 1", "KL divergences are needed",
                 "perplexities? kld_results.csv, not ppl_results.csv");
    if (!std::isfinite(smallest)) return bad("published table", "holds no number above 0", "", "damages rounded away?");
    std::map<std::string, size_t> places;
    for (const PublishedMeasurement& one : truth.measurements) {
      const auto [at, is_new] = places.emplace(one.name, rows_.size());
      if (is_new) {
        ObjectiveRow row{one.tensors.size() == 1 ? one.tensors[0].name : one.name, one.role, one.tensors[0].layer, {}, true, {}};
        for (const NamedTensor& tensor : one.tensors) row.tensors.push_back(tensor.name);
        taken_.insert(row.tensors.begin(), row.tensors.end());
        if (one.tensors.size() > 1) {
          std::vector<std::string>& joined = joined_[one.role];
          if (joined.empty())
            for (const NamedTensor& tensor : one.tensors) joined.push_back(tensor.role);
        }
        rows_.push_back(std::move(row));
        cells_.emplace_back();
        role_of(one.role);
      }
      cells_[at->second][find_type_size(one.type)->name] = one.value > 0 ? one.value : kShareOfZero * smallest;
    }
    return {};
  }

  // Tensors that are quantized and have no number; together where the others of their roles were measured together.
  void add_unmeasured(const PublishedTable& table) {
    const std::set<std::string> columns(table.columns.begin(), table.columns.end());
    std::map<int, std::map<std::string, std::string>> blocks;  // layer, role, name
    std::vector<ObjectiveRow> rows;
    for (const MappedTensor& tensor : map_) {
      if (taken_.contains(tensor.name)) continue;
      const auto info = tensor_info(tensor);
      if (!columns.contains(tensor.name) && !(info && is_quantizable(*info))) continue;
      const NamedTensor named = named_tensor(tensor.name, tensor.elements);
      if (named.layer < 0)
        rows.push_back({tensor.name, named.role, -1, {tensor.name}, false, {}});
      else
        blocks[named.layer][named.role] = tensor.name;
    }
    for (auto& [layer, roles] : blocks) {
      for (const auto& [role, members] : joined_) {
        if (!std::all_of(members.begin(), members.end(), [&](const std::string& one) { return roles.contains(one); })) continue;
        ObjectiveRow row{fmt::format("blk.{}.{}", layer, role), role, layer, {}, false, {}};
        for (const std::string& one : members) {
          row.tensors.push_back(roles.at(one));
          roles.erase(one);
        }
        rows.push_back(std::move(row));
      }
      for (const auto& [role, name] : roles) rows.push_back({name, role, layer, {name}, false, {}});
    }
    for (ObjectiveRow& row : rows) {
      role_of(row.role);
      rows_.push_back(std::move(row));
      cells_.emplace_back();
    }
  }

  // Small damages add up, and the whole model's grows faster: S = G / (1 + s G) at the one type that was measured, if of all tensors.
  std::optional<double> saturation_of_sum() const {
    std::set<std::string> families;
    std::string type;
    for (const std::string& one : measured_)
      if (!collapsed_.contains(one)) {
        families.insert(family_name(one));
        type = one;
      }
    if (families.size() != 1) return std::nullopt;
    std::map<std::string_view, uint64_t> elements;
    double all = 0, measured = 0, sum = 0;
    for (const MappedTensor& tensor : map_) elements[tensor.name] = tensor.elements;
    for (size_t t = 0; t < rows_.size(); ++t) {
      const auto cell = cells_[t].find(type);
      if (cell != cells_[t].end()) sum += cell->second;
      for (const std::string& tensor : rows_[t].tensors) {
        const auto weights = static_cast<double>(elements.at(tensor));
        all += weights;
        if (cell != cells_[t].end()) measured += weights;
      }
    }
    if (measured < kFullyMeasured * all) return std::nullopt;
    const double whole = whole_.at(type);
    return std::clamp((whole / sum - 1) / whole, 0.0, kMostSaturation);
  }

  Result<CurveInput> curve_input(bool saturates) const {
    CurveInput input;
    input.roles = roles_.size();
    std::map<std::string, size_t> families, places;
    for (const std::string& type : types_) {
      places[type] = input.whole.size();
      input.whole.push_back(whole_.at(type));
      input.family_of.push_back(families.emplace(family_name(type), families.size()).first->second);
    }
    for (size_t t = 0; t < rows_.size(); ++t) {
      input.role_of.push_back(roles_.at(rows_[t].role));
      for (const auto& [type, damage] : cells_[t])
        if (!collapsed_.contains(type) && places.contains(type)) input.cells.push_back({t, places.at(type), damage});
    }
    if (input.cells.empty()) return fail(ErrorCode::kMismatch, "published table: group0 holds nothing above 0 for the measured types");
    if (saturates) input.saturation = saturation_of_sum();
    return input;
  }

  void guess_effects(std::vector<double>& effects, std::vector<double>& variances) const {
    std::vector<DepthPoint> known, wanted;
    std::vector<double> values;
    std::vector<size_t> places;
    for (size_t t = 0; t < rows_.size(); ++t) {
      const DepthPoint point{roles_.at(rows_[t].role), rows_[t].layer};
      if (std::isnan(effects[t])) {
        wanted.push_back(point);
        places.push_back(t);
      } else {
        known.push_back(point);
        values.push_back(effects[t]);
      }
    }
    if (wanted.empty()) return;
    const UnmeasuredRule rule =
        options_.unmeasured.value_or(options_.model == PublishedModel::kRank1 ? UnmeasuredRule::kRoleMedian : UnmeasuredRule::kSmooth);
    // The smoother's variance serves for the plain rules too: it says how far tensors of a model lie from their neighbours.
    const std::vector<DepthGuess> smooth = smooth_over_depth(known, values, wanted);
    std::vector<double> plain;
    if (rule == UnmeasuredRule::kRoleMedian) plain = role_medians(known, values, wanted);
    if (rule == UnmeasuredRule::kDepthLine) plain = line_over_depth(known, values, wanted);
    for (size_t i = 0; i < wanted.size(); ++i) {
      effects[places[i]] = plain.empty() ? smooth[i].value : plain[i];
      variances[places[i]] = smooth[i].variance;
    }
  }

  ObjectiveCell cell_of(const CurveFit& fit, size_t t, const std::string& type, double effect, double variance) const {
    const auto found = cells_[t].find(type);
    const bool known = found != cells_[t].end();
    const bool elsewhere = std::find(measured_.begin(), measured_.end(), type) != measured_.end() && !collapsed_.contains(type);
    if (known && options_.model == PublishedModel::kRoles)
      return {type, std::max(0.0, found->second - fit.offset), 0, CellBasis::kMeasured};
    ObjectiveCell cell{type, 0, 0, elsewhere ? CellBasis::kPredicted : CellBasis::kExtrapolated};
    const double whole = whole_.at(type);
    if (whole <= 0) return cell;
    const size_t place = static_cast<size_t>(std::find(types_.begin(), types_.end(), type) - types_.begin());
    const size_t role = roles_.at(rows_[t].role);
    // Where the model is destroyed nothing is small: its curve as it is.
    const double log_damage = whole > kCollapsed ? effect + fit.slopes[role] * std::log(whole) : fit.log_damage(effect, role, place, whole);
    variance += elsewhere ? fit.cell_error * fit.cell_error : fit.type_variance(whole);
    cell.damage = std::exp(log_damage);
    cell.standard_error = cell.damage * std::sqrt(variance);
    return cell;
  }

  std::span<const MappedTensor> map_;
  const PublishedOptions& options_;
  std::map<std::string, double> whole_;         // type -> G
  std::vector<std::string> measured_, wanted_;  // types
  std::vector<std::string> types_;              // both, ascending, those without loss left out
  std::set<std::string> collapsed_;
  std::map<std::string, size_t> roles_;
  std::map<std::string, std::vector<std::string>> joined_;  // "attn_k+attn_v" -> its parts
  std::set<std::string> taken_;                             // tensors of rows
  std::vector<ObjectiveRow> rows_;
  std::vector<std::map<std::string, double>> cells_;  // [rows] measured
};

}  // namespace

Result<PublishedModel> find_published_model(std::string_view name) {
  for (const PublishedModel model : {PublishedModel::kRank1, PublishedModel::kRoles})
    if (name == name_of(model)) return model;
  return fail(ErrorCode::kUsage, {"objective", "there is none named " + printable(name), "one of rank-1, roles", ""});
}

std::string_view name_of(PublishedModel model) { return model == PublishedModel::kRank1 ? "rank-1" : "roles"; }

std::string_view name_of(CellBasis basis) {
  return basis == CellBasis::kMeasured ? "measured" : basis == CellBasis::kPredicted ? "predicted" : "extrapolated";
}

Result<PublishedObjective> published_objective(const PublishedTable& table, const PublishedTable& group0, std::span<const MappedTensor> map,
                                               const PublishedOptions& options) {
  Completer completer(map, options);
  ASSAY_TRY(completer.read(table, group0));
  return completer.complete();
}

Result<DamageTable> damage_table_of(const PublishedObjective& objective) {
  DamageTable table;
  table.estimator = objective.estimator;
  std::set<std::string> foreign;
  for (const ObjectiveRow& row : objective.rows) {
    DamageRow kept{row.name, row.tensors, {}};
    for (const ObjectiveCell& cell : row.cells) {
      const TypeSize* const type = find_type_size(cell.type);
      if (type->ggml)
        kept.cells.push_back({*type->ggml, cell.damage, cell.standard_error, false});
      else
        foreign.insert(type->name);
    }
    table.rows.push_back(std::move(kept));
  }
  if (!foreign.empty())
    return fail(ErrorCode::kUnsupported, {"published objective", "holds " + join({foreign.begin(), foreign.end()}, ", "),
                                          "types of ggml are needed for a damage table", "types of ik_llama.cpp alone"});
  return table;
}

}  // namespace assay
