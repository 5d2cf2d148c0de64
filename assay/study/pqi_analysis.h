// What the PQI study makes of its measurements: pure functions. Torch-free. Non-goals: measuring (job/study_pqi.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/score/top_shares.h"
#include "assay/study/pqi_config.h"
#include "assay/study/pqi_result.h"

namespace assay {

// The parts of the weights in Table 5 (the source's).
inline constexpr std::array kTopShares = {0.0001, 0.001, 0.01, 0.05, 0.1};

// The mean over windows, or the ratio of two means, with an interval by the bootstrap over documents or blocks of windows
// (probe/statistics.h). documents: of each window.
Estimate window_mean(std::span<const double> values, std::span<const uint32_t> documents, uint64_t seed);
Estimate window_ratio(std::span<const double> above, std::span<const double> below, std::span<const uint32_t> documents, uint64_t seed);

// A mean over windows, turned into a number that rises or falls with it in a straight line: c(lambda) of methods.md 3.5.
Estimate curvature_of(std::span<const double> changes, std::span<const double> firsts, double lambda, std::span<const uint32_t> documents,
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
