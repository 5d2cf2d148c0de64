// What the terms of random draws say of pairs of matrices, less what is chance. A cell's own damage is a mean of squares and known well; a
// cross term t_i . t_j is a sum of products of either sign, known from few draws, and a search over thousands of recipes finds those whose
// noise happens to cancel. So the cosine of two cells is that of their draws times how far it repeats, and their lengths are those of their
// damages d:
//   cross_ij = a_i a_j sqrt(2 d_i) sqrt(2 d_j) r_ij,   r_ij = sum_k w_k^2 t_ik t_jk / (|w t_i| |w t_j|),   k: draws
//   w_k^2 = 1 / mean over cells of t_ik^2 / |t_i|^2: every draw counts alike, also where a few hold most of the energy (a window's mean
//           input, tokens with large gradients). The best weights if draws differ in size and not in cosines.
//   a_i: by the cell's type. rho of two types = sum r^A r^B / sum 1/2 ((r^A)^2 + (r^B)^2) over their pairs of cells of different groups, A
//           and B two halves of the draws; less 1/sqrt(pairs), its standard error where all is chance; at least 0; of all draws
//           2 rho / (1 + rho) (Spearman 1910, Brown 1910). a_s a_t = rho_st by least squares, pairs as weights.
// a = 1, draws of one size and d = 1/2 |t|^2: the joint form of the terms (score/curvature.h: joint_damage). a = 0: the sum of the damages.
// The result is a vector per cell again, no longer than its damage allows, so that the objective is convex and its bound close.
// Deterministic. Torch-free. Non-goals: reliability by distance of the two matrices (pairs of one block repeat better than far ones),
// damages themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/plan/cross_reliability.h"

namespace assay {

struct CrossCell {
  size_t group = 0;  // cells of one group exclude each other: no pairs. In ascending order
  GgmlType type = GgmlType::kF16;
  std::span<const float> terms;  // as long as all others
};

struct CrossOptions {
  size_t run = 1;                 // draws that belong together (of one window): halves take every other run; too long for two runs: 1
  uint64_t most_pairs = 200'000;  // of cells: where there are more, pairs of groups are drawn
  int threads = 0;                // 0: all
};

class CrossTerms {
 public:
  // As drawn: all reliabilities 1, nothing weighted.
  CrossTerms() = default;
  static CrossTerms shrunk(std::span<const CrossCell> cells, const CrossOptions& options = {});

  // A cell's terms such that products of different cells' are their cross terms. `damage`: the cell's, at least 0.
  std::vector<float> of(GgmlType type, double damage, std::span<const float> terms) const;
  const CrossReliability& reliability() const { return reliability_; }

 private:
  bool as_drawn_ = true;
  std::vector<double> squares_;  // w_k^2
  std::map<GgmlType, double> factors_;
  CrossReliability reliability_;
};

}  // namespace assay
