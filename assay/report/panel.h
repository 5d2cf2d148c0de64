// One pair of axes with everything drawn on it: grid, ticks, labels, series.
// Non-goals: title, legend, footnote (figure.cpp).
#pragma once

#include "assay/report/axis_map.h"
#include "assay/report/figure_data.h"
#include "assay/report/label_space.h"
#include "assay/report/svg.h"

namespace assay {

// Draws inside `frame`, axis labels included. Returns how many labels of points found no room.
size_t draw_panel(SvgWriter& out, const Prepared& prepared, const Range& x, const Range& y, const Box& frame);

// The series and reference lines alone, between axes that are there already (series_marks.cpp). Returns as above.
size_t draw_series(SvgWriter& out, const Prepared& prepared, const AxisMap& x, const AxisMap& y);

}  // namespace assay
