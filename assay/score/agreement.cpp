#include "assay/score/agreement.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "assay/base/sum.h"

namespace assay {
namespace {

bool comparable(std::span<const double> a, std::span<const double> b) {
  const auto is_nan = [](double value) { return std::isnan(value); };
  return a.size() == b.size() && a.size() >= 2 && std::none_of(a.begin(), a.end(), is_nan) && std::none_of(b.begin(), b.end(), is_nan);
}

// A value and where it stood: sorted side by side, so that millions are compared without a look-up each.
struct Placed {
  double value;
  size_t index;
};
std::vector<Placed> placed(std::span<const double> values) {
  std::vector<Placed> all(values.size());
  for (size_t i = 0; i < values.size(); ++i) all[i] = {values[i], i};
  return all;
}

// Pairs within runs of equal neighbours.
template <class Equal>
uint64_t tied_pairs(size_t count, const Equal& equal) {
  uint64_t pairs = 0, run = 1;
  for (size_t i = 1; i <= count; ++i) {
    if (i < count && equal(i - 1, i)) {
      ++run;
    } else {
      pairs += run * (run - 1) / 2;
      run = 1;
    }
  }
  return pairs;
}

// Sorts `values` and counts the swaps of neighbours that takes: pairs in strictly falling order.
uint64_t count_inversions(std::vector<double>& values) {
  std::vector<double> merged(values.size());
  uint64_t inversions = 0;
  for (size_t width = 1; width < values.size(); width *= 2) {
    for (size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, values.size()), end = std::min(begin + 2 * width, values.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        if (left < middle && (right == end || values[left] <= values[right])) {
          merged[out] = values[left++];
        } else {
          inversions += middle - left;
          merged[out] = values[right++];
        }
      }
    }
    values.swap(merged);
  }
  return inversions;
}

// Marks of the k largest; of equal ones the first. `values` holds no NaN, and k is at most their number.
std::vector<bool> largest(std::span<const double> values, size_t k) {
  std::vector<Placed> all = placed(values);
  const auto before = [](const Placed& a, const Placed& b) { return a.value != b.value ? a.value > b.value : a.index < b.index; };
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(), before);
  std::vector<bool> chosen(values.size());
  for (size_t i = 0; i < k; ++i) chosen[all[i].index] = true;
  return chosen;
}

}  // namespace

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<Placed> order = placed(values);
  std::stable_sort(order.begin(), order.end(), [](const Placed& a, const Placed& b) { return a.value < b.value; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && order[end].value == order[begin].value) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i].index] = 0.5 * static_cast<double>(begin + 1 + end);
  }
  return ranks;
}

std::optional<double> spearman(std::span<const double> a, std::span<const double> b) {
  if (!comparable(a, b)) return std::nullopt;
  const auto ranks_a = average_ranks(a), ranks_b = average_ranks(b);
  const double mean = 0.5 * static_cast<double>(a.size() + 1);
  CompensatedSum product, square_a, square_b;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = ranks_a[i] - mean, y = ranks_b[i] - mean;
    product.add(x * y);
    square_a.add(x * x);
    square_b.add(y * y);
  }
  if (square_a.value() == 0 || square_b.value() == 0) return std::nullopt;
  // Equal spreads need no root, so that equal rankings give exactly 1.
  const double scale = square_a.value() == square_b.value() ? square_a.value() : std::sqrt(square_a.value()) * std::sqrt(square_b.value());
  return std::clamp(product.value() / scale, -1.0, 1.0);
}

std::optional<double> kendall_tau_b(std::span<const double> a, std::span<const double> b) {
  if (!comparable(a, b)) return std::nullopt;
  const size_t n = a.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return a[i] != a[j] ? a[i] < a[j] : b[i] < b[j]; });
  const auto equal_a = [&](size_t i, size_t j) { return a[order[i]] == a[order[j]]; };
  const auto equal_b = [&](size_t i, size_t j) { return b[order[i]] == b[order[j]]; };
  const uint64_t pairs = static_cast<uint64_t>(n) * (n - 1) / 2;
  const uint64_t ties_a = tied_pairs(n, equal_a);
  const uint64_t ties_both = tied_pairs(n, [&](size_t i, size_t j) { return equal_a(i, j) && equal_b(i, j); });
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = b[order[i]];
  const uint64_t discordant = count_inversions(values);
  const uint64_t ties_b = tied_pairs(n, [&](size_t i, size_t j) { return values[i] == values[j]; });
  if (ties_a == pairs || ties_b == pairs) return std::nullopt;
  const auto concordant_less_discordant = static_cast<double>(pairs - ties_a - ties_b + ties_both) - 2 * static_cast<double>(discordant);
  const auto untied_a = static_cast<double>(pairs - ties_a), untied_b = static_cast<double>(pairs - ties_b);
  return std::clamp(concordant_less_discordant / (untied_a == untied_b ? untied_a : std::sqrt(untied_a) * std::sqrt(untied_b)), -1.0, 1.0);
}

std::optional<double> top_k_overlap(std::span<const double> a, std::span<const double> b, size_t k) {
  if (!comparable(a, b) || k == 0 || k > a.size()) return std::nullopt;
  const auto top_a = largest(a, k), top_b = largest(b, k);
  size_t shared = 0;
  for (size_t i = 0; i < a.size(); ++i) shared += top_a[i] && top_b[i];
  return static_cast<double>(shared) / static_cast<double>(k);
}

}  // namespace assay
