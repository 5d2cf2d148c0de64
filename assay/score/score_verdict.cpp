#include "assay/score/score_verdict.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace assay {
namespace {

constexpr double kNormal95 = 1.6448536269514722, kNormal80 = 0.8416212335729143;  // one-sided quantiles

bool is_absent(const ScoreEvidence& evidence) {
  const auto& interval = evidence.within_type.over_blocks;
  if (interval && interval->high < kSmallestEffect) return true;
  return evidence.p > kLargeP && evidence.smallest_detectable <= kSmallestEffect;
}

}  // namespace

std::string_view name_of(ScoreVerdict verdict) {
  switch (verdict) {
    case ScoreVerdict::kInformative:
      return "informative";
    case ScoreVerdict::kOnlyAcrossTypes:
      return "informative only across types";
    case ScoreVerdict::kSizeAlone:
      return "not distinguishable from size alone";
    case ScoreVerdict::kNoise:
      return "noise";
    case ScoreVerdict::kNotDecidable:
      break;
  }
  return "not decidable at this sample size";
}

std::string_view sentence_of(ScoreVerdict verdict) {
  switch (verdict) {
    case ScoreVerdict::kInformative:
      return "It orders the tensors of one type by their damage, also among tensors of equal size.";
    case ScoreVerdict::kOnlyAcrossTypes:
      return "It tells coarse types from fine ones, but not which tensor suffers more under the same type.";
    case ScoreVerdict::kSizeAlone:
      return "It orders the tensors of one type, but nothing shows that it knows more than their number of weights.";
    case ScoreVerdict::kNoise:
      return "It does not order the tensors of one type in the direction it claims, to any degree that would matter.";
    case ScoreVerdict::kNotDecidable:
      break;
  }
  return "Too little was measured to tell whether it orders the tensors: a correlation that matters is neither shown nor ruled out.";
}

bool RankStatistic::is_above(double bound) const {
  if (!value || (!over_blocks && !over_documents)) return false;
  return (!over_blocks || over_blocks->low > bound) && (!over_documents || over_documents->low > bound);
}

ScoreVerdict decide(const ScoreEvidence& evidence) {
  if (evidence.blocks < kFewestBlocks || !evidence.within_type.value) return ScoreVerdict::kNotDecidable;
  if (evidence.within_type.is_above(0) && evidence.p_holm <= kTestLevel)
    return evidence.given_size.is_above(0) && evidence.p_given_size_holm <= kTestLevel ? ScoreVerdict::kInformative
                                                                                       : ScoreVerdict::kSizeAlone;
  if (!is_absent(evidence)) return ScoreVerdict::kNotDecidable;
  return evidence.overall.is_above(0) && evidence.within_tensor.is_above(0) ? ScoreVerdict::kOnlyAcrossTypes : ScoreVerdict::kNoise;
}

double smallest_detectable_rho(double null_deviation) { return std::min(1.0, (kNormal95 + kNormal80) * null_deviation); }

double null_deviation_of(size_t n) { return n < 2 ? 1 : 1 / std::sqrt(static_cast<double>(n - 1)); }

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] < p[j]; });
  std::vector<double> corrected(p.size());
  double largest = 0;
  for (size_t place = 0; place < order.size(); ++place) {
    largest = std::max(largest, std::min(1.0, p[order[place]] * static_cast<double>(order.size() - place)));
    corrected[order[place]] = largest;
  }
  return corrected;
}

}  // namespace assay
