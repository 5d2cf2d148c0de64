// Which colour and mark a series has, and the legend that says so. Colours: Okabe and Ito, "Color universal design" (2008), without the
// yellow, which white swallows; from the eighth series on colours repeat with other marks and broken lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assay/report/figure_data.h"
#include "assay/report/svg.h"

namespace assay {

struct Style {
  std::string_view colour;
  size_t marker = 0;        // SvgWriter::marker's shape
  std::string_view dashes;  // empty: whole
  double opacity = 1;       // of bars
};
Style style_of(size_t index);

struct LegendEntry {
  std::string name;  // may be empty: not shown
  bool points = false, line = false, band = false, bars = false;
};

// Gives every series its style's index (Prepared::styles); equal names share one. Returns the styles' entries in order.
std::vector<LegendEntry> assign_styles(std::vector<Prepared>& panels);

// Draws from `corner` rightwards in rows no wider than `width`; returns the height used, 0 without names. `out` may be null: only measures.
double draw_legend(SvgWriter* out, const std::vector<LegendEntry>& entries, Spot corner, double width);

}  // namespace assay
