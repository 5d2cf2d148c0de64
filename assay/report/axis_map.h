// From a number on an axis to a pixel.
#pragma once

#include <algorithm>
#include <cmath>

#include "assay/report/figure_data.h"

namespace assay {

class AxisMap {
 public:
  // `range.low` lies at pixel `from`, `range.high` at `to`.
  AxisMap(const Axis& axis, const Range& range, double from, double to)
      : log_(axis.scale == AxisScale::kLog10), range_(range), low_(forward(range.low)), high_(forward(range.high)), from_(from), to_(to) {}

  // Values past the range (0 on a log axis) lie on its edge.
  double operator()(double value) const {
    const double share = log_ && value <= 0 ? 0 : (forward(value) - low_) / (high_ - low_);
    return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
  }

  double low() const { return range_.low; }
  double high() const { return range_.high; }
  double from() const { return from_; }
  double to() const { return to_; }

 private:
  double forward(double value) const { return log_ ? std::log10(value) : value; }

  bool log_;
  Range range_;
  double low_, high_;
  double from_, to_;
};

}  // namespace assay
