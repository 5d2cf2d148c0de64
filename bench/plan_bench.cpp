// Planning: proxy evaluations per second, and each solver on RAMP's problem and on a large one; with interactions (0.5 GB).
// usage: plan_bench [interactions]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "assay/base/random.h"
#include "assay/plan/interaction_search.h"
#include "assay/plan/knapsack_hull.h"
#include "assay/plan/proxy_loss.h"
#include "assay/plan/solve_interactions.h"
#include "assay/plan/solver.h"

namespace {

using namespace assay;
using T = GgmlType;

constexpr T kRamp[] = {T::kIQ2_XXS, T::kIQ2_XS, T::kIQ3_XXS, T::kIQ3_S, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kQ8_0};

template <class F>
double seconds(const F& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// 263 groups as RAMP's model has them: 40 layers, and tensors outside.
ModelStructure hybrid() {
  std::vector<TensorInfo> tensors;
  const auto add = [&](const std::string& name, uint64_t rows) {
    TensorInfo tensor;
    tensor.name = name + ".weight";
    tensor.n_dims = 2;
    tensor.dims = {256, rows, 1, 1};
    tensors.push_back(tensor);
  };
  for (const char* name : {"token_embd", "output_norm", "output"}) add(name, 100'000);
  for (int layer = 0; layer < 40; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    for (const char* role : {"attn_norm", "post_attention_norm", "ffn_gate_inp", "ffn_up_shexp", "ffn_up_exps"})
      add(block + role, 100 + 1'000u * static_cast<unsigned>(layer));
    if (layer % 4 != 3)
      for (const char* role : {"attn_qkv", "ssm_alpha"}) add(block + role, 4'000);
  }
  return *model_structure(tensors, GroupRule::kRamp);
}

SolverProblem made(size_t groups, size_t types, double share) {
  SolverProblem problem;
  CounterRandom random(1, 1);
  uint64_t least = 0, most = 0;
  for (size_t g = 0; g < groups; ++g) {
    const double weight = std::exp(2 * random.next_normal());
    const uint64_t blocks = 16 + random.next_below(60'000);
    KnapsackGroup items;
    for (size_t t = 0; t < types; ++t) {
      const double bits = 1.6 + 7.0 * static_cast<double>(t) / static_cast<double>(types - 1);
      items.push_back({blocks * static_cast<uint64_t>(32 * bits), weight * std::exp2(-2 * bits) * (1 + 0.5 * random.next_uniform())});
    }
    least += items[0].bytes;
    most += items.back().bytes;
    problem.groups.push_back(std::move(items));
    problem.bits.emplace_back(types, 4.5);
    problem.weights.push_back(weight);
  }
  problem.budget = least + static_cast<uint64_t>(share * static_cast<double>(most - least));
  return problem;
}

void proxy() {
  const ModelStructure structure = hybrid();
  const ProxyLoss proxy = *ProxyLoss::make(structure, kRamp, {});
  CounterRandom random(2, 2);
  constexpr size_t kChoices = 64, kRounds = 20'000;
  std::vector<std::vector<uint8_t>> choices(kChoices, std::vector<uint8_t>(proxy.groups()));
  for (auto& choice : choices)
    for (uint8_t& gene : choice) gene = static_cast<uint8_t>(random.next_below(8));
  double sum = 0;
  const double whole = seconds([&] {
    for (size_t i = 0; i < kRounds * kChoices; ++i) sum += proxy.loss(choices[i % kChoices]);
  });
  constexpr size_t kSteps = 50'000'000;
  std::vector<uint8_t>& choice = choices[0];
  const double steps = seconds([&] {
    for (size_t i = 0; i < kSteps; ++i) {
      const size_t g = i % choice.size();
      const auto to = static_cast<uint8_t>((choice[g] + 1) & 7);
      sum += proxy.change(g, choice[g], to);
      choice[g] = to;
    }
  });
  fmt::print("proxy loss, {} groups: {:.2f} M whole evaluations/s, {:.0f} M incremental/s, one core (sum {:.3g})\n", proxy.groups(),
             kRounds * kChoices / whole / 1e6, kSteps / steps / 1e6, sum);
}

void solvers(size_t groups, size_t types) {
  fmt::print("{} groups x {} types:\n", groups, types);
  for (const double share : {0.1, 0.35, 0.7}) {
    const SolverProblem problem = made(groups, types, share);
    const double bound = solve_knapsack(problem.groups, problem.budget)->bound;
    for (const Solver& solver : all_solvers()) {
      SolverAnswer answer;
      const double taken = seconds([&] { answer = *solver.solve(problem); });
      fmt::print("  budget at {:.2f} of the range, {:10}: {:9.2f} ms, {:8.4f} % above the bound, {} evaluations, {} steps\n", share,
                 solver.name, 1e3 * taken, 100 * (answer.damage / bound - 1), answer.evaluations, answer.steps);
    }
  }
  const SolverProblem problem = made(groups, types, 0.5);
  size_t points = 0;
  const double taken = seconds([&] {
    std::vector<KnapsackCandidates> candidates;
    for (const KnapsackGroup& group : problem.groups) candidates.push_back(candidates_of(group));
    points = hull_steps(candidates).size();
  });
  fmt::print("  frontier: {:.2f} ms, {} points\n", 1e3 * taken, points);
}

// Terms that all groups share in part, as if the types' errors were independent.
void interactions(size_t groups, size_t types, size_t terms) {
  const SolverProblem problem = made(groups, types, 0.35);
  InteractionObjective objective(terms);
  std::vector<std::vector<uint64_t>> bytes(groups);
  CounterRandom random(3, 3);
  std::vector<float> common(terms), values(terms);
  for (float& value : common) value = static_cast<float>(random.next_normal());
  for (size_t g = 0; g < groups; ++g) {
    objective.add_group(types);
    for (size_t i = 0; i < types; ++i) {
      const double damage = problem.groups[g][i].damage;
      const double size = std::sqrt(2 * damage / static_cast<double>(terms));
      for (size_t t = 0; t < terms; ++t)
        values[t] = static_cast<float>(size * (0.1 * static_cast<double>(common[t]) + std::sqrt(3.0) * (2 * random.next_uniform() - 1)));
      objective.add_member(i, damage, values);
      bytes[g].push_back(problem.groups[g][i].bytes);
    }
  }
  InteractionSolution solved;
  const double taken = seconds([&] { solved = *solve_interactions(objective, bytes, problem.budget); });
  InteractionOptions no_bound;
  no_bound.bound_steps = 0;
  const double without = seconds([&] { solve_interactions(objective, bytes, problem.budget, no_bound); });
  std::vector<size_t> separable = solve_knapsack(problem.groups, problem.budget)->choice;
  const double search = seconds([&] { search_interactions(objective, bytes, problem.budget, separable, {}); });
  fmt::print(
      "interactions, {} groups x {} types x {} terms: {:.2f} s ({:.2f} s without the steps of the bound, {:.2f} s one local search), {} "
      "evaluations, {} moves; {:.3f} % below the separable optimum, bound {:.2f} % below, interactions {:.2f} % of the damage\n",
      groups, types, terms, taken, without, search, solved.evaluations, solved.moves, 100 * (1 - solved.damage / solved.separable_damage),
      100 * solved.gap(), 100 * (1 - solved.separable / solved.damage));
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string_view(arguments[1]) == "interactions") {
    interactions(263, 8, 4'096);
    interactions(2'000, 24, 2'048);
    return 0;
  }
  proxy();
  solvers(263, 8);
  solvers(2'000, 24);
}
