// What of a figure can be drawn: the data checked, what cannot be drawn taken out and counted, and the range each axis must span.
// Non-goals: pixels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assay/report/figure.h"

namespace assay {

// A figure whose every remaining number can be drawn. A line's point and a bar that cannot are NaN (a gap); other points are gone.
// On a log axis an interval may reach 0 or below: it is drawn to the edge (axis_map.h).
struct Prepared {
  Figure figure;
  std::vector<std::string> notes;  // what was left out, one sentence per series and kind
  std::vector<size_t> styles;      // per series: its place in the legend's order (legend.h)
};

// Errors: kUsage (figure.h, to_svg).
Result<Prepared> prepare(const Figure& figure);

// In the axis's own unit, padded. `whole`: all data are whole numbers.
struct Range {
  double low = 0;
  double high = 1;
  bool whole = false;
};

Range x_range(const Prepared& prepared);
Range y_range(const Prepared& prepared);

// Bars as drawn, per Bars series in order and per category: from 0, or upon the bars before it; the interval moved along.
struct BarSpan {
  double from = 0;
  double to = 0;  // NaN: left out
  PlotRange interval = {};
};
std::vector<std::vector<BarSpan>> bar_spans(const Figure& figure);

// The largest distance from 0: what the strongest colour stands for.
double farthest(const Cells& cells);

bool present(const PlotRange& interval);
std::string_view name_of(const Series& series);
bool has_categories(const Axis& axis);

}  // namespace assay
