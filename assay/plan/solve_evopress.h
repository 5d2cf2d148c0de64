// EvoPress's search for types (Sieber, Alistarh and others 2024; methods.md 5.7): recipes mutate, the fittest by measured KL stays. A child
// is its parent with min(U{1..3}, U{1..3}) swaps: one row one type up, another one type down. 128 children a generation, judged in three
// rounds with growing numbers of tokens: 16, then 4, then 1 survive, the parent competes in the last. Seeded and deterministic, torch-free:
// whoever runs models hands in what measures. A baseline that starts where its source does, from one type for all rows, not from our plan.
// Departures, where rows differ in size: a swap never leaves the budget, and where one row frees exactly what the other takes it is such a
// row that goes down; the start is filled up by upgrades drawn at random, as far as the budget lets.
// Non-goals: predicted damages (solver.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "assay/base/random.h"
#include "assay/base/result.h"

namespace assay {

struct EvoPressProblem {
  std::vector<std::vector<uint64_t>> bytes;  // of a row's types, ascending, each size once
  std::vector<std::vector<double>> bits;     // per weight, of the same types
  uint64_t budget = 0;                       // bytes of all rows
};
using EvoPressRecipe = std::vector<size_t>;  // type of each row

struct EvoPressOptions {
  uint64_t generations = 20;  // the source runs 150
  uint64_t offspring = 128;
  std::vector<uint64_t> survivors = {16, 4, 1};  // after each round
  std::vector<uint64_t> tokens = {2048, 16384, 131072};
  uint64_t seed = 0;
};

// Mean KL of these recipes on about so many calibration tokens; those of one generation and round are the same for all its recipes.
using EvoPressFitness =
    std::function<Result<std::vector<double>>(std::span<const EvoPressRecipe> recipes, uint64_t tokens, uint64_t generation)>;

struct EvoPressAnswer {
  EvoPressRecipe recipe;
  std::vector<double> fitness;  // of the fittest, by generation; the windows of generations differ
  uint64_t evaluations = 0;     // of recipes, in any round
};

uint64_t bytes_of(const EvoPressProblem& problem, const EvoPressRecipe& recipe);

// One type for all rows, the largest that fits, filled up. kUsage: even the smallest types do not fit.
Result<EvoPressRecipe> evopress_start(const EvoPressProblem& problem, uint64_t seed);

// One swap; false: there is none.
bool swap_types(const EvoPressProblem& problem, CounterRandom& random, EvoPressRecipe& recipe);

Result<EvoPressAnswer> solve_evopress(const EvoPressProblem& problem, const EvoPressOptions& options, const EvoPressFitness& fitness);

}  // namespace assay
