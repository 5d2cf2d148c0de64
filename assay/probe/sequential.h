// Stop measuring when it is settled: intervals that hold at every number of windows at once, so that one may look after each of them and
// stop, and an order of variants that is cut where it is settled. Windows are measured in random order, the same for all variants; what is
// estimated is the mean over all windows of the text at hand, so the intervals shrink to nothing at the last of them.
// Non-goals: measuring (job/measure_adaptive.h), what another text would say (statistics.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/statistics.h"

namespace assay {

struct StopRule {
  enum class Kind : uint8_t {
    kWidth,       // "ci=0.1": half the interval is at most this share of the mean
    kRankStable,  // "rank-stable": the place among all variants is settled
  };
  static constexpr uint64_t kLeast = 8;  // windows before the first look: the spread is not known earlier

  Kind kind = Kind::kRankStable;
  double width = 0;
  // That a statement made early (an interval, the order of two variants) is not what all windows would have said.
  double error_rate = 0.05;
};

// "ci=0.1", "rank-stable", either with ",error=0.01". Errors: kUsage.
Result<StopRule> parse_stop_rule(std::string_view text);

// Half-width of an interval around the mean of `seen` of `of` windows drawn without replacement, `deviation` their standard deviation, that
// covers the mean of all `of` at every `seen` >= kLeast at once, with probability 1 - error_rate. 0 at seen = of, infinite below kLeast.
// The sum's distance from its expectation, over (1 - seen/of), is a martingale whose variance is that of seen/(1 - seen/of) independent
// draws (the windows left are a Brownian bridge); Robbins' normal-mixture boundary holds for it (Robbins 1970; Waudby-Smith and Ramdas 2020
// on sampling without replacement). The standard deviation of so few draws is not known either: its upper 95 % bound (chi square) is taken
// in its place, without which windows of log-normal damage are missed at twice the stated rate (tests/probe/sequential_test.cpp counts).
double anytime_half_width(double deviation, uint64_t seen, uint64_t of, double error_rate);

// The same of values in the order measured: mean, and the mean -+ half-width.
Interval anytime_interval(std::span<const double> values, uint64_t of, double error_rate);

// Variants in descending order of their means, in segments: between two segments every pair is settled. A variant alone in its segment
// needs no further window. A pair is settled when the interval of its differences, window by window, excludes 0; when the two own intervals
// are apart; or when the difference is within `tie` either way, which settles it as equal.
class SettledOrder {
 public:
  // `tie`: differences that mean nothing (the noise floor).
  SettledOrder(size_t variants, uint64_t windows, double error_rate, double tie);

  // Variants that need another window, ascending.
  std::vector<size_t> open() const;
  // One more window of open(), in its order; call split() when it is time to look.
  void add(std::span<const double> values);
  void split();

  // All variants, greatest first; those of one segment by their means.
  std::vector<size_t> order() const;
  std::span<const double> values(size_t variant) const { return values_[variant]; }

 private:
  bool settled(size_t above, size_t below) const;
  std::vector<std::vector<size_t>> cut(std::vector<size_t> segment) const;

  uint64_t windows_;
  double error_rate_, tie_;
  std::vector<std::vector<double>> values_;    // [variant][window]
  std::vector<std::vector<size_t>> segments_;  // greatest first
};

}  // namespace assay
