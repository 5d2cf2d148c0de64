// What the study of crystallised attention makes of its measurements: pure functions. Torch-free. Non-goals: measuring
// (job/study_attention.h), what a decoder would save (attention_savings.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/probe/attention_sums.h"
#include "assay/probe/observation.h"
#include "assay/study/attention_config.h"
#include "assay/study/attention_result.h"

namespace assay {

inline constexpr double kEnoughRecovered = 90;  // percent (methods.md 7.6)
// Ours, the branch the source lacks: not even half comes back at any rank below the head size.
inline constexpr double kLittleRecovered = 50;

// 100 (ppl_top1 - ppl) / max(ppl_top1 - ppl_full, 1e-9).
double recovered_percent(double ppl_top1, double ppl, double ppl_full);

// Windows of one variant, in the order of the evaluated windows.
using WindowsOf = std::span<const WindowSums>;

// exp(mean NLL) less the unedited model's; change of the mean NLL; mean KL. With intervals paired by window, clustered by document.
Estimate perplexity_change(WindowsOf mode, uint64_t seed);
Estimate mean_loss(WindowsOf mode, uint64_t seed);
Estimate mean_kl(WindowsOf mode, uint64_t seed);
Estimate recovery_of(WindowsOf top1, WindowsOf full, WindowsOf mode, uint64_t seed);
// Recovery of `mode` less the mean recovery of the controls.
Estimate lead_of(WindowsOf top1, WindowsOf full, WindowsOf mode, const std::vector<WindowsOf>& controls, uint64_t seed);

// energy: eigenvalues, descending. 0 energy: r90 = 1, participation 0.
AttentionSpectrum spectrum_of(int layer, int head, std::span<const double> energy);

std::vector<HeadCrystallisation> heads_of(const AttentionSums& sums);
// Means over the heads of each layer.
std::vector<LayerCrystallisation> layers_of(std::span<const HeadCrystallisation> heads);

// Spearman's rho with a bootstrap over pairs; none where one side does not vary.
std::optional<AttentionPrediction> prediction_of(std::string predictor, std::string over, std::span<const double> x,
                                                 std::span<const double> loss, uint64_t seed);

// One rank of the recovery curve of the residual's basis.
struct RecoveryPoint {
  int rank = 0;
  Estimate recovery;
};
// loss: of top-1. leads: of the residual's basis at the compared rank; none: not measured.
AttentionVerdict verdict_of(std::span<const RecoveryPoint> curve, int head_dim, const Estimate& loss, int compared_rank,
                            const std::optional<Estimate>& over_random, const std::optional<Estimate>& over_values);

// Sentence, statistics, verdicts by criterion, budgets, savings: from rows, maps and spectra.
void conclude(AttentionResult& result, const AttentionConfig& config);

// The first row of such a mode; null: not measured.
const AttentionRow* find_row(const AttentionResult& result, std::string_view rule, int k, std::string_view basis, std::string_view set,
                             const std::vector<int>& layers);

}  // namespace assay
