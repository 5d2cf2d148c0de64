#include "assay/job/search_plan.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "assay/base/random.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

constexpr uint64_t kWindowStream = 0x65766f77;

class RecipeSearch {
 public:
  RecipeSearch(const SearchInputs& inputs, const EvoPressOptions& options, Progress& progress)
      : in_(inputs), options_(options), progress_(progress) {
    problem_.budget = inputs.rows.budget;
    for (const AllocationRow& row : inputs.rows.rows) {
      std::vector<size_t> order(row.types.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row.items[a].bytes < row.items[b].bytes; });
      const auto equal = [&](size_t a, size_t b) { return row.items[a].bytes == row.items[b].bytes; };
      order.erase(std::unique(order.begin(), order.end(), equal), order.end());
      problem_.bytes.emplace_back();
      problem_.bits.emplace_back();
      types_.emplace_back();
      for (const size_t i : order) {
        problem_.bytes.back().push_back(row.items[i].bytes);
        problem_.bits.back().push_back(bits_per_weight(row.types[i]));
        types_.back().push_back(row.types[i]);
      }
    }
  }

  Result<FoundRecipe> run() {
    ASSAY_ASSIGN(const EvoPressAnswer answer,
                 solve_evopress(problem_, options_, [this](std::span<const EvoPressRecipe> recipes, uint64_t tokens, uint64_t generation) {
                   return fitness(recipes, tokens, generation);
                 }));
    FoundRecipe found{recipe_of(answer.recipe), {}};
    found.report.solver = "evopress";
    found.report.generations = answer.fitness.size();
    found.report.offspring = options_.offspring;
    found.report.recipes = answer.evaluations;
    found.report.forwards = window_runs_ / static_cast<double>(in_.windows.size());
    found.report.kl = answer.fitness;
    return found;
  }

 private:
  Recipe recipe_of(const EvoPressRecipe& choice) const {
    Recipe recipe = in_.rest;
    for (size_t r = 0; r < choice.size(); ++r)
      for (const std::string& tensor : in_.rows.rows[r].tensors) recipe.types[tensor] = types_[r][choice[r]];
    return recipe;
  }

  // The windows of a generation, in the order its rounds take them.
  std::vector<size_t> windows_of(uint64_t generation) const {
    std::vector<size_t> order(in_.windows.size());
    std::iota(order.begin(), order.end(), size_t{0});
    CounterRandom random(options_.seed, kWindowStream, generation);
    draw_to_front(random, order.size(), order);
    return order;
  }

  Result<std::vector<double>> fitness(std::span<const EvoPressRecipe> recipes, uint64_t tokens, uint64_t generation) {
    const uint64_t each = in_.windows[0].tokens.size();
    const auto windows = static_cast<size_t>(std::clamp<uint64_t>((tokens + each - 1) / each, 1, in_.windows.size()));
    std::vector<size_t> order = windows_of(generation);
    order.resize(windows);
    std::vector<WindowTotals> totals(recipes.size());
    for (const size_t w : order) {
      std::vector<NamedVariant> missing;
      std::vector<const EvoPressRecipe*> owners;
      for (const EvoPressRecipe& recipe : recipes) {
        if (seen_[recipe].contains(w)) continue;
        missing.push_back(in_.variants.variant(recipe_of(recipe)));
        owners.push_back(&recipe);
      }
      if (!missing.empty()) {
        ASSAY_ASSIGN(const ObservedVariants observed,
                     measure_variants(in_.model, in_.windows.subspan(w, 1), missing, in_.store, in_.measure, progress_));
        for (size_t i = 0; i < owners.size(); ++i) seen_[*owners[i]][w] = observed[i][0];
        window_runs_ += 1;
        for (const NamedVariant& one : missing) window_runs_ += forward_equivalents(*in_.model.network, in_.windows[w], one.variant);
      }
      for (size_t i = 0; i < recipes.size(); ++i) totals[i].add(seen_[recipes[i]].at(w));
    }
    std::vector<double> means;
    for (const WindowTotals& one : totals) means.push_back(one.value().kl / static_cast<double>(one.value().count));
    // Most recipes are never asked for again: only those of a last round are kept.
    if (tokens == options_.tokens.back())
      std::erase_if(seen_, [&](const auto& one) { return std::find(recipes.begin(), recipes.end(), one.first) == recipes.end(); });
    return means;
  }

  const SearchInputs& in_;
  const EvoPressOptions& options_;
  Progress& progress_;
  EvoPressProblem problem_;
  std::vector<std::vector<GgmlType>> types_;                     // of the problem's levels
  std::map<EvoPressRecipe, std::map<size_t, WindowSums>> seen_;  // by window
  double window_runs_ = 0;                                       // forwards of one window
};

}  // namespace

Result<FoundRecipe> search_plan(const SearchInputs& inputs, const EvoPressOptions& options, Progress& progress) {
  if (inputs.rows.rows.empty()) return FoundRecipe{inputs.rest, {}};
  return RecipeSearch(inputs, options, progress).run();
}

}  // namespace assay
