// The least of own + 1/2 |sum|^2 over all mixtures of some choices, each given by its own and the sum of its terms: the inner problem of
// Frank-Wolfe steps that keep their vertices. Weights by pairwise exchange of the best and the worst. Internal to plan/.
#pragma once

#include <span>
#include <vector>

namespace assay {

class VertexBundle {
 public:
  void add(double own, std::vector<double> sum);
  // Improves the weights; a pure function of what was added.
  void mix();
  std::vector<double> sum() const;  // of the mixture
  double value() const;             // own + 1/2 |sum|^2 of it

 private:
  double slope(size_t vertex) const;

  std::vector<double> own_, weights_;
  std::vector<std::vector<double>> sums_;
  std::vector<std::vector<double>> products_;  // of sums, [vertex][vertex]
};

}  // namespace assay
