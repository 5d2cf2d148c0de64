// How damage falls over types, learned from a table of tensors and types with gaps and from one curve of the whole model:
//   log(damage - offset) = effect[tensor] + slope[role] x(type) + deviation[role, type],  x = log(G / (1 + saturation G)),
// G the KL divergence of the whole model at the type. Rank one is offset = saturation = 0, slope 1, no deviation.
// Why the additions: a table's cells share an offset where the model they start from is not the original; G grows faster than the damage of
// one tensor, since large damages add up to more than their sum; and roles differ. Slopes of roles are shrunk towards a common one, that
// one towards 1; deviations of a role towards those of the type, those towards 0. Every strength is chosen on the table alone: offset,
// saturation and slopes by leaving types out, deviations by leaving cells out; the simplest wins ties. Logs are natural. Deterministic.
// Non-goals: tensors without any cell (depth_smoother.h), names, sizes.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace assay {

struct CurveCell {
  size_t tensor = 0, type = 0;
  double damage = 0;  // > 0
};

struct CurveInput {
  size_t roles = 0;
  std::vector<size_t> role_of;       // [tensors]
  std::vector<double> whole;         // [types] G, > 0
  std::vector<size_t> family_of;     // [types] variants of one type are left out together
  std::vector<CurveCell> cells;      // each (tensor, type) once
  std::optional<double> saturation;  // where a single family leaves nothing to choose by; nullopt: 0
};

struct CurveFit {
  double offset = 0;      // nats per token
  double saturation = 0;  // per nat
  double common_slope = 1;
  std::vector<double> slopes;      // [roles]
  std::vector<double> deviations;  // [roles * types]; 0 for types without cells
  std::vector<double> effects;     // [tensors]; NaN: no cell
  // Root mean squares of log errors: of types left out, and of cells left out whose type has others. 0: unknown.
  double type_error = 0, cell_error = 0;
  double type_distance = 0;        // mean |x| from a type left out to the nearest of the others
  std::vector<double> measured_x;  // of types with cells
  size_t types = 0;

  double x(double whole) const;
  // Of damage less the offset, of a tensor of that role and effect.
  double log_damage(double effect, size_t role, size_t type, double whole) const;
  // Of a type without cells: grows with the distance from those that have some.
  double type_variance(double whole) const;
};

CurveFit fit_type_curve(const CurveInput& input);
CurveFit fit_rank_one(const CurveInput& input);

}  // namespace assay
