// Variants of whole recipes and of table cells, named by what they change. Internal to job/.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "assay/job/measure_variants.h"
#include "assay/job/table_rows.h"
#include "assay/plan/recipe.h"

namespace assay {

class TableVariants {
 public:
  // All outlive what is made. `base`: types of all tensors that a row does not name; none: as they are.
  TableVariants(const Network& network, const ChangeSource& changes, const Recipe& base = {})
      : network_(network), changes_(changes), base_(base) {}

  // The base's types for all tensors but the row's, and `type` (none: as they are) for those.
  NamedVariant cell(const DamageRow& row, std::optional<GgmlType> type) const {
    NamedVariant named;
    for (const auto& [tensor, to] : base_.types)
      if (std::find(row.tensors.begin(), row.tensors.end(), tensor) == row.tensors.end()) add(tensor, to, named);
    if (type)
      for (const std::string& tensor : row.tensors) add(tensor, *type, named);
    return named;
  }
  NamedVariant recipe(const Recipe& recipe) const {
    NamedVariant named;
    for (const auto& [tensor, to] : recipe.types) add(tensor, to, named);
    return named;
  }

 private:
  void add(const std::string& tensor, GgmlType to, NamedVariant& named) const {
    named.name += tensor + '=' + find_type(to)->name + ';';
    for (ResolvedEdit& edit : requantize_edits(network_, changes_, tensor, to)) named.variant.edits.push_back(std::move(edit));
  }

  const Network& network_;
  const ChangeSource& changes_;
  Recipe base_;
};

}  // namespace assay
