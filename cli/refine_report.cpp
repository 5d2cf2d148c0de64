#include "cli/refine_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr size_t kShown = 20;

std::string_view name_of(RefineWay way) { return way == RefineWay::kAlone ? "alone" : "beside the plan"; }

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

Json refine_json(const RefineReport& r) {
  Json json = {{"asked", r.asked},
               {"seconds_per_forward", r.seconds_per_forward > 0 ? Json(r.seconds_per_forward) : Json()},
               {"budget", r.budget},
               {"spent", r.spent},
               {"selection_spent", r.selection_spent},
               {"measuring_windows", r.measuring_windows},
               {"selection_windows", r.selection_windows},
               {"threshold", r.threshold},
               {"damage_before", r.damage_before},
               {"damage", r.damage},
               {"regret_before_mean", r.regret_before_mean},
               {"regret_before", r.regret_before},
               {"regret_mean", r.regret_mean},
               {"regret", r.regret},
               {"settled", r.settled},
               {"cells", r.cells},
               {"cells_alone", r.cells_alone},
               {"cells_beside", r.cells_beside},
               {"bias", r.bias},
               {"spread", r.spread},
               {"context", r.context},
               {"context_spread", r.context_spread}};
  json["rounds"] = Json::array();
  for (const RefineRound& round : r.rounds)
    json["rounds"].push_back({{"way", name_of(round.way)},
                              {"cells", round.cells},
                              {"cost", round.cost},
                              {"regret_mean", round.regret_mean},
                              {"regret", round.regret_high},
                              {"moved", round.moved}});
  json["decisions"] = Json::array();
  for (const ChangedDecision& one : r.decisions)
    json["decisions"].push_back({{"row", one.row},
                                 {"from", find_type(one.from)->name},
                                 {"to", find_type(one.to)->name},
                                 {"predicted_from", one.predicted_from},
                                 {"predicted_to", one.predicted_to},
                                 {"known_from", one.known_from},
                                 {"known_to", one.known_to},
                                 {"measured", one.measured}});
  json["candidates"] = Json::array();
  for (const RefineCandidate& one : r.candidates)
    json["candidates"].push_back({{"name", one.name},
                                  {"bytes", one.bytes},
                                  {"kl", one.windows > 0 ? Json(one.kl) : Json()},
                                  {"windows", one.windows},
                                  {"rounds", one.rounds}});
  return json;
}

Json search_json(const SearchReport& r) {
  return {{"solver", r.solver},   {"generations", r.generations}, {"offspring", r.offspring},
          {"recipes", r.recipes}, {"forwards", r.forwards},       {"kl", r.kl}};
}

std::string refine_text(const RefineReport& r) {
  std::string text =
      fmt::format("\nrefined: {:.1f} of {:.1f} forward-equivalents{}, {} rounds on {} windows; {} of {} cells alone, {} beside the plan\n",
                  r.spent, r.budget, r.seconds_per_forward > 0 ? fmt::format(" ({} at {:.2f} s each)", r.asked, r.seconds_per_forward) : "",
                  r.rounds.size(), r.measuring_windows, r.cells_alone, r.cells, r.cells_beside);
  text += fmt::format(
      "what the plan may lose to what is not known (95 % of {} draws): {:.2f} % of its damage before, {:.2f} % after (mean {:.2f} %){}\n",
      RefineOptions{}.draws, 100 * share(r.regret_before, r.damage_before), 100 * share(r.regret, r.damage),
      100 * share(r.regret_mean, r.damage), r.settled ? ": settled" : "");
  text += fmt::format("measured alone: {:.2f} times the prediction, spread {:.2f}; beside the plan: {:.2f} times that, spread {:.2f}\n",
                      r.bias, r.spread, r.context, r.context_spread);
  if (!r.decisions.empty()) {
    Table decisions({"row", "from", "to", "predicted KL", "known KL", "measured"});
    for (size_t i = 0; i < std::min(kShown, r.decisions.size()); ++i) {
      const ChangedDecision& one = r.decisions[i];
      decisions.add({one.row, find_type(one.from)->name, find_type(one.to)->name,
                     fmt::format("{:.2e} -> {:.2e}", one.predicted_from, one.predicted_to),
                     fmt::format("{:.2e} -> {:.2e}", one.known_from, one.known_to), one.measured});
    }
    text += fmt::format("{} decisions changed{}:\n", r.decisions.size(),
                        r.decisions.size() > kShown ? fmt::format(", the {} with most at stake", kShown) : "") +
            decisions.text();
  }
  if (r.candidates.size() > 1) {
    Table candidates({"recipe", "bytes", "mean KL", "windows", "rounds survived"});
    for (const RefineCandidate& one : r.candidates)
      candidates.add(
          {one.name, group_digits(one.bytes), fmt::format("{:.6f}", one.kl), std::to_string(one.windows), std::to_string(one.rounds)});
    text += fmt::format("final recipes on {} windows that nothing was measured on ({:.1f} forward-equivalents):\n", r.selection_windows,
                        r.selection_spent) +
            candidates.text();
  }
  return text;
}

std::string search_text(const SearchReport& r) {
  std::string text = fmt::format("\n{}: {} generations of {}, {} recipes measured, {:.1f} forward-equivalents", r.solver, r.generations,
                                 r.offspring, r.recipes, r.forwards);
  if (!r.kl.empty()) text += fmt::format("; mean KL of the fittest {:.6f} at first, {:.6f} at last", r.kl.front(), r.kl.back());
  return text + "\n";
}

}  // namespace assay::cli
