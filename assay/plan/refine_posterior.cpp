#include "assay/plan/refine_posterior.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr uint64_t kStream = 0x706f7374;
constexpr double kLeastSpread = 0.02;  // of a factor: no table is better than that

double squared(double x) { return x * x; }

// A sum and a count, read as a mean that is shrunk to 0.
struct ShrunkMean {
  double sum = 0, count = 0;
  void add(double value) { sum += value, ++count; }
  double value(double prior) const { return sum / (count + prior); }
};

// log(alone / predicted) of a cell, less what explains it.
struct Ratio {
  size_t row, cell;
  double rest, variance;  // of sampling
};

struct Bias {
  double all = 0, spread = kSpread;
  std::map<int, ShrunkMean> roles;
  std::map<GgmlType, ShrunkMean> types;
  std::map<size_t, ShrunkMean> rows;

  // log factor of a cell.
  double of(const RefineProblem& problem, size_t row, const RefineCell& cell) const {
    const auto read = [](const auto& means, const auto& key, double prior) {
      const auto found = means.find(key);
      return found == means.end() ? 0.0 : found->second.value(prior);
    };
    return all + read(roles, problem.rows[row].role, kPrior) + read(types, cell.type, kPrior) + read(rows, row, 1);
  }
  double row_variance(size_t row) const {
    const auto found = rows.find(row);
    return spread * spread / 2 / (1 + (found == rows.end() ? 0 : found->second.count));
  }
};

Bias fit_bias(const RefineProblem& problem) {
  std::vector<Ratio> ratios;
  for (size_t r = 0; r < problem.rows.size(); ++r)
    for (size_t c = 0; c < problem.rows[r].cells.size(); ++c) {
      const RefineCell& cell = problem.rows[r].cells[c];
      if (cell.known || !cell.alone || !(cell.predicted.value > 0) || !(cell.alone->value > 0)) continue;
      ratios.push_back({r, c, std::log(cell.alone->value / cell.predicted.value),
                        squared(cell.predicted.error / cell.predicted.value) + squared(cell.alone->error / cell.alone->value)});
    }
  Bias bias;
  ShrunkMean all;
  for (const Ratio& ratio : ratios) all.add(ratio.rest);
  bias.all = all.value(kPrior);
  for (Ratio& ratio : ratios) bias.roles[problem.rows[ratio.row].role].add(ratio.rest -= bias.all);
  for (Ratio& ratio : ratios)
    bias.types[problem.rows[ratio.row].cells[ratio.cell].type].add(ratio.rest -= bias.roles[problem.rows[ratio.row].role].value(kPrior));
  double squares = 0;
  for (Ratio& ratio : ratios) {
    ratio.rest -= bias.types[problem.rows[ratio.row].cells[ratio.cell].type].value(kPrior);
    squares += std::max(0.0, squared(ratio.rest) - ratio.variance);
    bias.rows[ratio.row].add(ratio.rest);
  }
  const auto count = static_cast<double>(ratios.size());
  bias.spread = std::max(kLeastSpread, std::sqrt((kPrior * squared(kSpread) + squares) / (kPrior + count)));
  return bias;
}

// Before anything beside the plan counts.
PosteriorCell cell_alone(const RefineProblem& problem, const Bias& bias, size_t row, const RefineCell& cell) {
  PosteriorCell made;
  if (cell.known) {
    made.mean = cell.predicted.value;
    return made;
  }
  if (cell.predicted.value > 0) {
    made.mean = cell.predicted.value * std::exp(bias.of(problem, row, cell));
    made.shared = made.mean * std::sqrt(bias.row_variance(row));
    made.own = made.mean * std::sqrt(squared(bias.spread) / 2 + squared(cell.predicted.error / cell.predicted.value));
  } else {
    made.own = cell.predicted.error;
  }
  if (!cell.alone) return made;
  const double before = squared(made.own) + squared(made.shared), measured = squared(cell.alone->error);
  const double weight = before > 0 ? before / (before + measured) : 1;  // of the measurement
  made.mean += weight * (cell.alone->value - made.mean);
  made.own = std::sqrt(weight * measured);
  made.shared = 0;
  return made;
}

// The factor between alone and beside, and the spread around it.
void fit_context(const RefineProblem& problem, Posterior& posterior) {
  struct Pair {
    double expected, found, scale, variance;
  };
  std::vector<Pair> pairs;
  for (size_t r = 0; r < problem.rows.size(); ++r)
    for (size_t c = 0; c < problem.rows[r].cells.size(); ++c) {
      const auto& beside = problem.rows[r].cells[c].beside;
      if (!beside) continue;
      const PosteriorCell &a = posterior.cells[r][c], &b = posterior.cells[r][beside->reference];
      const double expected = a.mean - b.mean;
      if (expected == 0) continue;
      const double sign = expected > 0 ? 1 : -1;
      pairs.push_back({std::abs(expected), sign * beside->measured.value, squared(a.mean) + squared(b.mean),
                       squared(beside->measured.error) + squared(a.own) + squared(b.own) + squared(a.shared - b.shared)});
    }
  double expected = 0, found = 0;
  for (const Pair& pair : pairs) expected += pair.expected, found += pair.found;
  const auto count = static_cast<double>(pairs.size());
  const double prior = count > 0 ? kPrior * expected / count : 0;
  posterior.context = count > 0 ? std::clamp((found + prior) / (expected + prior), 0.1, 10.0) : 1;
  double shares = 0;
  for (const Pair& pair : pairs)
    shares += std::max(0.0, squared(pair.found - posterior.context * pair.expected) - pair.variance) / pair.scale;
  posterior.context_spread = std::sqrt((kPrior * squared(problem.context_spread) + shares) / (kPrior + count));
}

// The distance to the reference as known before is what the reference's own reference does not move.
void put_beside(const RefineRow& row, std::vector<PosteriorCell>& cells) {
  const std::vector<PosteriorCell> before = cells;
  std::vector<bool> done(cells.size());
  const auto put = [&](const auto& self, size_t c) -> void {
    if (done[c]) return;
    done[c] = true;
    const auto& beside = row.cells[c].beside;
    if (!beside) return;
    self(self, beside->reference);  // means of a chain build on each other
    const double known = squared(deviation_of_difference(before, c, beside->reference));
    const double prior = before[c].mean - before[beside->reference].mean, measured = squared(beside->measured.error);
    const double weight = known > 0 ? known / (known + measured) : 1;
    cells[c].mean = cells[beside->reference].mean + prior + weight * (beside->measured.value - prior);
    cells[c].own = std::sqrt(weight * measured);
    cells[c].shared = 0;
    cells[c].reference = beside->reference;
  };
  for (size_t c = 0; c < cells.size(); ++c) put(put, c);
}

// A log-normal value of this mean and deviation, `normal` / deviation standard normal: a damage is known by a factor, and a normal draw of
// a badly known one would often be no damage at all.
double positive_draw(double mean, double deviation, double normal) {
  if (!(mean > 0) || !(deviation > 0)) return mean + normal;
  const double spread = std::sqrt(std::log1p(squared(deviation / mean)));
  return mean * std::exp(spread * normal / deviation - spread * spread / 2);
}

}  // namespace

double PosteriorCell::deviation() const { return std::hypot(own, shared); }

bool is_measured_against(const std::vector<PosteriorCell>& row, size_t cell, size_t other) {
  for (size_t at = cell;; at = *row[at].reference) {
    if (at == other) return true;
    if (!row[at].reference) return false;
  }
}

double deviation_of_difference(const std::vector<PosteriorCell>& row, size_t a, size_t b) {
  if (a == b) return 0;
  // Each is the sum of own parts along its chain, and at the end of it a share of the row's; what both chains have cancels.
  double variance = 0, shared = 0;
  const auto walk = [&](size_t from, size_t other, double sign) {
    for (size_t at = from; !is_measured_against(row, other, at); at = *row[at].reference) {
      variance += squared(row[at].own);
      if (row[at].reference) continue;
      shared += sign * row[at].shared;
      return;
    }
  };
  walk(a, b, 1);
  walk(b, a, -1);
  return std::sqrt(variance + squared(shared));
}

Posterior posterior_of(const RefineProblem& problem) {
  const Bias bias = fit_bias(problem);
  Posterior posterior;
  posterior.bias = std::exp(bias.all);
  posterior.spread = bias.spread;
  for (size_t r = 0; r < problem.rows.size(); ++r) {
    posterior.cells.emplace_back();
    for (const RefineCell& cell : problem.rows[r].cells) posterior.cells[r].push_back(cell_alone(problem, bias, r, cell));
  }
  fit_context(problem, posterior);
  for (size_t r = 0; r < problem.rows.size(); ++r) {
    for (size_t c = 0; c < problem.rows[r].cells.size(); ++c) {
      PosteriorCell& cell = posterior.cells[r][c];
      cell.mean *= posterior.context;
      cell.shared *= posterior.context;
      if (!problem.rows[r].cells[c].known) cell.own = std::hypot(cell.own * posterior.context, posterior.context_spread * cell.mean);
    }
    put_beside(problem.rows[r], posterior.cells[r]);
  }
  return posterior;
}

std::vector<std::vector<double>> draw_damages(const Posterior& posterior, uint64_t seed, uint64_t number) {
  std::vector<std::vector<double>> drawn;
  for (size_t r = 0; r < posterior.cells.size(); ++r) {
    const std::vector<PosteriorCell>& row = posterior.cells[r];
    CounterRandom random(seed, kStream + number, r);
    const double shared = random.next_normal();
    std::vector<double> normals;
    for (size_t c = 0; c < row.size(); ++c) normals.push_back(random.next_normal());
    // The value of a cell without a reference; of another, what it adds to its reference's.
    const auto part = [&](size_t c) {
      const PosteriorCell& cell = row[c];
      if (cell.reference) return cell.mean - row[*cell.reference].mean + cell.own * normals[c];
      return positive_draw(cell.mean, cell.deviation(), cell.own * normals[c] + cell.shared * shared);
    };
    std::vector<double> values;
    for (size_t c = 0; c < row.size(); ++c) {
      double value = part(c);
      for (size_t at = c; row[at].reference; at = *row[at].reference) value += part(*row[at].reference);
      values.push_back(std::max(0.0, value));
    }
    drawn.push_back(std::move(values));
  }
  return drawn;
}

std::vector<std::vector<double>> means_of(const Posterior& posterior) {
  std::vector<std::vector<double>> means;
  for (const auto& row : posterior.cells) {
    means.emplace_back();
    for (const PosteriorCell& cell : row) means.back().push_back(std::max(0.0, cell.mean));
  }
  return means;
}

std::vector<KnapsackGroup> groups_of(const RefineProblem& problem, const std::vector<std::vector<double>>& damages) {
  std::vector<KnapsackGroup> groups;
  for (size_t r = 0; r < problem.rows.size(); ++r) {
    groups.emplace_back();
    for (size_t c = 0; c < problem.rows[r].cells.size(); ++c) groups.back().push_back({problem.rows[r].cells[c].bytes, damages[r][c]});
  }
  return groups;
}

}  // namespace assay
