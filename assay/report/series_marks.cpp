#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "assay/report/legend.h"
#include "assay/report/panel.h"

namespace assay {
namespace {

constexpr double kLabelSize = 10.5;  // pixels
constexpr size_t kFewMarks = 40;     // a line with at most so many points has a mark on each
constexpr size_t kFewNotes = 1000;   // a series with at most so many points has a note on each
constexpr double kLineWidth = 1.8;
constexpr double kBandOpacity = 0.16;
constexpr double kWidestBar = 44;  // pixels
constexpr double kCellGap = 0.4;   // pixels, white around a cell
constexpr std::string_view kAboveColour = "#D55E00", kBelowColour = "#0072B2";
constexpr std::string_view kReferenceColour = "#595959";
constexpr std::string_view kWhiskerColour = "#262626";

std::string note_number(double value) { return fmt::format("{:.6g}", value); }

std::string note_interval(const PlotRange& interval) {
  return present(interval) ? fmt::format(" [{}, {}]", note_number(interval.low), note_number(interval.high)) : "";
}

// What a coordinate is called in a note: the category, or the number.
std::string note_coordinate(const Axis& axis, double value) {
  const bool whole = std::floor(value) == value;
  if (has_categories(axis) && whole) return axis.categories[static_cast<size_t>(value)];
  return note_number(value);
}

class SeriesDrawing {
 public:
  SeriesDrawing(SvgWriter& out, const Prepared& prepared, const AxisMap& x, const AxisMap& y)
      : out_(out), prepared_(prepared), figure_(prepared.figure), x_(x), y_(y), space_(plot()) {}

  // Bands under everything, marks over lines, words last.
  size_t draw() {
    each<Line>([&](const Line& line, const Style& style) { draw_band(line, style); });
    each<Cells>([&](const Cells& cells, const Style&) { draw_cells(cells); });
    draw_bars();
    out_.open_group("references");
    for (const Reference& reference : figure_.references) draw_reference(reference);
    out_.close_group();
    each<Line>([&](const Line& line, const Style& style) { draw_line(line, style); });
    size_t nth = 0;
    each<Points>([&](const Points& points, const Style& style) { draw_points(points, style, dodge(nth++)); });
    out_.open_group("labels");
    for (const Reference& reference : figure_.references) label_reference(reference);
    size_t homeless = 0;
    nth = 0;
    each<Points>([&](const Points& points, const Style&) { homeless += label_points(points, dodge(nth++)); });
    out_.close_group();
    return homeless;
  }

 private:
  template <class Kind, class Body>
  void each(const Body& body) {
    for (size_t i = 0; i < figure_.series.size(); ++i)
      if (const auto* one = std::get_if<Kind>(&figure_.series[i])) body(*one, style_of(prepared_.styles[i]));
  }

  Box plot() const {
    return {std::min(x_.from(), x_.to()), std::min(y_.from(), y_.to()), std::max(x_.from(), x_.to()), std::max(y_.from(), y_.to())};
  }

  // Several series of points on categories stand beside one another; in units of a category.
  double dodge(size_t nth) const {
    if (!has_categories(figure_.x) && !has_categories(figure_.y)) return 0;
    const auto count = std::ranges::count_if(figure_.series, [](const Series& series) { return std::holds_alternative<Points>(series); });
    return count < 2 ? 0
                     : (static_cast<double>(nth) - static_cast<double>(count - 1) / 2) * std::min(0.2, 0.7 / static_cast<double>(count));
  }

  Spot spot(const Point& point, double shift) const {
    return {x_(point.x + (has_categories(figure_.x) ? shift : 0)), y_(point.y + (has_categories(figure_.x) ? 0 : shift))};
  }

  // Many points are small, but for those with a label.
  static double radius(const Points& points, const Point& point) {
    const size_t count = points.points.size();
    if (!point.label.empty()) return count > 200 ? 3.5 : 4;
    return count > 2000 ? 1.4 : count > 200 ? 2.2 : 4;
  }

  // Runs without a gap, each at least one point long.
  static std::vector<std::vector<LinePoint>> runs(const Line& line) {
    std::vector<std::vector<LinePoint>> all;
    bool gap = true;
    for (const LinePoint& point : line.points) {
      if (std::isnan(point.y)) {
        gap = true;
        continue;
      }
      if (gap) all.emplace_back();
      gap = false;
      all.back().push_back(point);
    }
    return all;
  }

  void draw_band(const Line& line, const Style& style) {
    for (const auto& run : runs(line)) {
      std::vector<Spot> upper, lower;
      const auto close = [&] {
        if (upper.size() > 1) {
          upper.insert(upper.end(), lower.rbegin(), lower.rend());
          out_.area(upper, style.colour, kBandOpacity);
        }
        upper.clear(), lower.clear();
      };
      for (const LinePoint& point : run) {
        if (!present(point.band)) {
          close();
          continue;
        }
        upper.push_back({x_(point.x), y_(point.band.high)});
        lower.push_back({x_(point.x), y_(point.band.low)});
      }
      close();
    }
  }

  void draw_line(const Line& line, const Style& style) {
    out_.open_group("line");
    for (const auto& run : runs(line)) {
      std::vector<Spot> spots;
      for (const LinePoint& point : run) spots.push_back({x_(point.x), y_(point.y)});
      if (spots.size() > 1) out_.path(spots, {style.colour, kLineWidth, 1, style.dashes});
      for (size_t i = 1; i < spots.size(); ++i) space_.avoid(spots[i - 1], spots[i]);
      const bool marked = line.marks && line.points.size() <= kFewMarks;
      if (!marked && spots.size() > 1) continue;
      for (size_t i = 0; i < run.size(); ++i)
        out_.marker(0, spots[i], 3, style.colour, 1, note(line.name, "", run[i].x, run[i].y, {}, run[i].band));
    }
    out_.close_group();
  }

  void whisker(Spot from, Spot to, std::string_view colour, bool caps) {
    const Stroke stroke{colour, 1.2, caps ? 1 : 0.75};
    out_.line(from, to, stroke);
    space_.avoid(from, to);
    if (!caps) return;
    const Spot half = from.x == to.x ? Spot{3, 0} : Spot{0, 3};
    for (const Spot end : {from, to}) out_.line({end.x - half.x, end.y - half.y}, {end.x + half.x, end.y + half.y}, stroke);
  }

  void draw_points(const Points& points, const Style& style, double shift) {
    out_.open_group("points");
    for (const Point& point : points.points) {
      const Spot at = spot(point, shift);
      if (present(point.x_interval)) whisker({x_(point.x_interval.low), at.y}, {x_(point.x_interval.high), at.y}, style.colour, false);
      if (present(point.y_interval)) whisker({at.x, y_(point.y_interval.low)}, {at.x, y_(point.y_interval.high)}, style.colour, false);
    }
    const bool noted = points.points.size() <= kFewNotes;
    for (const bool labelled : {false, true}) {
      for (const Point& point : points.points) {
        if (point.label.empty() == labelled) continue;
        const Spot at = spot(point, shift);
        const double size = radius(points, point);
        space_.occupy({at.x - size, at.y - size, at.x + size, at.y + size});
        out_.marker(style.marker, at, size, style.colour, size < 3 ? 0.6 : 1,
                    noted ? note(points.name, point.label, point.x, point.y, point.x_interval, point.y_interval) : "");
      }
    }
    out_.close_group();
  }

  void draw_bars() {
    const auto all = bar_spans(figure_);
    if (all.empty()) return;
    const bool upright = has_categories(figure_.x);
    const AxisMap& along = upright ? x_ : y_;
    const double slot = std::abs(along(1) - along(0)) > 0 ? std::abs(along(1) - along(0)) : std::abs(along.to() - along.from());
    const size_t beside = figure_.stacked ? 1 : all.size();
    const double thick = std::min(kWidestBar, 0.74 * slot / static_cast<double>(beside));
    size_t nth = 0;
    out_.open_group("bars");
    for (size_t s = 0; s < figure_.series.size(); ++s) {
      const auto* bars = std::get_if<Bars>(&figure_.series[s]);
      if (bars == nullptr) continue;
      const double shift = figure_.stacked ? 0 : (static_cast<double>(nth) - static_cast<double>(beside - 1) / 2) * thick;
      for (size_t i = 0; i < bars->bars.size(); ++i) {
        if (!std::isnan(bars->bars[i].value))
          draw_bar(*bars, i, all[nth][i], along(static_cast<double>(i)) + shift, thick, upright, style_of(prepared_.styles[s]));
      }
      ++nth;
    }
    // Over the bars, so that none hides another's.
    for (size_t n = 0; n < all.size(); ++n) {
      for (size_t i = 0; i < all[n].size(); ++i) {
        const PlotRange& interval = all[n][i].interval;
        const double middle =
            along(static_cast<double>(i)) + (figure_.stacked ? 0 : (static_cast<double>(n) - static_cast<double>(beside - 1) / 2) * thick);
        if (!present(interval)) continue;
        if (upright)
          whisker({middle, y_(interval.low)}, {middle, y_(interval.high)}, kWhiskerColour, true);
        else
          whisker({x_(interval.low), middle}, {x_(interval.high), middle}, kWhiskerColour, true);
      }
    }
    if (upright)
      out_.line({x_.from(), y_(0)}, {x_.to(), y_(0)}, {"#4d4d4d", 1});
    else
      out_.line({x_(0), y_.from()}, {x_(0), y_.to()}, {"#4d4d4d", 1});
    out_.close_group();
  }

  void draw_cells(const Cells& cells) {
    const double most = farthest(cells);
    out_.open_group("cells");
    for (const Cell& cell : cells.cells) {
      const double x = static_cast<double>(cell.x), y = static_cast<double>(cell.y);
      const double left = std::min(x_(x - 0.5), x_(x + 0.5)), width = std::abs(x_(x + 0.5) - x_(x - 0.5));
      const double top = std::min(y_(y - 0.5), y_(y + 0.5)), height = std::abs(y_(y + 0.5) - y_(y - 0.5));
      const std::string words = fmt::format("{}{}{}, {}: {}", cells.name, cells.name.empty() ? "" : ", ", note_coordinate(figure_.x, x),
                                            note_coordinate(figure_.y, y), note_number(cell.value));
      out_.bar({left + kCellGap, top + kCellGap}, std::max(width - 2 * kCellGap, kCellGap), std::max(height - 2 * kCellGap, kCellGap),
               cell.value < 0 ? kBelowColour : kAboveColour, most > 0 ? std::abs(cell.value) / most : 0, words);
    }
    out_.close_group();
  }

  void draw_bar(const Bars& bars, size_t index, const BarSpan& span, double middle, double thick, bool upright, const Style& style) {
    const AxisMap& values = upright ? y_ : x_;
    const double first = std::min(values(span.from), values(span.to)), length = std::abs(values(span.to) - values(span.from));
    const double gap = figure_.stacked ? 0 : 0.5;  // white between neighbours
    const Box box = upright ? Box{middle - thick / 2 + gap, first, middle + thick / 2 - gap, first + length}
                            : Box{first, middle - thick / 2 + gap, first + length, middle + thick / 2 - gap};
    const Axis& categories = upright ? figure_.x : figure_.y;
    const std::string words = fmt::format("{}{}{}: {}{}", bars.name, bars.name.empty() ? "" : ", ", categories.categories[index],
                                          note_number(bars.bars[index].value), note_interval(bars.bars[index].interval));
    out_.bar({box.left, box.top}, box.right - box.left, box.bottom - box.top, style.colour, style.opacity, words);
    space_.occupy(box);
  }

  // From end to end of the plot; a diagonal that misses it has no length.
  std::array<Spot, 2> reference_ends(const Reference& reference) const {
    const Box box = plot();
    if (reference.kind == ReferenceKind::kHorizontal) return {Spot{box.left, y_(reference.at)}, Spot{box.right, y_(reference.at)}};
    if (reference.kind == ReferenceKind::kVertical) return {Spot{x_(reference.at), box.bottom}, Spot{x_(reference.at), box.top}};
    const double low = std::max(x_.low(), y_.low()), high = std::max(low, std::min(x_.high(), y_.high()));
    return {Spot{x_(low), y_(low)}, Spot{x_(high), y_(high)}};
  }

  void draw_reference(const Reference& reference) {
    const auto [from, to] = reference_ends(reference);
    out_.line(from, to, {kReferenceColour, 1.1, 1, "5 3"});
    space_.avoid(from, to);
  }

  // Beside its line: at the far end, the near end, between, on either side. Always drawn: without it the line means nothing.
  void label_reference(const Reference& reference) {
    if (reference.label.empty()) return;
    const auto [from, to] = reference_ends(reference);
    const double width = text_width(reference.label, kLabelSize), height = kLabelSize * 1.15;
    std::vector<Box> offers;
    const auto offer = [&](double left, double top) { offers.push_back({left, top, left + width, top + height}); };
    for (const double share :
         {1.0, 0.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1}) {
      const Spot at{from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
      if (reference.kind == ReferenceKind::kHorizontal) {
        const double left = at.x - share * width + (share == 1 ? -4 : share == 0 ? 4 : 0);
        offer(left, at.y - height - 2.5), offer(left, at.y + 2.5);
      } else if (reference.kind == ReferenceKind::kVertical) {
        const double top = at.y - (1 - share) * height + (share == 1 ? 4 : share == 0 ? -4 : 0);
        offer(at.x + 5, top), offer(at.x - 5 - width, top);
      } else {  // it rises: what is right and below, or left and above, does not touch it
        offer(at.x + 4, at.y + 4), offer(at.x - 4 - width, at.y - 4 - height);
      }
    }
    size_t chosen = space_.place(offers);
    for (size_t i = 0; chosen == offers.size() && i < offers.size(); ++i)
      if (space_.inside(offers[i])) space_.occupy(offers[chosen = i]);
    if (chosen == offers.size()) chosen = 0;
    write(offers[chosen], reference.label, kReferenceColour);
  }

  size_t label_points(const Points& points, double shift) {
    constexpr size_t kBeside = 8;  // boxes_around: offers farther away get a line that leads to the point
    size_t homeless = 0;
    for (const Point& point : points.points) {
      if (point.label.empty()) continue;
      const Spot at = spot(point, shift);
      const auto offers = boxes_around(at, radius(points, point), text_width(point.label, kLabelSize), kLabelSize);
      const size_t chosen = space_.place(offers);
      if (chosen == offers.size()) {
        ++homeless;
        continue;
      }
      const Box& box = offers[chosen];
      if (chosen >= kBeside)
        out_.line(at, {std::clamp(at.x, box.left, box.right), std::clamp(at.y, box.top, box.bottom)}, {"#1a1a1a", 0.6});
      write(box, point.label, "#1a1a1a");
    }
    return homeless;
  }

  void write(const Box& box, const std::string& words, std::string_view colour) {
    out_.text({(box.left + box.right) / 2, box.bottom - 0.2 * (box.bottom - box.top)}, words,
              {kLabelSize, colour, Anchor::kMiddle, false, true});
  }

  std::string note(const std::string& series, const std::string& label, double x, double y, const PlotRange& x_interval,
                   const PlotRange& y_interval) const {
    std::string words;
    for (const std::string& part : {series, label})
      if (!part.empty()) words += (words.empty() ? "" : ", ") + part;
    return fmt::format("{}{}({}{}, {}{})", words, words.empty() ? "" : ": ", note_coordinate(figure_.x, x), note_interval(x_interval),
                       note_coordinate(figure_.y, y), note_interval(y_interval));
  }

  SvgWriter& out_;
  const Prepared& prepared_;
  const Figure& figure_;
  const AxisMap& x_;
  const AxisMap& y_;
  LabelSpace space_;
};

}  // namespace

size_t draw_series(SvgWriter& out, const Prepared& prepared, const AxisMap& x, const AxisMap& y) {
  return SeriesDrawing(out, prepared, x, y).draw();
}

}  // namespace assay
