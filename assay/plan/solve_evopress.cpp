#include "assay/plan/solve_evopress.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr uint64_t kStartStream = 0x65766f73, kChildStream = 0x65766f63;

// Bytes that the row's next type takes more.
uint64_t step_up(const EvoPressProblem& problem, const EvoPressRecipe& recipe, size_t row) {
  return problem.bytes[row][recipe[row] + 1] - problem.bytes[row][recipe[row]];
}
uint64_t step_down(const EvoPressProblem& problem, const EvoPressRecipe& recipe, size_t row) {
  return problem.bytes[row][recipe[row]] - problem.bytes[row][recipe[row] - 1];
}

void fill_up(const EvoPressProblem& problem, CounterRandom& random, EvoPressRecipe& recipe) {
  uint64_t left = problem.budget - bytes_of(problem, recipe);
  while (true) {
    std::vector<size_t> rows;
    for (size_t r = 0; r < recipe.size(); ++r)
      if (recipe[r] + 1 < problem.bytes[r].size() && step_up(problem, recipe, r) <= left) rows.push_back(r);
    if (rows.empty()) return;
    const size_t row = rows[random.next_below(rows.size())];
    left -= step_up(problem, recipe, row);
    ++recipe[row];
  }
}

}  // namespace

uint64_t bytes_of(const EvoPressProblem& problem, const EvoPressRecipe& recipe) {
  uint64_t bytes = 0;
  for (size_t r = 0; r < recipe.size(); ++r) bytes += problem.bytes[r][recipe[r]];
  return bytes;
}

Result<EvoPressRecipe> evopress_start(const EvoPressProblem& problem, uint64_t seed) {
  EvoPressRecipe best(problem.bytes.size(), 0);
  if (bytes_of(problem, best) > problem.budget)
    return fail(ErrorCode::kUsage, {"evopress: the smallest types", "take " + group_digits(bytes_of(problem, best)) + " bytes",
                                    "the budget leaves " + group_digits(problem.budget), ""});
  std::set<double> sizes;
  for (const auto& row : problem.bits) sizes.insert(row.begin(), row.end());
  for (const double bits : sizes) {
    EvoPressRecipe recipe(problem.bytes.size(), 0);
    for (size_t r = 0; r < recipe.size(); ++r)
      for (size_t i = 0; i < problem.bits[r].size(); ++i)
        if (problem.bits[r][i] <= bits) recipe[r] = i;
    if (bytes_of(problem, recipe) > problem.budget) break;
    best = std::move(recipe);
  }
  CounterRandom random(seed, kStartStream);
  fill_up(problem, random, best);
  return best;
}

bool swap_types(const EvoPressProblem& problem, CounterRandom& random, EvoPressRecipe& recipe) {
  const uint64_t left = problem.budget - bytes_of(problem, recipe);
  std::vector<size_t> up;
  for (size_t r = 0; r < recipe.size(); ++r)
    if (recipe[r] + 1 < problem.bytes[r].size()) up.push_back(r);
  while (!up.empty()) {
    const size_t place = random.next_below(up.size()), raised = up[place];
    const uint64_t more = step_up(problem, recipe, raised);
    std::vector<size_t> equal, enough;
    for (size_t r = 0; r < recipe.size(); ++r) {
      if (r == raised || recipe[r] == 0) continue;
      const uint64_t freed = step_down(problem, recipe, r);
      if (freed == more) equal.push_back(r);
      if (freed + left >= more) enough.push_back(r);
    }
    const std::vector<size_t>& down = equal.empty() ? enough : equal;
    if (!down.empty()) {
      --recipe[down[random.next_below(down.size())]];
      ++recipe[raised];
      return true;
    }
    up.erase(up.begin() + static_cast<ptrdiff_t>(place));
  }
  return false;
}

Result<EvoPressAnswer> solve_evopress(const EvoPressProblem& problem, const EvoPressOptions& options, const EvoPressFitness& fitness) {
  if (options.offspring == 0 || options.tokens.empty() || options.survivors.size() != options.tokens.size() ||
      std::find(options.survivors.begin(), options.survivors.end(), 0) != options.survivors.end() || options.survivors.back() != 1)
    return fail(ErrorCode::kUsage, "evopress: every round needs its tokens and survivors, and one survives the last");
  EvoPressAnswer answer;
  ASSAY_ASSIGN(answer.recipe, evopress_start(problem, options.seed));
  for (uint64_t generation = 0; generation < options.generations; ++generation) {
    std::vector<EvoPressRecipe> children;
    for (uint64_t child = 0; child < options.offspring; ++child) {
      CounterRandom random(options.seed, kChildStream + generation, child);
      EvoPressRecipe recipe = answer.recipe;
      const uint64_t swaps = 1 + std::min(random.next_below(3), random.next_below(3));
      for (uint64_t i = 0; i < swaps; ++i)
        if (!swap_types(problem, random, recipe)) break;
      if (recipe != answer.recipe && std::find(children.begin(), children.end(), recipe) == children.end())
        children.push_back(std::move(recipe));
    }
    if (children.empty()) break;  // nothing can be moved
    for (size_t round = 0; round < options.tokens.size(); ++round) {
      if (round + 1 == options.tokens.size()) children.insert(children.begin(), answer.recipe);
      ASSAY_ASSIGN(const std::vector<double> values, fitness(children, options.tokens[round], generation));
      if (values.size() != children.size()) return fail(ErrorCode::kInternal, "evopress: a round came back with another number of values");
      answer.evaluations += children.size();
      std::vector<size_t> order(children.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
      order.resize(std::min<size_t>(order.size(), options.survivors[round]));
      std::vector<EvoPressRecipe> fittest;
      for (const size_t one : order) fittest.push_back(children[one]);
      children = std::move(fittest);
      if (round + 1 == options.tokens.size()) answer.fitness.push_back(values[order[0]]);
    }
    answer.recipe = children[0];
  }
  return answer;
}

}  // namespace assay
