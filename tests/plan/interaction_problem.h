// Made problems with interactions, for the tests of plan/: terms that fall with the bits of a type, partly common to all groups.
#pragma once

#include <cmath>
#include <vector>

#include "assay/base/random.h"
#include "assay/plan/interaction_objective.h"

namespace assay::interaction_problem {

struct Problem {
  InteractionObjective objective{0};
  std::vector<std::vector<std::vector<float>>> terms;  // [group][item][term]
  std::vector<std::vector<double>> alone;
  std::vector<std::vector<uint64_t>> bytes;  // ascending in items
  uint64_t budget = 0;
};

struct Shape {
  size_t groups = 5, items = 4, terms = 24;
  double common = 0.5;  // of each term, along one direction that all groups share; negative: half of the groups against the others
  double share = 0.4;   // of the range from the smallest bytes to the largest
};

inline Problem make(const Shape& shape, uint64_t seed) {
  Problem made;
  made.objective = InteractionObjective(shape.terms);
  CounterRandom random(seed, 7);
  std::vector<double> direction(shape.terms);
  for (double& value : direction) value = random.next_normal();
  uint64_t least = 0, most = 0;
  for (size_t g = 0; g < shape.groups; ++g) {
    made.terms.emplace_back();
    made.alone.emplace_back();
    made.bytes.emplace_back();
    made.objective.add_group(shape.items);
    const double weight = std::exp(0.5 * random.next_normal());
    const uint64_t blocks = 20 + random.next_below(100);
    const double sign = shape.common < 0 && g % 2 == 1 ? -1 : 1;
    for (size_t i = 0; i < shape.items; ++i) {
      const double size = weight * std::exp2(-static_cast<double>(i));
      std::vector<float> terms;
      double square = 0;
      for (size_t t = 0; t < shape.terms; ++t) {
        terms.push_back(static_cast<float>(size * (sign * std::fabs(shape.common) * direction[t] + random.next_normal())));
        square += static_cast<double>(terms[t]) * static_cast<double>(terms[t]);
      }
      const double alone = 0.5 * square * (0.9 + 0.2 * random.next_uniform());
      made.objective.add_member(i, alone, terms);
      made.terms.back().push_back(std::move(terms));
      made.alone.back().push_back(alone);
      made.bytes.back().push_back(blocks * (2 + i));
    }
    least += made.bytes.back().front();
    most += made.bytes.back().back();
  }
  made.budget = least + static_cast<uint64_t>(shape.share * static_cast<double>(most - least));
  return made;
}

inline uint64_t bytes_of(const Problem& problem, const std::vector<size_t>& choice) {
  uint64_t bytes = 0;
  for (size_t g = 0; g < choice.size(); ++g) bytes += problem.bytes[g][choice[g]];
  return bytes;
}

// By the definition: damages alone, and the products of every two groups' terms.
inline double by_definition(const Problem& problem, const std::vector<size_t>& choice) {
  double damage = 0;
  for (size_t g = 0; g < choice.size(); ++g) {
    damage += problem.alone[g][choice[g]];
    for (size_t h = 0; h < g; ++h)
      for (size_t t = 0; t < problem.terms[g][choice[g]].size(); ++t)
        damage += static_cast<double>(problem.terms[g][choice[g]][t]) * static_cast<double>(problem.terms[h][choice[h]][t]);
  }
  return damage;
}

// Calls `visit` with every choice within the budget.
template <class F>
void each_choice(const Problem& problem, const F& visit) {
  std::vector<size_t> choice(problem.bytes.size(), 0);
  for (;;) {
    if (bytes_of(problem, choice) <= problem.budget) visit(choice);
    size_t g = 0;
    while (g < choice.size() && ++choice[g] == problem.bytes[g].size()) choice[g++] = 0;
    if (g == choice.size()) return;
  }
}

}  // namespace assay::interaction_problem
