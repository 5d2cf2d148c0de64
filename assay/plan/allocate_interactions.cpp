#include "assay/plan/allocate_interactions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "assay/base/text.h"
#include "assay/plan/plan_problem.h"

namespace assay {
namespace {

tl::unexpected<Error> bad_cell(ErrorCode code, const DamageRow& row, GgmlType type, const std::string& found, const std::string& needed) {
  return fail(code, {fmt::format("interactions: '{}' at {}", printable(row.name), find_type(type)->name), found, needed, ""});
}

// Every row of the table as it was before rows were fused, by the first tensor.
class TermsOfTable {
 public:
  TermsOfTable(const DamageTable& table, const TermsOf& terms, const CrossTerms& cross) : terms_(terms), cross_(cross) {
    for (const DamageRow& row : table.rows) rows_[row.tensors.front()] = &row;
  }

  // How many terms every cell has: those of the first that has any.
  Result<size_t> length() const {
    for (const auto& [tensor, row] : rows_)
      for (const DamageCell& cell : row->cells)
        if (const size_t count = terms_(row->name, cell.type).size(); count > 0) return count;
    return fail(ErrorCode::kMismatch, {"interactions", "there are no terms of any row of the table", "", "the terms of another table?"});
  }

  // Hands every member of a row (of several fused ones) at a type to `take`: damage and terms.
  template <class F>
  Status members(const DamageRow& row, GgmlType type, size_t length, const F& take) const {
    for (const std::string& tensor : row.tensors) {
      const auto found = rows_.find(tensor);
      if (found == rows_.end()) continue;  // not the first of its row
      const DamageRow& own = *found->second;
      const auto cell = std::find_if(own.cells.begin(), own.cells.end(), [&](const DamageCell& one) { return one.type == type; });
      const auto terms = terms_(own.name, type);
      if (terms.empty() && cell->damage > 0)
        return bad_cell(ErrorCode::kMismatch, own, type, "has no terms", "the table gives it a damage");
      if (!terms.empty() && terms.size() != length)
        return bad_cell(ErrorCode::kBadInput, own, type, fmt::format("has {} terms", terms.size()), fmt::format("others have {}", length));
      if (!std::all_of(terms.begin(), terms.end(), [](float term) { return std::isfinite(term); }))
        return bad_cell(ErrorCode::kBadInput, own, type, "has a term that is not finite", "");
      const double damage = std::max(0.0, cell->damage);
      take(damage, cross_.of(type, damage, terms));
    }
    return {};
  }

 private:
  std::map<std::string, const DamageRow*> rows_;
  const TermsOf& terms_;
  const CrossTerms& cross_;
};

Result<InteractionObjective> objective_of(const PlanProblem& problem, const TermsOfTable& terms) {
  ASSAY_ASSIGN(const size_t length, terms.length());
  InteractionObjective objective(length);
  for (const PlanProblem::KeptRow& kept : problem.kept_rows()) {
    if (!kept.cell) continue;
    const DamageRow& row = problem.table().rows[kept.row];
    ASSAY_TRY(terms.members(row, row.cells[*kept.cell].type, length,
                            [&](double damage, std::span<const float> values) { objective.add_fixed(damage, values); }));
  }
  for (size_t g = 0; g < problem.groups().size(); ++g) {
    objective.add_group(problem.groups()[g].size());
    for (size_t i = 0; i < problem.groups()[g].size(); ++i)
      ASSAY_TRY(terms.members(problem.table().rows[problem.row_of(g)], problem.type_of(g, i), length,
                              [&](double damage, std::span<const float> values) { objective.add_member(i, damage, values); }));
  }
  return objective;
}

}  // namespace

CrossTerms cross_terms(const DamageTable& table, const TermsOf& terms, const CrossOptions& options) {
  std::vector<CrossCell> cells;
  for (size_t r = 0; r < table.rows.size(); ++r)
    for (const DamageCell& cell : table.rows[r].cells) {
      const auto values = terms(table.rows[r].name, cell.type);
      if (values.empty() || (!cells.empty() && values.size() != cells[0].terms.size())) continue;
      if (std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
        cells.push_back({r, cell.type, values});
    }
  return CrossTerms::shrunk(cells, options);
}

Result<Plan> allocate_with_interactions(const Checkpoint& checkpoint, const DamageTable& table, const TermsOf& terms,
                                        const CrossTerms& cross, uint64_t budget, const AllocateConstraints& constraints,
                                        const OutputRequest& request, const InteractionOptions& effort) {
  if (constraints.solver != "exact")
    return fail(ErrorCode::kUsage, {"--solver " + constraints.solver, "knows no interactions", "leave it out", ""});
  ASSAY_ASSIGN(const PlanProblem problem, PlanProblem::make(checkpoint, table, constraints, request));
  if (problem.limited())
    return fail(ErrorCode::kUsage,
                {"interactions", "are planned under one limit, the file's size", "no --device-size, no --max-slowdown", ""});
  ASSAY_ASSIGN(const uint64_t room, problem.room(budget));
  ASSAY_ASSIGN(const InteractionObjective objective, objective_of(problem, TermsOfTable(table, terms, cross)));
  std::vector<std::vector<uint64_t>> bytes;
  for (const KnapsackGroup& group : problem.groups()) {
    bytes.emplace_back();
    for (const KnapsackItem& item : group) bytes.back().push_back(item.bytes);
  }
  ASSAY_ASSIGN(const InteractionSolution solved, solve_interactions(objective, bytes, room, effort));
  ASSAY_ASSIGN(Plan plan, problem.plan(solved.choice, budget));
  plan.predicted_damage = solved.damage;
  plan.bound = plan.relaxed_bound = solved.bound;
  plan.gap = solved.gap();
  plan.lambda = solved.lambda;
  plan.exact = solved.gap() <= 0;
  plan.interactions = PlanInteractions{objective.terms(), solved.separable, solved.separable_damage, solved.evaluations,
                                       solved.moves,      solved.all_pairs, cross.reliability()};
  // Rows and upgrades by what a change of that row alone does now.
  const InteractionChoice state(objective, solved.choice);
  std::vector<KnapsackGroup> groups = problem.groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<double> changes(groups[g].size());
    state.changes(g, state.products_with_own(g), changes);
    for (size_t i = 0; i < changes.size(); ++i) groups[g][i].damage = changes[i];
  }
  plan.next = problem.upgrades(solved.choice, groups);
  return plan;
}

}  // namespace assay
