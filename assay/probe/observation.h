// What was observed of one variant: per-window sums (for intervals) and per-position values (for tails and percentiles).
// Accumulators: add one window, merge two, read. Sums in double, compensated. KL direction: base || variant, nats.
// Per-position values are exact up to 10^6 positions and a sketch with a stated rank error above (quantile_sketch.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/sum.h"
#include "assay/probe/head_kernels.h"
#include "assay/probe/quantile_sketch.h"

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
  uint64_t non_finite = 0;  // positions whose logits were not finite; in the sums they are a uniform prediction
};

WindowSums sum_window(uint32_t document, std::span<const PositionObservation> positions);
// One after the other of `segment` positions each, the last perhaps shorter; 0: all in one. For intervals where windows are few.
std::vector<WindowSums> sum_segments(uint32_t document, std::span<const PositionObservation> positions, size_t segment);

// Sums over many windows, compensated.
class WindowTotals {
 public:
  void add(const WindowSums& window);
  void merge(const WindowTotals& other);
  WindowSums value() const;  // of document 0

 private:
  uint64_t count_ = 0, flips_ = 0, non_finite_ = 0;
  CompensatedSum nll_, nll_base_, nll_difference_, kl_, kl_square_, margin_change_, dp_, dp_square_;
};

// What a table over all positions needs beside the sums. dp: change of the label's probability.
struct PositionValues {
  explicit PositionValues(const SketchOptions& options = {}) : kl(options), dp(options) {}
  void add(const PositionObservation& position);
  void merge(const PositionValues& other);

  QuantileSketch kl, dp;
  Moments kl_moments, dp_moments, dp_square_moments, nll_moments, nll_base_moments;
  Moments nll_product;  // of nll and nll_base, for their correlation
};

class Observation {
 public:
  // `keep_positions`: also keep the per-position values (8 bytes each up to the sketch's limit) and their moments.
  explicit Observation(bool keep_positions = true, const SketchOptions& sketch = {}) : keep_(keep_positions), positions_(sketch) {}
  void add(uint32_t document, std::span<const PositionObservation> positions);
  void merge(const Observation& other);

  const std::vector<WindowSums>& windows() const { return windows_; }
  uint64_t count() const { return total().count; }
  double mean_kl() const { return mean(total().kl); }
  double mean_nll() const { return mean(total().nll); }
  double mean_nll_base() const { return mean(total().nll_base); }
  double ppl() const;
  double ppl_base() const;
  double flip_rate() const { return mean(static_cast<double>(total().flips)); }
  double mean_margin_change() const { return mean(total().margin_change); }
  double mean_dp() const { return mean(total().dp); }
  double rms_dp() const;

  // Empty unless kept.
  const PositionValues& positions() const { return positions_; }

 private:
  WindowSums total() const { return totals_.value(); }
  double mean(double sum) const { return count() ? sum / static_cast<double>(count()) : 0; }
  bool keep_;
  WindowTotals totals_;
  std::vector<WindowSums> windows_;
  PositionValues positions_;
};

}  // namespace assay
