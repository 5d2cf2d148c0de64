// The stock preset of least damage that fits: what somebody with a table and llama.cpp alone would choose. Ties: the first.
#include <algorithm>

#include "assay/base/text.h"
#include "assay/plan/solver.h"

namespace assay {

Result<SolverAnswer> solve_presets(const SolverProblem& problem) {
  if (const auto least = smallest_choice(problem); !least) return fail(least.error());
  SolverAnswer best;
  uint64_t smallest = UINT64_MAX, evaluations = 0;
  for (const NamedChoice& preset : problem.presets) {
    if (std::find(preset.choice.begin(), preset.choice.end(), kNoItem) != preset.choice.end()) continue;
    SolverAnswer answer = answer_of(problem, preset.choice);
    ++evaluations;
    smallest = std::min(smallest, answer.bytes);
    if (answer.bytes > problem.budget || (!best.preset.empty() && answer.damage >= best.damage)) continue;
    best = std::move(answer);
    best.preset = preset.name;
  }
  if (evaluations == 0)
    return fail(ErrorCode::kUsage, {"--solver presets", "finds no preset whose types are all allowed and in the table",
                                    "a model, and a table of the presets' types", "another --types when the table was made"});
  if (best.preset.empty())
    return fail(ErrorCode::kUsage, {"--solver presets", "finds no preset that fits",
                                    "the smallest takes " + group_digits(smallest) + " bytes of " + group_digits(problem.budget), ""});
  best.evaluations = evaluations;
  return best;
}

}  // namespace assay
