// What was observed of one variant: per-window sums (for intervals) and per-position values (for tails and percentiles).
// Accumulators: add one window, merge two, read. Sums in double, compensated. KL direction: base || variant, nats.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/sum.h"
#include "assay/probe/head_kernels.h"

namespace assay {

// Sums over the scored positions of one window.
struct WindowSums {
  uint32_t document = 0;
  uint64_t count = 0;
  double nll = 0, nll_base = 0, nll_difference = 0;
  double kl = 0, kl_square = 0;
  double margin_change = 0;
  double dp = 0, dp_square = 0;  // change of the label's probability
  uint64_t flips = 0;

  WindowSums& operator+=(const WindowSums& other);  // keeps its own document
};

WindowSums sum_window(uint32_t document, std::span<const PositionObservation> positions);

class Observation {
 public:
  // `keep_positions`: also keep the per-position values (8 bytes each) and the moments of the whole table.
  explicit Observation(bool keep_positions = true) : keep_(keep_positions) {}
  void add(uint32_t document, std::span<const PositionObservation> positions);
  void merge(const Observation& other);

  const std::vector<WindowSums>& windows() const { return windows_; }
  uint64_t count() const { return total_.count; }
  double mean_kl() const { return mean(total_.kl); }
  double mean_nll() const { return mean(total_.nll); }
  double mean_nll_base() const { return mean(total_.nll_base); }
  double ppl() const;
  double ppl_base() const;
  double flip_rate() const { return mean(static_cast<double>(total_.flips)); }
  double mean_margin_change() const { return mean(total_.margin_change); }
  double mean_dp() const { return mean(total_.dp); }
  double rms_dp() const;

  // Per-position values, in the order they were added; empty unless kept.
  const std::vector<float>& kl_values() const { return kl_; }
  const std::vector<float>& dp_values() const { return dp_; }
  // Correlation needs the joint moments of the two negative log-likelihoods.
  const Moments& nll_moments() const { return nll_; }
  const Moments& nll_base_moments() const { return nll_base_; }
  double mean_nll_product() const { return mean(nll_product_.value()); }

 private:
  double mean(double sum) const { return total_.count ? sum / static_cast<double>(total_.count) : 0; }
  bool keep_;
  WindowSums total_;
  std::vector<WindowSums> windows_;
  std::vector<float> kl_, dp_;
  Moments nll_, nll_base_;
  CompensatedSum nll_product_;
};

// Mean of the k = max(1, ceil(alpha n)) largest values (methods.md 1.4); 0 for none.
double tail_mean(std::vector<float> values, double alpha = 0.05);
// Value at quantile f in [0, 1], linearly interpolated at index f (n - 1) of the sorted values; 0 for none.
double quantile(std::span<const float> sorted, double f);

}  // namespace assay
