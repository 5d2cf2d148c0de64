// How well objectives made from published tables predict what they have not seen, and what plans made from them lose. Prints the tables of
// docs/studies/allocation.md. usage: published_bench FOLDER, a folder per model with kld_results.csv, group0/kld_results.csv and
// tensors.bf16.map. Intervals: 95 %, bootstrap over blocks, 2,000 draws of seed 1. Judged by the published numbers, which have no error
// bars.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>

#include "assay/base/random.h"
#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/published_plan.h"
#include "assay/score/agreement.h"
#include "assay/score/median.h"

namespace {

using namespace assay;

constexpr size_t kDraws = 2000;
constexpr uint64_t kSeed = 1;
constexpr int kFolds = 5;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

struct Model {
  std::string name;
  PublishedTable table, whole;
  std::vector<MappedTensor> map;
  std::vector<TensorInfo> tensors;
};

Model load(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name + "/";
  Model model{name,
              must(read_published_table(*must(open_file(path + "kld_results.csv")))),
              must(read_published_table(*must(open_file(path + "group0/kld_results.csv")))),
              must(read_tensor_map(*must(open_file(path + "tensors.bf16.map")))),
              {}};
  for (const MappedTensor& tensor : model.map) model.tensors.push_back(must(tensor_info(tensor)));
  return model;
}

PublishedTable only_types(PublishedTable table, const std::function<bool(const std::string&)>& kept) {
  std::erase_if(table.rows, [&](const PublishedRow& row) { return !kept(row.type); });
  return table;
}

PublishedTable without_blocks(PublishedTable table, const std::function<bool(int)>& hidden) {
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const int layer = named_tensor(table.columns[c], 0).layer;
    if (layer >= 0 && hidden(layer))
      for (PublishedRow& row : table.rows) row.values[c] = NAN;
  }
  return table;
}

// As objectives name it.
std::string type_name(const std::string& type) { return find_type_size(type)->name; }

struct Method {
  std::string name;
  PublishedModel model;
  UnmeasuredRule rule;
};
const std::vector<Method> kMethods = {{"rank-1, median of the role", PublishedModel::kRank1, UnmeasuredRule::kRoleMedian},
                                      {"rank-1, line over depth", PublishedModel::kRank1, UnmeasuredRule::kDepthLine},
                                      {"ours", PublishedModel::kRoles, UnmeasuredRule::kSmooth}};

struct Guess {
  double value = 0;      // as the table would have it, offset included
  double log_error = 0;  // standard error of its logarithm
};
using Guesses = std::map<std::pair<std::string, std::string>, Guess>;  // first tensor, type

Guesses guesses_of(const Model& model, const PublishedTable& table, const Method& method, const std::vector<std::string>& types) {
  const PublishedObjective objective = must(published_objective(table, model.whole, model.map, {method.model, method.rule, types}));
  Guesses guesses;
  for (const ObjectiveRow& row : objective.rows)
    for (const ObjectiveCell& cell : row.cells)
      for (const std::string& tensor : row.tensors)
        guesses[{tensor, cell.type}] = {cell.damage + objective.offset, cell.standard_error / cell.damage};
  return guesses;
}

// Predictions beside what was measured.
struct Pairs {
  std::vector<int> layers;
  std::vector<double> guess, truth, log_error;
  void add(int layer, const Guess& one, double value) {
    layers.push_back(layer);
    guess.push_back(one.value);
    truth.push_back(value);
    log_error.push_back(one.log_error);
  }
};

double error_of(const Pairs& pairs, size_t i) { return std::abs(std::log10(pairs.guess[i] / pairs.truth[i])); }

// Places of a bootstrap draw: blocks with replacement; what is outside the blocks counts as a block each.
class Bootstrap {
 public:
  explicit Bootstrap(const std::vector<int>& layers) {
    std::map<int, std::vector<size_t>> blocks;
    for (size_t i = 0; i < layers.size(); ++i) blocks[layers[i] >= 0 ? layers[i] : -1 - static_cast<int>(i)].push_back(i);
    for (auto& [layer, members] : blocks) blocks_.push_back(std::move(members));
  }
  std::vector<size_t> draw(uint64_t number) const {
    CounterRandom random(kSeed, number);
    std::vector<size_t> places;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      const auto& block = blocks_[random.next_below(blocks_.size())];
      places.insert(places.end(), block.begin(), block.end());
    }
    return places;
  }
  std::vector<size_t> all() const {
    std::vector<size_t> places;
    for (const auto& block : blocks_) places.insert(places.end(), block.begin(), block.end());
    return places;
  }

 private:
  std::vector<std::vector<size_t>> blocks_;
};

struct Estimate {
  double value = 0, low = 0, high = 0;
};

Estimate estimate(const Bootstrap& bootstrap, const std::function<double(const std::vector<size_t>&)>& statistic) {
  Estimate result;
  result.value = statistic(bootstrap.all());
  std::vector<double> draws;
  for (size_t i = 0; i < kDraws; ++i) draws.push_back(statistic(bootstrap.draw(i)));
  std::sort(draws.begin(), draws.end());
  result.low = draws[kDraws / 40];
  result.high = draws[kDraws - 1 - kDraws / 40];
  return result;
}

std::string text(const Estimate& one, int digits) {
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", one.value, digits, one.low, digits, one.high, digits);
}

double median_error(const Pairs& pairs, const std::vector<size_t>& places) {
  std::vector<double> errors;
  for (const size_t i : places) errors.push_back(error_of(pairs, i));
  return median(std::move(errors));
}

double rank_agreement(const Pairs& pairs, const std::vector<size_t>& places) {
  std::vector<double> guess, truth;
  for (const size_t i : places) {
    guess.push_back(pairs.guess[i]);
    truth.push_back(pairs.truth[i]);
  }
  return spearman(guess, truth).value_or(0);
}

// Share of the truths within 1.96 standard errors; none where they are unknown.
std::string coverage(const Pairs& pairs) {
  if (std::all_of(pairs.log_error.begin(), pairs.log_error.end(), [](double error) { return error == 0; })) return "";
  size_t inside = 0;
  for (size_t i = 0; i < pairs.truth.size(); ++i)
    inside += std::abs(std::log(pairs.guess[i] / pairs.truth[i])) <= 1.96 * pairs.log_error[i];
  return fmt::format("{:.0f} %", 100 * static_cast<double>(inside) / static_cast<double>(pairs.truth.size()));
}

void print_pairs(const std::vector<std::string>& names, const std::vector<Pairs>& all) {
  const Bootstrap bootstrap(all[0].layers);
  for (size_t m = 0; m < all.size(); ++m) {
    const Estimate error = estimate(bootstrap, [&](const auto& places) { return median_error(all[m], places); });
    const Estimate rank = estimate(bootstrap, [&](const auto& places) { return rank_agreement(all[m], places); });
    std::string against = "";
    if (m + 1 < all.size()) {
      against =
          text(estimate(bootstrap, [&](const auto& places) { return median_error(all.back(), places) - median_error(all[m], places); }), 4);
    }
    fmt::print("| {} | {} | {} | {} | {} |\n", names[m], text(error, 4), text(rank, 3), coverage(all[m]), against);
  }
}

// (i) Tensors of blocks left out.
void held_out_tensors(const Model& model, const std::vector<std::string>& used, const std::string& judged) {
  const PublishedTable table =
      only_types(model.table, [&](const std::string& type) { return std::find(used.begin(), used.end(), type) != used.end(); });
  const PublishedTruth truth = must(published_truth(table, model.map));
  for (const bool contiguous : {false, true}) {
    std::vector<Pairs> all(kMethods.size());
    const int layers = truth.model.layers();
    for (int fold = 0; fold < kFolds; ++fold) {
      const auto hidden = [&](int layer) { return (contiguous ? layer * kFolds / layers : layer % kFolds) == fold; };
      const PublishedTable kept = without_blocks(table, hidden);
      for (size_t m = 0; m < kMethods.size(); ++m) {
        const Guesses guesses = guesses_of(model, kept, kMethods[m], {judged});
        for (const PublishedMeasurement& one : truth.measurements)
          if (one.type == judged && one.tensors[0].layer >= 0 && hidden(one.tensors[0].layer))
            all[m].add(one.tensors[0].layer, guesses.at({one.tensors[0].name, judged}), one.value);
      }
    }
    fmt::print("\n{}, {} measured at {}{}; {} of {} blocks left out at a time\n\n", model.name, group_digits(all[0].truth.size()), judged,
               used.size() > 1 ? " (and others)" : "", contiguous ? "a contiguous fifth" : "every fifth", layers);
    fmt::print("| | median abs. log10 error | Spearman | in 1.96 s.e. | ours less this |\n|---|---|---|---|---|\n");
    std::vector<std::string> names;
    for (const Method& method : kMethods) names.push_back(method.name);
    print_pairs(names, all);
  }
}

// (ii) Types left out, with their variants.
void held_out_types(const Model& model, const std::vector<std::vector<std::string>>& families) {
  const PublishedTruth truth = must(published_truth(model.table, model.map));
  std::map<std::string, double> whole;
  for (const PublishedRow& row : model.whole.rows) whole[lower_ascii(row.type)] = row.values[0];
  for (const auto& family : families) {
    const auto others = [&](const std::string& type) { return std::find(family.begin(), family.end(), type) == family.end(); };
    const PublishedTable kept = only_types(model.table, others);
    std::string nearest;
    for (const PublishedRow& row : kept.rows)
      if (nearest.empty() || std::abs(std::log(whole[row.type] / whole[family[0]])) < std::abs(std::log(whole[nearest] / whole[family[0]])))
        nearest = row.type;
    const PublishedTable one_row = only_types(kept, [&](const std::string& type) { return type == nearest; });
    const PublishedTable usual = only_types(kept, [&](const std::string& type) { return type == "iq1_kt"; });
    std::vector<std::string> names = {"rank-1, all other types", "rank-1, the nearest type (" + nearest + ")"};
    std::vector<const PublishedTable*> tables = {&kept, &one_row};
    if (!usual.rows.empty()) {
      names.push_back("rank-1, iq1_kt alone");
      tables.push_back(&usual);
    }
    names.push_back("ours, all other types");
    tables.push_back(&kept);
    std::vector<Pairs> all(names.size());
    for (size_t m = 0; m < names.size(); ++m) {
      std::vector<std::string> types;
      for (const std::string& type : family) types.push_back(type_name(type));
      const Guesses guesses = guesses_of(model, *tables[m], m + 1 == names.size() ? kMethods[2] : kMethods[1], types);
      for (const PublishedMeasurement& one : truth.measurements)
        if (!others(one.type)) all[m].add(one.tensors[0].layer, guesses.at({one.tensors[0].name, type_name(one.type)}), one.value);
    }
    fmt::print("\n{}, {} left out, whole model {} nats\n\n", model.name, join(family, " and "), whole[family[0]]);
    fmt::print("| | median abs. log10 error | Spearman | in 1.96 s.e. | ours less this |\n|---|---|---|---|---|\n");
    print_pairs(names, all);
  }
}

// Plans by the full table.
struct Judge {
  const Model& model;
  PublishedObjective objective;
  std::vector<int> layers;

  std::vector<double> rows(const PublishedPlan& plan) const { return must(row_damages(objective, plan.document)); }
  // How much more the first loses than the second, in % of the best. What is outside the blocks is in every draw.
  Estimate excess(const std::vector<double>& rows, const std::vector<double>& other, const std::vector<double>& best) const {
    std::vector<int> places;
    std::vector<size_t> inside, outside;
    for (size_t i = 0; i < layers.size(); ++i) (layers[i] >= 0 ? inside : outside).push_back(i);
    for (const size_t i : inside) places.push_back(layers[i]);
    return estimate(Bootstrap(places), [&](const std::vector<size_t>& drawn) {
      double more = 0, least = 0;
      const auto add = [&](size_t row) {
        more += rows[row] - other[row];
        least += best[row];
      };
      for (const size_t i : outside) add(i);
      for (const size_t i : drawn) add(inside[i]);
      return 100 * more / least;
    });
  }
};

void planning(const Model& model, const std::vector<double>& budgets) {
  uint64_t elements = 0;
  for (const TensorInfo& tensor : model.tensors) elements += tensor.elements();
  const auto bytes = [&](double bpw) { return static_cast<uint64_t>(bpw * static_cast<double>(elements) / 8); };
  const Method ours = kMethods[2];
  Judge judge{model, must(published_objective(model.table, model.whole, model.map, {ours.model, ours.rule, {}})), {}};
  for (const ObjectiveRow& row : judge.objective.rows) judge.layers.push_back(row.layer);
  const auto type = [](const std::string& name) { return [name](const std::string& one) { return one == name; }; };
  const auto odd = [](int layer) { return layer % 2 == 1; };
  const auto most = [](int layer) { return layer % 4 != 0; };
  const std::vector<std::pair<std::string, PublishedTable>> parts = {
      {"all seven types", model.table},
      {"iq1_kt alone", only_types(model.table, type("iq1_kt"))},
      {"q2_k_r4 alone", only_types(model.table, type("q2_k_r4"))},
      {"iq1_kt and q2_k_r4", only_types(model.table, [](const std::string& one) { return one == "iq1_kt" || one == "q2_k_r4"; })},
      {"half of the blocks, all types", without_blocks(model.table, odd)},
      {"half of the blocks, iq1_kt alone", without_blocks(only_types(model.table, type("iq1_kt")), odd)},
      {"a quarter of the blocks, all types", without_blocks(model.table, most)}};
  std::string header = "| measured | objective |", line = "|---|---|";
  std::vector<std::vector<double>> best;
  for (const double bpw : budgets) {
    header += fmt::format(" {} bpw |", bpw);
    line += "---|";
    const PublishedPlan plan = must(plan_published(judge.objective, model.tensors, {bytes(bpw), "exact", 32}));
    best.push_back(judge.rows(plan));
    fmt::print("optimum at {} bpw: {:.4f} nats, gap {:.4f} %{}\n", bpw, plan.damage, 100 * plan.gap(), plan.exact ? ", proven" : "");
  }
  fmt::print("\nregret in % of the optimum's damage, {}\n\n{}\n{}\n", model.name, header, line);
  for (const auto& [name, table] : parts) {
    const bool gaps = name.find("blocks") != std::string::npos;
    std::vector<std::vector<double>> before;  // by budget, of the method before: the better rule of rank-1
    for (const Method& method : kMethods) {
      if (!gaps && method.rule == UnmeasuredRule::kDepthLine) continue;
      std::string cells, less;
      std::vector<std::vector<double>> rows;
      const PublishedObjective objective =
          must(published_objective(table, model.whole, model.map, {method.model, method.rule, judge.objective.types}));
      for (size_t b = 0; b < budgets.size(); ++b) {
        rows.push_back(judge.rows(must(plan_published(objective, model.tensors, {bytes(budgets[b]), "exact", 32}))));
        cells += " " + text(judge.excess(rows[b], best[b], best[b]), 2) + " |";
        if (method.model == PublishedModel::kRoles) less += " " + text(judge.excess(rows[b], before[b], best[b]), 2) + " |";
      }
      fmt::print("| {} | {} |{}\n", name, gaps || method.model == PublishedModel::kRoles ? method.name : "rank-1", cells);
      if (!less.empty()) fmt::print("| | ours less the line above |{}\n", less);
      before = std::move(rows);
    }
  }
  fmt::print("\nsolvers on the full table, % above the optimum\n\n| solver |{}\n{}\n", header.substr(header.find("objective |") + 11),
             line.substr(4));
  for (const char* solver : {"exact", "greedy", "lagrangian", "evolution", "uniform"}) {
    std::string cells;
    for (size_t b = 0; b < budgets.size(); ++b) {
      const PublishedPlan plan = must(plan_published(judge.objective, model.tensors, {bytes(budgets[b]), solver, 32}));
      cells += " " + text(judge.excess(judge.rows(plan), best[b], best[b]), 2) + " |";
    }
    fmt::print("| {} |{}\n", solver, cells);
  }
}

// (iv) All tensors at one type that was never measured one at a time: the sum of predictions against the whole model's damage.
void whole_models(const std::vector<Model>& models) {
  const std::vector<std::string> types = {"q3_K", "q4_K", "q6_K"};
  fmt::print("| model | type | whole model | rank-1 | ours |\n|---|---|---|---|---|\n");
  for (const Model& model : models)
    for (const std::string& type : types) {
      double whole = 0;
      for (const PublishedRow& row : model.whole.rows)
        if (row.type == type) whole = row.values[0];
      std::string cells;
      for (const Method& method : {kMethods[1], kMethods[2]}) {
        double sum = 0;
        for (const ObjectiveRow& row :
             must(published_objective(model.table, model.whole, model.map, {method.model, method.rule, {type}})).rows)
          sum += row.cells[0].damage;
        cells += fmt::format(" {:.4f} |", sum);
      }
      fmt::print("| {} | {} | {:.4f} |{}\n", model.name, type, whole, cells);
    }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: published_bench FOLDER\n");
    return 2;
  }
  const std::string folder = arguments[1];
  const Model qwen = load(folder, "Qwen3-4B-Instruct-2507");
  const std::vector<std::string> sound = {"iq1_kt", "iq1_m", "iq1_m_r4", "iq2_ks", "q2_k_r4"};
  fmt::print("## Tensors left out\n");
  held_out_tensors(qwen, {"iq1_kt"}, "iq1_kt");
  held_out_tensors(qwen, sound, "iq1_kt");
  const Model small = load(folder, "Qwen3.5-0.8B"), mixture = load(folder, "Qwen3.5-35B-A3B"), air = load(folder, "GLM-4.5-Air");
  held_out_tensors(small, {"iq1_kt"}, "iq1_kt");
  held_out_tensors(mixture, {"iq1_kt"}, "iq1_kt");
  held_out_tensors(air, {"iq1_m_r4"}, "iq1_m_r4");
  fmt::print("\n## Types left out\n");
  held_out_types(qwen, {{"iq1_kt"}, {"iq1_m", "iq1_m_r4"}, {"iq2_ks"}, {"q2_k_r4"}, {"iq1_bn", "iq2_bn"}});
  fmt::print("\n## Plans\n\n");
  planning(qwen, {1.8, 1.9, 2.0, 2.2, 2.4});
  fmt::print("\n## Whole models\n\n");
  whole_models({qwen, small, mixture, air});
  return 0;
}
