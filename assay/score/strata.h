// Ranks within strata: things are compared with their like only (the cells of one type, of one role), and what the strata say is averaged,
// each weighted by its items. One form serves the sample and its resamples: values are ordered once, ranks for any multiplicities are O(n).
// A stratum whose truth is all equal (one item, too) has no answer and is left out; one whose score is all equal counts as 0, and as
// chance for the top k, because the score says nothing there.
// Torch-free. Non-goals: what the numbers mean (tournament.h), plain agreement of two lists (agreement.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace assay {

// Indices of the items of each stratum.
using Strata = std::vector<std::vector<uint32_t>>;
Strata strata_of(std::span<const std::string> labels);  // in the order of first appearance

// No NaN among the values.
class StratifiedOrder {
 public:
  StratifiedOrder(std::span<const double> values, const Strata& strata);
  // Ranks of the sample that holds item i `counts[i]` times (empty: each once): within each stratum average ranks, centred and scaled so
  // that the squares over the stratum's sample sum to its size; 0 where all are equal. [items], of items held 0 times unspecified.
  void standard_ranks(std::span<const uint32_t> counts, std::span<double> ranks) const;

 private:
  std::vector<uint32_t> order_;  // items by value, stratum after stratum
  std::vector<uint32_t> ties_;   // ends of runs of equal values in order_
  std::vector<uint32_t> ends_;   // ends of strata in ties_
};

// sum of counts x a x b; empty counts: each once.
double dot(std::span<const uint32_t> counts, std::span<const double> a, std::span<const double> b);

// The mean of the strata's Spearmans from standard ranks of score and truth; empty where no stratum has an answer.
std::optional<double> mean_spearman(std::span<const uint32_t> counts, std::span<const double> score_ranks,
                                    std::span<const double> truth_ranks);
// Correlation of score and truth with what `given` explains of both taken out (first-order partial correlation of the ranks pooled over
// strata). Empty: score or truth does not vary, or `given` explains one of them wholly.
std::optional<double> partial_spearman(std::span<const uint32_t> counts, std::span<const double> score_ranks,
                                       std::span<const double> truth_ranks, std::span<const double> given_ranks);

std::optional<double> mean_kendall(std::span<const double> score, std::span<const double> truth, const Strata& strata);
// Overlap of the top k = max(1, round(share x items)) of each stratum. Where values tie across the border the expected overlap of a fair
// draw among them is taken, so that the order of the items never decides.
std::optional<double> mean_top_overlap(std::span<const double> score, std::span<const double> truth, const Strata& strata, double share);

}  // namespace assay
