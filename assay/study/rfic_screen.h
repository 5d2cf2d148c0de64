// The local screen of the RFIC / under-outlier study (methods.md 3.14): in each group of input columns, one weight that might be zeroed
// before quantization, what that gains there (benefit B) and what zeroing alone costs there (harm A), on some calibration tokens.
//   E(W') = mean_t |X_t (W' - W)^T|^2 / (mean_t |X_t W^T|^2 + 1e-8) over the group's columns, all rows
//   B = E(Q(W)) - E(Q(W with w = 0)),  A = E(W with w = 0),  score = B / (A + 1e-8)
// The quantizer Q has one scale per row and group. What the source leaves open, and ours: of equal values the first weight in row-major
// order is taken; "dead" columns of equal activity likewise by number; sums in double. Torch-free.
// Non-goals: what the whole model says (job/study_rfic.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/quant/group_rounding.h"

namespace assay {

enum class RficRule : uint8_t {
  kV0,  // the largest |w| of the group
  kA,   // of the quarter with the largest |w| the least |w| act_j, act_j = mean_t |X_tj|
  kB,  // the largest |w| in the group's dead columns: those of the ceil(5 %) of the matrix's columns with the least act; none: no candidate
  kC,  // the largest |w| in the group's columns with act below the matrix's lower median. The source's score, |w| - median of the group's
       // |w|, differs from |w| by a constant of the group
};
inline constexpr RficRule kRficRules[] = {RficRule::kV0, RficRule::kA, RficRule::kB, RficRule::kC};
std::string_view name_of(RficRule rule);  // "v0", "A", "B", "C"
// "B", "B,C"; also without commas: "BC". Error: kUsage.
Result<std::vector<RficRule>> parse_rfic_rules(std::string_view text);

struct RficMatrix {
  std::span<const float> weights;  // [rows, columns]
  std::span<const float> inputs;   // [tokens, columns]
  uint64_t columns = 0;
  uint64_t rows() const { return weights.size() / columns; }
  uint64_t tokens() const { return inputs.size() / columns; }
};

struct RficCandidate {
  std::string tensor;  // the caller's
  int layer = 0;       // the caller's
  RficRule rule = RficRule::kV0;
  uint64_t group = 0, row = 0, column = 0;
  double weight = 0;
  double empty = 0;  // E(Q(W)) of the group
  double benefit = 0, harm = 0, score = 0;
};

// Rule after rule, group after group.
std::vector<RficCandidate> screen(const RficMatrix& matrix, const GroupGrid& grid, std::span<const RficRule> rules, int threads = 1);

// The positions of the candidates that none other beats in both benefit and harm, by harm.
std::vector<size_t> pareto_front(std::span<const RficCandidate> candidates);

// Of one matrix and rule.
struct RficSummary {
  std::string tensor;
  int layer = 0;
  RficRule rule = RficRule::kV0;
  uint64_t candidates = 0, positive = 0, gated = 0;  // B > 0; and A below the median of these candidates
  double median_harm = 0, best_benefit = 0, best_score = 0;
};
// In the order in which (tensor, rule) first appear.
std::vector<RficSummary> summarize(std::span<const RficCandidate> candidates);

// Positions of the candidates of these rules with B > 0 and A below their matrix's and rule's median, by score, each weight once, at most
// `top` per matrix.
std::vector<size_t> select_for_check(std::span<const RficCandidate> candidates, std::span<const RficRule> rules, size_t top);
// Positions of the `top` best scores with B > 0 of every matrix and rule.
std::vector<size_t> select_for_gate(std::span<const RficCandidate> candidates, std::span<const RficRule> rules, size_t top);

}  // namespace assay
