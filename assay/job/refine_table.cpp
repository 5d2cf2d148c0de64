#include "assay/job/refine_table.h"

#include <algorithm>
#include <map>
#include <set>

#include "assay/file/tensor_role.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

// Rows by role, in file order.
std::map<Role, std::vector<DamageRow*>> rows_by_role(DamageTable& table) {
  std::map<Role, std::vector<DamageRow*>> roles;
  for (DamageRow& row : table.rows) roles[role_of(row.name).role].push_back(&row);
  return roles;
}

std::vector<const DamageRow*> samples_of(const std::vector<DamageRow*>& rows) {
  std::set<size_t> places = {0, rows.size() / 2, rows.size() - 1};
  std::vector<const DamageRow*> samples;
  for (const size_t place : places) samples.push_back(rows[place]);
  return samples;
}

}  // namespace

Status scale_by_samples(CodeSource& source, DamageTable& table, Progress& progress) {
  auto roles = rows_by_role(table);
  progress.stage("codes of samples", roles.size());
  uint64_t done = 0;
  for (auto& [role, rows] : roles) {
    std::map<GgmlType, std::pair<double, double>> errors;  // chosen, nearest
    for (const DamageRow* row : samples_of(rows))
      for (const DamageCell& cell : row->cells) {
        if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "codes: interrupted");
        if (!source.covers(row->name, cell.type)) continue;
        ASSAY_TRY(source.encoded(row->name, cell.type).map([](const auto&) {}));
        const CodesReport& report = source.reports().at(row->name);
        errors[cell.type].first += report.final;
        errors[cell.type].second += report.nearest;
      }
    for (DamageRow* row : rows)
      for (DamageCell& cell : row->cells) {
        const auto found = errors.find(cell.type);
        if (found == errors.end() || !(found->second.second > 0) || !source.covers(row->name, cell.type)) continue;
        const double ratio = found->second.first / found->second.second;
        cell.damage *= ratio;
        cell.standard_error *= ratio;
      }
    progress.update(++done);
  }
  return {};
}

Status predict_chosen(const OpenModel& model, std::span<const Window> windows, CodeSource& source, const Recipe& recipe,
                      const CurvatureOptions& options, UnitCache& units, DamageTable& table, Progress& progress) {
  std::vector<CurvatureRequest> requests;
  for (const DamageRow& row : table.rows) {
    const auto chosen = recipe.types.find(row.name);
    if (chosen == recipe.types.end()) continue;
    std::vector<GgmlType> types;
    for (const DamageCell& cell : row.cells)
      if (source.covers(row.name, cell.type)) types.push_back(cell.type);
    std::stable_sort(types.begin(), types.end(), [](GgmlType a, GgmlType b) { return bits_per_weight(a) < bits_per_weight(b); });
    const auto at = std::find(types.begin(), types.end(), chosen->second);
    if (at == types.end()) continue;
    CurvatureRequest request{row.name, {*at}};
    if (at != types.begin()) request.types.push_back(*(at - 1));
    if (at + 1 != types.end()) request.types.push_back(*(at + 1));
    requests.push_back(std::move(request));
  }
  // Encoded first: tensors that share an input come one after another here, and the pass below walks the model backwards.
  progress.stage("codes", requests.size());
  uint64_t done = 0;
  for (const CurvatureRequest& request : requests) {
    for (const GgmlType type : request.types) {
      if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "codes: interrupted");
      ASSAY_TRY(source.encoded(request.tensor, type).map([](const auto&) {}));
    }
    progress.update(++done);
  }
  ASSAY_ASSIGN(const CurvatureTable made,
               curvature_table(
                   *model.network, windows, requests, [&](const std::string& tensor, GgmlType type) { return source.change(tensor, type); },
                   options, progress, units));
  for (const CurvatureRow& fresh : made.rows) {
    const auto row =
        std::find_if(table.rows.begin(), table.rows.end(), [&](const DamageRow& candidate) { return candidate.name == fresh.tensor; });
    for (const CurvatureCell& cell : fresh.cells)
      for (DamageCell& old : row->cells)
        if (old.type == cell.type) {
          old.damage = cell.damage;
          old.standard_error = cell.standard_error;
        }
  }
  return {};
}

}  // namespace assay
