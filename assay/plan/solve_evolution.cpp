// RAMP's evolutionary search (methods.md 5.5) as its program runs: 128 recipes, 200 generations, 16 elites that stay; a child is a cross of
// two elites (0.3; each gene from either with 0.5) or a copy of one with every type drawn anew at 0.15. What is too large is repaired by
// lowering, one step at a time, the group of largest (1 - W / max W) + place / types: that looks at no bytes. The best recipe is polished
// by single steps. 22,416 recipes are evaluated; the source evaluates its elites again and counts 25,600. The mutation rate that its source
// computes to adapt is never used there, nor here. A baseline, and as good as it is.
#include <algorithm>
#include <numeric>
#include <queue>

#include "assay/base/random.h"
#include "assay/plan/solver.h"

namespace assay {
namespace {

constexpr size_t kPopulation = 128, kElites = 16, kGenerations = 200;
constexpr double kMutation = 0.15, kCross = 0.3;

struct Individual {
  std::vector<uint16_t> genes;
  double damage = 0;
};

class Evolution {
 public:
  explicit Evolution(const SolverProblem& problem) : problem_(problem), weights_(problem.weights) {
    if (weights_.empty())
      for (const KnapsackGroup& group : problem.groups) weights_.push_back(group[0].damage);
    const double most = *std::max_element(weights_.begin(), weights_.end());
    for (double& weight : weights_) weight = most > 0 ? weight / most : 0;
  }

  SolverAnswer run() {
    std::vector<Individual> population(kPopulation);
    for (size_t i = 0; i < kPopulation; ++i) {
      CounterRandom random(problem_.seed, 0, i);
      for (const KnapsackGroup& group : problem_.groups)
        population[i].genes.push_back(static_cast<uint16_t>(random.next_below(group.size())));
      finish(population[i]);
    }
    for (size_t generation = 1; generation <= kGenerations; ++generation) {
      select(population);
      if (generation == kGenerations) break;
      for (size_t i = kElites; i < kPopulation; ++i) {
        CounterRandom random(problem_.seed, generation, i);
        breed(population, random, population[i]);
        finish(population[i]);
      }
    }
    std::vector<size_t> best(population[0].genes.begin(), population[0].genes.end());
    const uint64_t steps = climb(problem_, best);
    SolverAnswer answer = answer_of(problem_, std::move(best));
    answer.steps = steps;
    answer.evaluations = evaluations_;
    return answer;
  }

 private:
  static void select(std::vector<Individual>& population) {
    std::stable_sort(population.begin(), population.end(), [](const Individual& a, const Individual& b) { return a.damage < b.damage; });
  }

  void breed(const std::vector<Individual>& elites, CounterRandom& random, Individual& child) const {
    const size_t first = random.next_below(kElites);
    if (random.next_uniform() < kCross) {
      const size_t other = (first + 1 + random.next_below(kElites - 1)) % kElites;
      child.genes = elites[first].genes;
      for (size_t g = 0; g < child.genes.size(); ++g)
        if (random.next_uniform() < 0.5) child.genes[g] = elites[other].genes[g];
      return;
    }
    child.genes = elites[first].genes;
    for (size_t g = 0; g < child.genes.size(); ++g)
      if (random.next_uniform() < kMutation) child.genes[g] = static_cast<uint16_t>(random.next_below(problem_.groups[g].size()));
  }

  // Repairs and evaluates.
  void finish(Individual& one) {
    uint64_t bytes = 0;
    for (size_t g = 0; g < one.genes.size(); ++g) bytes += problem_.groups[g][one.genes[g]].bytes;
    if (bytes > problem_.budget) repair(one, bytes);
    one.damage = 0;
    for (size_t g = 0; g < one.genes.size(); ++g) one.damage += problem_.groups[g][one.genes[g]].damage;
    ++evaluations_;
  }

  void repair(Individual& one, uint64_t bytes) {
    const auto priority = [&](size_t g) {
      return 1 - weights_[g] + static_cast<double>(one.genes[g]) / static_cast<double>(problem_.groups[g].size());
    };
    queue_.clear();
    for (size_t g = 0; g < one.genes.size(); ++g)
      if (one.genes[g] > 0) queue_.emplace_back(priority(g), g);
    std::make_heap(queue_.begin(), queue_.end(), less);
    while (bytes > problem_.budget && !queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), less);
      const size_t g = queue_.back().second;
      queue_.pop_back();
      bytes -= problem_.groups[g][one.genes[g]].bytes;
      --one.genes[g];
      bytes += problem_.groups[g][one.genes[g]].bytes;
      if (one.genes[g] == 0) continue;
      queue_.emplace_back(priority(g), g);
      std::push_heap(queue_.begin(), queue_.end(), less);
    }
  }
  // Largest priority first; of equals the first group.
  static bool less(const std::pair<double, size_t>& a, const std::pair<double, size_t>& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  }

  const SolverProblem& problem_;
  std::vector<double> weights_;  // as a share of the largest
  std::vector<std::pair<double, size_t>> queue_;
  uint64_t evaluations_ = 0;
};

}  // namespace

Result<SolverAnswer> solve_evolution(const SolverProblem& problem) {
  ASSAY_ASSIGN(const std::vector<size_t> smallest, smallest_choice(problem));
  if (smallest.empty()) return answer_of(problem, smallest);
  return Evolution(problem).run();
}

}  // namespace assay
