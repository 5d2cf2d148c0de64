// What the evidence says of one score, as a plain word. The rule uses intervals and corrected p-values, never a point estimate alone;
// "above 0" means every 95 % interval there is (over blocks, over documents) lies above 0.
//   1. Fewer than kFewestBlocks blocks: not decidable.
//   2. It predicts within types when the within-type Spearman is above 0 and its p, after Holm, at most kTestLevel. Then
//        the partial Spearman given size is, too:               informative
//        it is not, or nothing is left when size is taken out:  not distinguishable from size alone
//   3. It is absent within types when correlations that matter, kSmallestEffect and more, are ruled out: the within-type interval over
//      blocks ends below that; or p, uncorrected, is above kLargeP while the sample would have sufficed, i.e. the smallest detectable rho
//      is at most kSmallestEffect. (That rho is found with 80 % power at the 5 % level, z = 0.84 + 1.64; p > 0.2 is z < 0.84, which a true
//      rho of that size gives in 5 % of cases: both errors are 5 %.) A score that says the opposite is absent, too. Then
//        overall and within tensors, over their types, above 0: informative only across types
//        else:                                                  noise
//   4. Else: not decidable at this sample size.
// Torch-free. Non-goals: computing the evidence (tournament.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "assay/probe/statistics.h"

namespace assay {

enum class ScoreVerdict : uint8_t { kInformative, kOnlyAcrossTypes, kSizeAlone, kNoise, kNotDecidable };
std::string_view name_of(ScoreVerdict verdict);      // "informative only across types"
std::string_view sentence_of(ScoreVerdict verdict);  // what it means for who chooses a score

constexpr size_t kFewestBlocks = 8;      // a bootstrap of fewer is not worth its name
constexpr double kTestLevel = 0.05;      // of the permutation tests, one-sided, after Holm
constexpr double kSmallestEffect = 0.3;  // a rho that would matter to a choice of types
constexpr double kLargeP = 0.2;          // see 3.

// A rank correlation and how far it can be trusted. Empty value: the question has no answer. Empty interval: no windows, or too few answers
// among the resamples.
struct RankStatistic {
  std::optional<double> value;
  std::optional<Interval> over_blocks;     // other layers of such a model
  std::optional<Interval> over_documents;  // other text
  bool is_above(double bound) const;       // all intervals there are, at least one
};

struct ScoreEvidence {
  RankStatistic overall, within_type, within_tensor;
  RankStatistic given_size;  // partial, within types
  size_t blocks = 0;
  double p = 1, p_holm = 1;        // of the within-type Spearman
  double p_given_size_holm = 1;    // of the partial one
  double smallest_detectable = 1;  // rho within types
};

ScoreVerdict decide(const ScoreEvidence& evidence);

// The rho that a one-sided 5 % test finds with 80 % power where chance alone has this standard deviation; at most 1.
double smallest_detectable_rho(double null_deviation);
// That deviation among n independent items: 1 / sqrt(n - 1); n < 2: 1.
double null_deviation_of(size_t n);
// Holm's step-down correction: in ascending order p_i times the number not yet rejected, made monotone, at most 1. Order of the input.
std::vector<double> holm(std::span<const double> p);

}  // namespace assay
