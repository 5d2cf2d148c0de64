// What the PQI study makes of its measurements: pure functions and an accumulator. Torch-free. Non-goals: measuring (job/study_pqi.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/study/pqi_config.h"
#include "assay/study/pqi_result.h"

namespace assay {

// The parts of the weights in Table 5, and those whose overlap is told (the source's).
inline constexpr std::array kTopShares = {0.0001, 0.001, 0.01, 0.05, 0.1};
inline constexpr std::array kTopOverlaps = {0.0015, 0.0071, 0.0525};

// How much of sum |c| the largest |c| hold, for any number of weights in one pass: counts and sums by size, in bins 0.1 % wide. Within
// the one bin where a top part ends, weights count as equal. Add, merge, read. 4 MiB.
class TopShares {
 public:
  TopShares();
  void add(std::span<const float> values);  // finite
  void merge(const TopShares& other);
  uint64_t count() const { return count_; }
  double total() const;
  // Of the total: what the largest `part` (0 to 1) of the weights hold; 0 where the total is.
  double share(double part) const;

 private:
  std::vector<uint64_t> counts_;
  std::vector<double> sums_;
  uint64_t count_ = 0;
};

// The mean over windows, or the ratio of two means, with an interval by the bootstrap over documents or blocks of windows
// (probe/statistics.h). documents: of each window.
PqiMeasure window_mean(std::span<const double> values, std::span<const uint32_t> documents, uint64_t seed);
PqiMeasure window_ratio(std::span<const double> above, std::span<const double> below, std::span<const uint32_t> documents, uint64_t seed);

// A mean over windows, turned into a number that rises or falls with it in a straight line: c(lambda) of methods.md 3.5.
PqiMeasure curvature_of(std::span<const double> changes, std::span<const double> firsts, double lambda, std::span<const uint32_t> documents,
                        uint64_t seed);

// Both measures of the same weights; higher is more sensitive.
PqiAgreement agreement_of(std::string measure, std::string with, std::span<const double> a, std::span<const double> b);

// The N of Table 3: powers of two below `most`, and `most`.
std::vector<int> closure_intervals(PathRule rule, int most);

// The layers' sums, as one row.
PqiOrders sum_of(std::span<const PqiOrders> layers);

// Statistics, verdicts and outcome.
void conclude(PqiStudyResult& result, const std::vector<GgmlType>& types, const std::vector<Criterion>& criteria);

}  // namespace assay
