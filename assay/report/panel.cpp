#include "assay/report/panel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/report/ticks.h"

namespace assay {
namespace {

constexpr double kTickSize = 11;  // words, pixels
constexpr double kLabelSize = 12;
constexpr double kTickLength = 4;
constexpr double kMinorLength = 2.5;
constexpr double kTickGap = 4;      // between a tick and its label
constexpr double kLineHeight = 16;  // of an axis label
constexpr double kTurn = -38;       // degrees, category names without room
constexpr Stroke kGrid = {"#e3e3e3", 0.75};
constexpr Stroke kAxisLine = {"#4d4d4d", 1};

TickList ticks_of(const Axis& axis, const Range& range, double pixels, double pixels_each) {
  if (has_categories(axis)) {
    TickList list;
    for (size_t i = 0; i < axis.categories.size(); ++i) list.ticks.push_back({static_cast<double>(i), axis.categories[i]});
    return list;
  }
  if (!axis.ticks.empty()) return given_ticks(axis.ticks);
  const auto most = static_cast<size_t>(std::max(2.0, pixels / pixels_each));
  return axis.scale == AxisScale::kLog10 ? log_ticks(range.low, range.high, most) : linear_ticks(range.low, range.high, most, range.whole);
}

// "KL divergence (10⁻⁶ nats)"
std::string axis_title(const Axis& axis, int exponent) {
  const std::string factor = exponent == 0 ? "" : "\u00D7" + power_of_ten(exponent);
  const std::string bracket = factor.empty() || axis.unit.empty() ? factor + axis.unit : factor + " " + axis.unit;
  if (bracket.empty() || axis.label.empty()) return axis.label + bracket;
  return fmt::format("{} ({})", axis.label, bracket);
}

double widest(const TickList& list) {
  double width = 0;
  for (const Tick& tick : list.ticks) width = std::max(width, text_width(tick.label, kTickSize));
  return width;
}

// Category names under the x axis: level where they fit, turned where not, every n-th where even that is too close.
struct CategoryNames {
  bool turned = false;
  size_t every = 1;
  double height = kTickSize;
  double overhang = 0;  // how far the first name may reach to the left of its category
};

CategoryNames fit_names(const TickList& list, double slot) {
  CategoryNames names;
  const double width = widest(list);
  names.turned = width + 6 > slot;
  if (!names.turned) return names;
  const double radians = -kTurn * 3.14159265358979 / 180;
  names.every = static_cast<size_t>(std::max(1.0, std::ceil(kTickSize * 1.1 / std::sin(radians) / slot)));
  names.height = width * std::sin(radians) + kTickSize;
  names.overhang = text_width(list.ticks.front().label, kTickSize) * std::cos(radians);
  // Short names (numbers) are better thinned than turned.
  if (names.every > 1 || width < 3 * kTickSize) {
    const auto level = static_cast<size_t>(std::ceil((width + 6) / slot));
    if (width < 3 * kTickSize) names = {false, level, kTickSize};
  }
  return names;
}

class PanelDrawing {
 public:
  PanelDrawing(SvgWriter& out, const Prepared& prepared, const Range& x, const Range& y, const Box& frame)
      : out_(out), figure_(prepared.figure), x_range_(x), y_range_(y), frame_(frame) {
    const double title = figure_.x.label.empty() && figure_.x.unit.empty() ? 0 : kLineHeight + 2;
    const double below = kTickLength + kTickGap + kTickSize + title + 4;
    y_ticks_ = ticks_of(figure_.y, y, frame.bottom - frame.top - below, 38);
    plot_.top = frame.top + 8;
    plot_.left = frame.left + kTickLength + kTickGap + widest(y_ticks_) + (y_title().empty() ? 0 : kLineHeight + 2);
    plot_.right = frame.right - 14;
    x_ticks_ = ticks_of(figure_.x, x, plot_.right - plot_.left, 62);
    if (has_categories(figure_.x)) {
      const auto count = static_cast<double>(x_ticks_.ticks.size());
      names_ = fit_names(x_ticks_, (plot_.right - plot_.left) / count);
      // The first name hangs from the middle of its category: at most a third of the frame makes room.
      const double room =
          std::min(frame.left + names_.overhang - (plot_.right - plot_.left) / count / 2, frame.left + (frame.right - frame.left) / 3);
      plot_.left = std::max(plot_.left, room);
    } else {
      plot_.right = std::min(plot_.right, frame.right - 4 - text_width(last_label(), kTickSize) / 2);
    }
    plot_.bottom = frame.bottom - below - (names_.height - kTickSize);
  }

  size_t draw(const Prepared& prepared) {
    const AxisMap x(figure_.x, x_range_, plot_.left, plot_.right);
    // Categories of a y axis read from the top.
    const bool downwards = has_categories(figure_.y);
    const AxisMap y(figure_.y, y_range_, downwards ? plot_.top : plot_.bottom, downwards ? plot_.bottom : plot_.top);
    out_.open_group("axes");
    draw_x_axis(x);
    draw_y_axis(y);
    out_.close_group();
    return draw_series(out_, prepared, x, y);
  }

 private:
  std::string y_title() const { return axis_title(figure_.y, y_ticks_.exponent); }
  std::string last_label() const {
    std::string label;
    for (const Tick& tick : x_ticks_.ticks)
      if (!tick.label.empty()) label = tick.label;
    return label;
  }

  void draw_x_axis(const AxisMap& x) {
    const bool categories = has_categories(figure_.x);
    const double text_y = plot_.bottom + kTickLength + kTickGap + kTickSize * 0.75;
    if (!categories)
      for (const Tick& tick : x_ticks_.ticks)
        if (!tick.label.empty()) out_.line({x(tick.at), plot_.top}, {x(tick.at), plot_.bottom}, kGrid);
    out_.line({plot_.left, plot_.bottom}, {plot_.right, plot_.bottom}, kAxisLine);
    for (size_t i = 0; i < x_ticks_.ticks.size(); ++i) {
      const Tick& tick = x_ticks_.ticks[i];
      const double at = x(tick.at);
      if (i % names_.every != 0) continue;
      if (!categories) out_.line({at, plot_.bottom}, {at, plot_.bottom + (tick.label.empty() ? kMinorLength : kTickLength)}, kAxisLine);
      if (tick.label.empty()) continue;
      TextStyle style{kTickSize, "#4d4d4d", Anchor::kMiddle};
      if (names_.turned) style.anchor = Anchor::kEnd, style.turn = kTurn;
      out_.text({names_.turned ? at + 4 : at, names_.turned ? text_y - 2 : text_y}, tick.label, style);
    }
    const std::string title = axis_title(figure_.x, x_ticks_.exponent);
    if (!title.empty()) out_.text({(plot_.left + plot_.right) / 2, frame_.bottom - 5}, title, {kLabelSize, "#1a1a1a", Anchor::kMiddle});
  }

  void draw_y_axis(const AxisMap& y) {
    const bool categories = has_categories(figure_.y);
    for (const Tick& tick : y_ticks_.ticks)
      if (!tick.label.empty() && !categories) out_.line({plot_.left, y(tick.at)}, {plot_.right, y(tick.at)}, kGrid);
    out_.line({plot_.left, plot_.top}, {plot_.left, plot_.bottom}, kAxisLine);
    const size_t count = y_ticks_.ticks.size();
    const double slot = (plot_.bottom - plot_.top) / static_cast<double>(count);
    const size_t every = categories ? static_cast<size_t>(std::max(1.0, std::ceil(kTickSize * 1.15 / slot))) : 1;
    for (size_t i = 0; i < count; i += every) {
      const Tick& tick = y_ticks_.ticks[i];
      const double at = y(tick.at);
      if (!categories) out_.line({plot_.left - (tick.label.empty() ? kMinorLength : kTickLength), at}, {plot_.left, at}, kAxisLine);
      if (!tick.label.empty())
        out_.text({plot_.left - kTickLength - kTickGap, at + kTickSize * 0.35}, tick.label, {kTickSize, "#4d4d4d", Anchor::kEnd});
    }
    if (!y_title().empty()) {
      TextStyle style{kLabelSize, "#1a1a1a", Anchor::kMiddle};
      style.turn = -90;
      out_.text({frame_.left + kLabelSize, (plot_.top + plot_.bottom) / 2}, y_title(), style);
    }
  }

  SvgWriter& out_;
  const Figure& figure_;
  Range x_range_, y_range_;
  Box frame_, plot_;
  TickList x_ticks_, y_ticks_;
  CategoryNames names_;
};

}  // namespace

size_t draw_panel(SvgWriter& out, const Prepared& prepared, const Range& x, const Range& y, const Box& frame) {
  return PanelDrawing(out, prepared, x, y, frame).draw(prepared);
}

}  // namespace assay
