#include "assay/plan/cross_terms.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/random.h"
#include "assay/plan/interaction_objective.h"

namespace assay {
namespace {

constexpr int kFitSteps = 100;  // of the factors

using Halves = std::array<double, 2>;

double square_of(std::span<const float> terms) { return dot(terms, terms); }

// w_k^2. A draw that is zero everywhere: 0.
std::vector<double> draw_weights(std::span<const CrossCell> cells, size_t draws) {
  std::vector<double> energy(draws);
  size_t counted = 0;
  for (const CrossCell& cell : cells) {
    const double square = square_of(cell.terms);
    if (square <= 0) continue;
    ++counted;
    for (size_t k = 0; k < draws; ++k) {
      const auto term = static_cast<double>(cell.terms[k]);
      energy[k] += term * term / square;
    }
  }
  for (double& value : energy) value = value > 0 ? static_cast<double>(counted) / value : 0;
  return energy;
}

// Sums over pairs of cells of two kinds.
struct PairSums {
  double product = 0, square = 0;
  uint64_t pairs = 0;
  void add(const PairSums& other) {
    product += other.product;
    square += other.square;
    pairs += other.pairs;
  }
  // Of cosines of all draws, from those of halves.
  double reliability() const {
    if (pairs == 0 || square <= 0) return 0;
    const double half = std::clamp(product / square - 1 / std::sqrt(static_cast<double>(pairs)), 0.0, 1.0);
    return 2 * half / (1 + half);
  }
};

class Reliability {
 public:
  Reliability(std::span<const CrossCell> cells, const std::vector<double>& squares, const CrossOptions& options)
      : cells_(cells),
        squares_(squares),
        options_(options),
        run_(2 * options.run <= squares.size() ? std::max<size_t>(1, options.run) : 1) {
    for (size_t c = 0; c < cells.size(); ++c) {
      if (c == 0 || cells[c].group != cells[c - 1].group) first_.push_back(c);
      const auto found = std::find(kinds_.begin(), kinds_.end(), cells[c].type);
      kind_of_.push_back(static_cast<size_t>(found - kinds_.begin()));
      if (found == kinds_.end()) kinds_.push_back(cells[c].type);
    }
    first_.push_back(cells.size());
  }

  const std::vector<GgmlType>& kinds() const { return kinds_; }

  // Of every two kinds, [kinds, kinds], the one with fewer first.
  std::vector<PairSums> sums() const {
    std::vector<Halves> squares(cells_.size());
    parallel_for(cells_.size(), options_.threads, [&](size_t c) { squares[c] = products(cells_[c].terms, weighted(cells_[c].terms)); });
    const size_t groups = first_.size() - 1;
    const double cells_of_group = static_cast<double>(cells_.size()) / static_cast<double>(std::max<size_t>(1, groups));
    const double all = 0.5 * static_cast<double>(groups) * static_cast<double>(groups) * cells_of_group * cells_of_group;
    const double share = static_cast<double>(options_.most_pairs) / std::max(all, 1.0);
    std::vector<std::vector<PairSums>> of_group(groups, std::vector<PairSums>(kinds_.size() * kinds_.size()));
    parallel_for(groups, options_.threads, [&](size_t g) {
      std::vector<size_t> others;
      for (size_t h = g + 1; h < groups; ++h)
        if (share >= 1 || CounterRandom(0, g, h).next_uniform() < share) others.push_back(h);
      if (others.empty()) return;
      for (size_t a = first_[g]; a < first_[g + 1]; ++a) {
        const std::vector<double> with = weighted(cells_[a].terms);
        for (const size_t h : others)
          for (size_t b = first_[h]; b < first_[h + 1]; ++b) add_pair(a, b, products(cells_[b].terms, with), squares, of_group[g]);
      }
    });
    std::vector<PairSums> total(kinds_.size() * kinds_.size());
    for (const std::vector<PairSums>& one : of_group)
      for (size_t p = 0; p < total.size(); ++p) total[p].add(one[p]);
    return total;
  }

 private:
  std::vector<double> weighted(std::span<const float> terms) const {
    std::vector<double> made(terms.size());
    for (size_t k = 0; k < terms.size(); ++k) made[k] = squares_[k] * static_cast<double>(terms[k]);
    return made;
  }

  Halves products(std::span<const float> terms, const std::vector<double>& with) const {
    Halves sums = {};
    for (size_t begin = 0, run = 0; begin < terms.size(); begin += run_, ++run)
      sums[run % 2] += dot(terms.subspan(begin, std::min(run_, terms.size() - begin)), std::span(with).subspan(begin));
    return sums;
  }

  void add_pair(size_t a, size_t b, const Halves& products, const std::vector<Halves>& squares, std::vector<PairSums>& sums) const {
    Halves cosine = {};
    for (size_t half = 0; half < 2; ++half) {
      const double length = std::sqrt(squares[a][half] * squares[b][half]);
      if (!(length > 0)) return;
      cosine[half] = products[half] / length;
    }
    const auto [low, high] = std::minmax(kind_of_[a], kind_of_[b]);
    sums[low * kinds_.size() + high].add({cosine[0] * cosine[1], 0.5 * (cosine[0] * cosine[0] + cosine[1] * cosine[1]), 1});
  }

  std::span<const CrossCell> cells_;
  const std::vector<double>& squares_;
  const CrossOptions& options_;
  size_t run_;
  std::vector<size_t> first_;    // cell of each group, and their number
  std::vector<GgmlType> kinds_;  // as they come
  std::vector<size_t> kind_of_;
};

// a with a_s a_t closest to the reliabilities, by pairs; each in [0, 1].
std::vector<double> fit_factors(const std::vector<PairSums>& sums, size_t kinds) {
  std::vector<double> factors(kinds, 0.5);
  for (int step = 0; step < kFitSteps; ++step) {
    std::vector<double> next(kinds, 0.0);
    for (size_t s = 0; s < kinds; ++s) {
      double given = 0, made = 0;
      for (size_t t = 0; t < kinds; ++t) {
        const PairSums& pair = sums[std::min(s, t) * kinds + std::max(s, t)];
        given += static_cast<double>(pair.pairs) * pair.reliability() * factors[t];
        made += static_cast<double>(pair.pairs) * factors[t] * factors[t];
      }
      if (made > 0) next[s] = std::sqrt(factors[s] * std::clamp(given / made, 0.0, 1.0));
    }
    factors = std::move(next);
  }
  return factors;
}

}  // namespace

CrossTerms CrossTerms::shrunk(std::span<const CrossCell> cells, const CrossOptions& options) {
  CrossTerms made;
  made.as_drawn_ = false;
  if (!cells.empty()) made.squares_ = draw_weights(cells, cells[0].terms.size());
  const Reliability reliability(cells, made.squares_, options);
  const std::vector<PairSums> sums = reliability.sums();
  const std::vector<double> factors = fit_factors(sums, reliability.kinds().size());
  PairSums all;
  for (const PairSums& one : sums) all.add(one);
  made.reliability_ = {all.reliability(), {}, all.pairs};
  for (size_t kind = 0; kind < factors.size(); ++kind) {
    made.factors_[reliability.kinds()[kind]] = factors[kind];
    made.reliability_.types[reliability.kinds()[kind]] = factors[kind] * factors[kind];
  }
  return made;
}

std::vector<float> CrossTerms::of(GgmlType type, double damage, std::span<const float> terms) const {
  if (as_drawn_) return {terms.begin(), terms.end()};
  std::vector<float> made(terms.size());
  const auto factor = factors_.find(type);
  if (factor == factors_.end() || terms.empty()) return made;
  double square = 0;
  for (size_t k = 0; k < terms.size(); ++k) square += squares_[k] * static_cast<double>(terms[k]) * static_cast<double>(terms[k]);
  if (!(square > 0)) return made;
  const double scale = factor->second * std::sqrt(2 * damage / square);
  for (size_t k = 0; k < terms.size(); ++k) made[k] = static_cast<float>(scale * std::sqrt(squares_[k]) * static_cast<double>(terms[k]));
  return made;
}

}  // namespace assay
