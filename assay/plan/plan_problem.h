// What a table, a model and constraints leave to decide: a group of items (bytes, damage) for each row with a choice, everything else as
// fixed bytes and fixed damage; and the plan that a choice makes. Internal to plan/: the objectives (allocate*.h) share it.
// Non-goals: choosing.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "assay/plan/allocate.h"
#include "assay/plan/constraint_rules.h"
#include "assay/plan/presets.h"

namespace assay {

class PlanProblem {
 public:
  // `table`: rows that share a type are made one by it. Checkpoint and constraints must outlive the problem. Errors: those of allocate()
  // but for the budget's.
  static Result<PlanProblem> make(const Checkpoint& checkpoint, const DamageTable& table, const AllocateConstraints& constraints,
                                  const OutputRequest& request);

  const std::vector<KnapsackGroup>& groups() const { return groups_; }
  const DamageTable& table() const { return table_; }  // rows that share a type as one
  size_t row_of(size_t group) const { return row_of_group_[group]; }
  size_t cell_of(size_t group, size_t item) const { return cells_[group][item]; }  // of its row
  GgmlType type_of(size_t group, size_t item) const { return table_.rows[row_of_group_[group]].cells[cells_[group][item]].type; }

  std::vector<std::string> tensors_of(size_t group) const;
  // True if the recipe gives every tensor of the group the item's type.
  bool gives(const Recipe& recipe, size_t group, size_t item) const;
  Recipe recipe_of(const Preset& preset) const;

  // Rows that --keep settles, and the cell of the type they keep if the table has it.
  struct KeptRow {
    size_t row = 0;
    std::optional<size_t> cell;
  };
  std::span<const KeptRow> kept_rows() const { return kept_rows_; }
  uint64_t fixed_bytes() const { return fixed_bytes_; }
  double fixed_damage() const { return fixed_damage_; }

  // Limits beside the file's bytes.
  bool limited() const { return rules_.devices() > 0 || constraints_->speeds.most > 0; }
  const ConstraintRules& rules() const { return rules_; }
  uint64_t device_fixed(size_t device) const { return device_fixed_[device]; }                  // bytes that nothing changes
  std::span<const double> uses(size_t group, size_t item) const { return uses_[group][item]; }  // bytes by device, then time

  // Bytes that a file of at most `budget` leaves to the groups. kUsage: too few even for the smallest items; names that file's size.
  Result<uint64_t> room(uint64_t budget) const;
  // The plan of a choice: recipe, sizes, rows, warnings; its damage the sum of the rows'. Bounds and prices are the solver's.
  Result<Plan> plan(std::span<const size_t> choice, uint64_t budget) const;

  PlanUpgrade upgrade(size_t group, size_t from, size_t to) const;
  // What to grow first from a choice, most damage saved per byte first; at most 5. `groups`: damages to go by.
  std::vector<PlanUpgrade> upgrades(std::span<const size_t> choice, std::span<const KnapsackGroup> groups) const;
  double bpw(uint64_t file_bytes) const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  PlanProblem(const Checkpoint& checkpoint, const AllocateConstraints& constraints, const OutputRequest& request)
      : checkpoint_(&checkpoint), constraints_(&constraints), request_(request) {}
  Status prepare();
  Status add_row(const DamageRow& row, std::set<std::string>& chosen);
  Status add_group(const DamageRow& row, std::vector<const TensorInfo*> members);
  double kept_damage(const DamageRow& row);
  double damage_of(const DamageRow& row, const DamageCell& cell);
  uint64_t padded(const TensorInfo& tensor, GgmlType type) const;

  const Checkpoint* checkpoint_;
  const AllocateConstraints* constraints_;
  OutputRequest request_;
  DamageTable table_;
  OutputFile stored_;  // the file with every tensor as stored
  ConstraintRules rules_;
  std::unordered_map<std::string, const TensorInfo*> tensors_;
  std::unordered_map<std::string, GgmlType> kept_;
  std::set<std::string> seen_;
  std::vector<uint64_t> device_fixed_;
  Recipe recipe_;  // of what is not decided here
  uint64_t fixed_bytes_ = 0;
  double fixed_damage_ = 0;
  size_t negative_ = 0;  // damages that count as 0
  std::string first_negative_;
  std::vector<PlanRow> rows_;
  std::vector<KeptRow> kept_rows_;
  std::vector<std::string> warnings_;
  // Per group: items, the row's cell of each, its uses of the limits, the tensors, the row.
  std::vector<KnapsackGroup> groups_;
  std::vector<std::vector<size_t>> cells_;
  std::vector<std::vector<std::vector<double>>> uses_;
  std::vector<std::vector<const TensorInfo*>> members_;
  std::vector<size_t> row_of_group_;
};

}  // namespace assay
