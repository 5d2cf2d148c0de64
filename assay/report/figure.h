// A figure as data: axes, series, reference lines, words. Drawn as SVG by us, turned into PNG by librsvg (raster.h).
// What cannot be drawn (NaN, infinite, not positive on a log axis) is left out and counted in the footnote by series.
// Non-goals: a plotting language, interaction, themes: there is one look, on white, with colours that colour-blind readers tell apart.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"

namespace assay {

// Both ends in the axis's unit; both NaN: no interval.
struct PlotRange {
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
};

enum class AxisScale { kLinear, kLog10, kCategories };

struct Axis {
  std::string label = {};                    // "KL divergence"
  std::string unit = {};                     // "nats per token"; empty: none
  AxisScale scale = AxisScale::kLinear;      // ticks are whole numbers where all data are
  std::vector<std::string> categories = {};  // kCategories: position i is the i-th (y axis: from the top)
  std::vector<double> reach = {};            // values the axis must show, beside the data
  std::vector<double> ticks = {};            // where to mark it ("50, 100, 200, 400"); empty: chosen
};

struct Point {
  double x = 0;  // on a categories axis: the index
  double y = 0;
  PlotRange x_interval = {};
  PlotRange y_interval = {};
  std::string label = {};  // drawn where there is room
};

// Series with equal names share a colour and one line of the legend; an empty name is not in the legend.
struct Points {
  std::string name = {};
  std::vector<Point> points = {};
};

struct LinePoint {
  double x = 0;
  double y = 0;
  PlotRange band = {};  // of y
};

// In the order given; a point left out leaves a gap.
struct Line {
  std::string name = {};
  std::vector<LinePoint> points = {};
  bool marks = true;  // a mark on every point, if there are at most 40
};

struct Bar {
  double value = 0;
  PlotRange interval = {};  // of the value itself, also where bars are stacked
};

// One bar per category of the one axis that has categories; bars grow from 0 along the other.
struct Bars {
  std::string name = {};
  std::vector<Bar> bars = {};
};

struct Cell {
  size_t x = 0, y = 0;  // categories
  double value = 0;
};

// A heat map, or strips: a rectangle per cell, on two axes with categories. Orange above 0, blue below, the fainter the nearer to 0;
// the footnote says how far they go. Not in the legend.
struct Cells {
  std::string name = {};
  std::vector<Cell> cells = {};
};

using Series = std::variant<Points, Line, Bars, Cells>;

enum class ReferenceKind { kHorizontal, kVertical, kDiagonal };

struct Reference {
  ReferenceKind kind = ReferenceKind::kHorizontal;
  double at = 0;  // y of a horizontal, x of a vertical line; the diagonal is y = x
  std::string label = {};
};

struct Figure {
  std::string title = {};
  std::string subtitle = {};  // what was measured, on what
  Axis x = {};
  Axis y = {};
  std::vector<Series> series = {};
  std::vector<Reference> references = {};
  bool stacked = false;       // bars of a category upon one another instead of side by side
  std::string footnote = {};  // "noise floor 4.6e-12, 2 windows"
  double width = 640;         // of the image, pixels (PNG: two to one)
  double height = 400;        // of axes and plot; words above and below add to it
};

// Small multiples: panels side by side, row by row, with one legend. A panel's own title heads it; its footnote joins the chart's.
struct Chart {
  std::string title = {};
  std::string subtitle = {};
  std::vector<Figure> panels = {};
  size_t columns = 2;
  bool same_x = false;  // all panels span the same range
  bool same_y = false;
  std::string footnote = {};
  double panel_width = 380;  // pixels, for all panels
  double panel_height = 280;
};

// SVG text, the same bytes for the same data. Errors: kUsage, by name, for figures without anything to draw, bars without categories
// or on a log axis, intervals that end before they begin.
Result<std::string> to_svg(const Figure& figure);
Result<std::string> to_svg(const Chart& chart);

// As .svg or .png, by the ending of `path`, whole or not at all. Errors: those above; kUnsupported: no librsvg for a .png; kIo.
Status write_figure(const std::string& path, const Figure& figure, const OutputOptions& options = {});
Status write_figure(const std::string& path, const Chart& chart, const OutputOptions& options = {});

// Each as NAME.svg and NAME.png into `directory`, which is made; returns their paths.
using NamedFigure = std::pair<std::string, Figure>;
Result<std::vector<std::string>> write_figures(const std::string& directory, const std::vector<NamedFigure>& figures,
                                               const OutputOptions& options = {});

}  // namespace assay
