// Directions that a low-rank residual of a head may keep (methods.md 2.11): of the residual itself, and controls that were not made from
// it. Non-goals: moments (attention_sums.h), the rule that uses a basis (model/attention_rules.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/attention_sums.h"

namespace assay {

enum class BasisKind : uint8_t {
  kResidual,  // eigenvectors of E e e^T, the right singular vectors of the uncentred residual: the source's
  kCentred,   // of its covariance; what is projected is still the residual as it is
  kContext,   // of E c c^T, the context
  kValues,    // of E v v^T, the values, one for all query heads that share them
  kRandom,    // orthonormal, seeded
};
inline constexpr BasisKind kBasisKinds[] = {BasisKind::kResidual, BasisKind::kCentred, BasisKind::kContext, BasisKind::kValues,
                                            BasisKind::kRandom};
std::string_view name_of(BasisKind kind);  // "residual", "centred", "context", "values", "random"
Result<BasisKind> basis_kind(std::string_view name);

// Orthonormal rows [d, d], those with the largest eigenvalue first.
struct HeadBasis {
  std::shared_ptr<const std::vector<float>> rows;
  std::vector<double> energy;  // eigenvalues, descending; empty for kRandom
};

// Of one query head. draw: which random basis.
HeadBasis basis_of(BasisKind kind, const LayerMoments& moments, int layer, int head, uint64_t seed, int draw = 0);

// trace(B M B^T) / trace(M) for the first `rank` rows of B, M a sum of x x^T: the share of x's energy that the projection keeps.
// 1 where there is no energy.
double retained_share(const SecondMoment& moment, std::span<const float> rows, int rank);

}  // namespace assay
