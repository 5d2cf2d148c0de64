// A score's values by name, oriented so that larger predicts more damage, for whoever compares scores with something else; and what a
// score says about the damage of every tensor at every type, where it does not say it itself. Torch-free.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/score/score.h"

namespace assay {

class ScoreLookup {
 public:
  // `rows` outlive this.
  ScoreLookup(const ScoreInfo& info, std::span<const ScoreRow> rows);
  // Of the row of that name, else of the group that the tensor is in; NaN: none, or none at that type.
  double at(const std::string& name, std::optional<GgmlType> type) const;
  // In ascending order of at() of all rows, (place + 1/2) / rows in (0, 1); ties share the mean place. NaN as above.
  double rank(const std::string& name) const;

 private:
  double sign_;
  std::map<std::string, const ScoreRow*> rows_;
  std::map<const ScoreRow*, double> ranks_;
};

// Damage that a score stands for, to add up over a recipe: its own value where it has one per type and these add up; else rank x weights x
// 4^-(bits per weight), the squared error of a finer grid. In arbitrary units; >= 0; NaN: the score does not know the tensor.
double stand_in_damage(const ScoreInfo& info, const ScoreLookup& lookup, const std::string& tensor, uint64_t elements, GgmlType type);

// Bits per weight of a type.
double bits_per_weight(GgmlType type);

}  // namespace assay
