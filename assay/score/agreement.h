// How far two scores rank the same things alike (methods.md 1.10): Spearman's rho, Kendall's tau-b, overlap of the top k.
// Only order matters: any strictly increasing transform of either side changes nothing. In [-1, 1] (overlap: [0, 1]), higher is better.
// Empty, where the question has no answer: fewer than two pairs, different lengths, a NaN, or one side all equal.
// Torch-free. Non-goals: p-values (the null error of rho is about 1 / sqrt(n - 1)).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace assay {

// Ranks from 1, ties share the mean of theirs: {7, 3, 7} -> {2.5, 1, 2.5}. No NaN.
std::vector<double> average_ranks(std::span<const double> values);
// Correlation of the average ranks. O(n log n).
std::optional<double> spearman(std::span<const double> a, std::span<const double> b);
// (concordant - discordant) / sqrt((pairs - ties in a)(pairs - ties in b)). O(n log n) (Knight, JASA 1966).
std::optional<double> kendall_tau_b(std::span<const double> a, std::span<const double> b);
// |A_k and B_k| / k: the share of a's k largest that are among b's; ties go to the lower index. Empty for k = 0 or k > n too.
std::optional<double> top_k_overlap(std::span<const double> a, std::span<const double> b, size_t k);

}  // namespace assay
