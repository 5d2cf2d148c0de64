#include "assay/report/figure_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace assay {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargest = 1e300;  // room for padding and sums below the largest double
constexpr double kPadding = 0.04;   // of the data's span, at each end

// Why a number has no place on an axis; empty if it has one.
std::string_view misfit(double value, const Axis& axis) {
  if (!std::isfinite(value)) return "not finite";
  if (std::abs(value) > kLargest) return "beyond 1e300";
  switch (axis.scale) {
    case AxisScale::kLinear:
      return "";
    case AxisScale::kLog10:
      return value <= 0 ? "not positive on a log axis" : value < 1 / kLargest ? "below 1e-300" : "";
    case AxisScale::kCategories:
      return value < -0.5 || value > static_cast<double>(axis.categories.size()) - 0.5 ? "outside the categories" : "";
  }
  return "";
}

// Takes out of one series what cannot be drawn, and keeps count.
class SeriesCleaner {
 public:
  SeriesCleaner(const Figure& figure, std::string name) : figure_(figure), name_(std::move(name)) {}

  Status clean(Points& points) {
    std::vector<Point> kept;
    for (size_t i = 0; i < points.points.size(); ++i) {
      Point& point = points.points[i];
      if (!keep(point.x, figure_.x, "point") || !keep(point.y, figure_.y, "point")) continue;
      ASSAY_TRY(clean(point.x_interval, figure_.x, i));
      ASSAY_TRY(clean(point.y_interval, figure_.y, i));
      kept.push_back(std::move(point));
    }
    points.points = std::move(kept);
    return {};
  }

  Status clean(Line& line) {
    for (size_t i = 0; i < line.points.size(); ++i) {
      LinePoint& point = line.points[i];
      if (keep(point.x, figure_.x, "point") && keep(point.y, figure_.y, "point"))
        ASSAY_TRY(clean(point.band, figure_.y, i));
      else
        point = {kNaN, kNaN, {}};
    }
    return {};
  }

  Status clean(Bars& bars) {
    const bool upright = has_categories(figure_.x);
    if (upright == has_categories(figure_.y)) return complain("need one axis with categories and one without", "");
    const Axis& values = upright ? figure_.y : figure_.x;
    if (values.scale == AxisScale::kLog10) return complain("grow from 0, which a log axis does not have", "use points");
    const size_t categories = (upright ? figure_.x : figure_.y).categories.size();
    if (bars.bars.size() != categories)
      return complain(fmt::format("are {} for {} categories", bars.bars.size(), categories), "a bar without a value is NaN");
    for (size_t i = 0; i < bars.bars.size(); ++i) {
      if (keep(bars.bars[i].value, values, "bar"))
        ASSAY_TRY(clean(bars.bars[i].interval, values, i));
      else
        bars.bars[i] = {kNaN, {}};
    }
    return {};
  }

  Status clean(Cells& cells) {
    if (!has_categories(figure_.x) || !has_categories(figure_.y)) return complain("need two axes with categories", "");
    std::erase_if(cells.cells, [&](const Cell& cell) {
      return !keep(static_cast<double>(cell.x), figure_.x, "cell") || !keep(static_cast<double>(cell.y), figure_.y, "cell") ||
             !keep(cell.value, Axis{}, "cell");
    });
    kept_ += cells.cells.size();
    farthest_ = std::max(farthest_, farthest(cells));
    return {};
  }

  size_t kept() const { return kept_; }

  void note(std::vector<std::string>& notes) const {
    if (!left_out_.empty()) {
      std::string parts;
      for (const auto& [what, count] : left_out_) {
        const size_t bracket = what.find(' ');
        parts += fmt::format("{}{} {}{} ({})", parts.empty() ? "" : ", ", count, what.substr(0, bracket), count == 1 ? "" : "s",
                             what.substr(bracket + 1));
      }
      notes.push_back(fmt::format("Left out of {}: {}.", name_, parts));
    }
    if (farthest_ > 0) notes.push_back(fmt::format("Colours of {}: blue {:.3g}, white 0, orange {:.3g}.", name_, -farthest_, farthest_));
    if (cut_ > 0)
      notes.push_back(fmt::format("{} interval{} of {} cut at the axis: 0 or below on a log axis.", cut_, cut_ == 1 ? "" : "s", name_));
  }

 private:
  bool keep(double value, const Axis& axis, std::string_view what) {
    const std::string_view reason = misfit(value, axis);
    if (!reason.empty()) return ++left_out_[fmt::format("{} {}", what, reason)], false;
    return true;
  }

  // Called once for every datum that is kept, per axis.
  Status clean(PlotRange& interval, const Axis& axis, size_t index) {
    ++kept_;
    if (std::isnan(interval.low) && std::isnan(interval.high)) return {};
    if (interval.low > interval.high)
      return complain(fmt::format("{} has an interval from {:g} to {:g}", index, interval.low, interval.high), "low and high swapped?");
    const bool cut = axis.scale == AxisScale::kLog10 && interval.low <= 0 && std::isfinite(interval.low) && interval.high > 0;
    if (cut) ++cut_;
    const bool fits = (cut || misfit(interval.low, axis).empty()) && misfit(interval.high, axis).empty();
    if (fits) return {};
    const std::string_view reason = cut || !misfit(interval.high, axis).empty() ? misfit(interval.high, axis) : misfit(interval.low, axis);
    ++left_out_[fmt::format("interval {}", reason)];
    interval = {};
    return {};
  }

  Status complain(std::string found, std::string cause) const {
    return fail(ErrorCode::kUsage, {fmt::format("figure '{}': {}", figure_.title, name_), std::move(found), "", std::move(cause)});
  }

  const Figure& figure_;
  std::string name_;
  std::map<std::string, size_t> left_out_;  // "point not finite" -> how many
  size_t cut_ = 0;
  size_t kept_ = 0;
  double farthest_ = 0;  // from 0, of cells
};

Status check_axis(const Figure& figure, const Axis& axis, std::string_view which) {
  if (!has_categories(axis) || !axis.categories.empty()) return {};
  return fail(ErrorCode::kUsage, {fmt::format("figure '{}': {} axis", figure.title, which), "has no categories", "at least one", ""});
}

// The smallest and largest of what an axis must show.
class Span {
 public:
  explicit Span(const Axis& axis) : axis_(axis) {
    for (const double value : axis.reach) add(value);
    for (const double value : axis.ticks) add(value);
  }
  void add(double value) {
    if (!misfit(value, axis_).empty()) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
    whole_ = whole_ && std::floor(value) == value && std::abs(value) < 1e15;
  }
  void add(const PlotRange& interval) {
    const bool whole = whole_;
    add(interval.low), add(interval.high);
    whole_ = whole;
  }
  void add_zero() { add(0.0), from_zero_ = true; }

  Range range() const {
    if (has_categories(axis_)) return {-0.5, static_cast<double>(axis_.categories.size()) - 0.5, true};
    if (axis_.scale == AxisScale::kLog10) {
      const double ratio = high_ / low_ < 1 + 1e-9 ? 2 : std::pow(high_ / low_, kPadding);
      return {low_ / ratio, high_ * ratio, false};
    }
    const double largest = std::max(std::abs(low_), std::abs(high_));
    const bool flat = high_ - low_ <= 1e-9 * largest;
    const double padding = largest == 0 ? 0.5 : flat ? 0.1 * largest : kPadding * (high_ - low_);
    Range range{low_ - padding, high_ + padding, whole_};
    // Positive amounts start at 0 at the lowest; bars stand on it.
    if (range.low < 0 && (low_ > 0 || (low_ == 0 && from_zero_ && high_ > 0))) range.low = 0;
    if (from_zero_ && high_ <= 0 && low_ < 0) range.high = 0;
    return range;
  }

 private:
  const Axis& axis_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
  bool whole_ = true;
  bool from_zero_ = false;
};

Range range_of(const Figure& figure, bool of_x) {
  Span span(of_x ? figure.x : figure.y);
  for (const Series& series : figure.series) {
    if (const auto* points = std::get_if<Points>(&series)) {
      for (const Point& point : points->points) span.add(of_x ? point.x : point.y), span.add(of_x ? point.x_interval : point.y_interval);
    } else if (const auto* line = std::get_if<Line>(&series)) {
      for (const LinePoint& point : line->points) {
        span.add(of_x ? point.x : point.y);
        if (!of_x) span.add(point.band);
      }
    }
  }
  for (const auto& spans : bar_spans(figure)) {
    span.add_zero();
    for (const BarSpan& bar : spans) span.add(bar.from), span.add(bar.to), span.add(bar.interval);
  }
  for (const Reference& reference : figure.references)
    if (reference.kind == (of_x ? ReferenceKind::kVertical : ReferenceKind::kHorizontal)) span.add(reference.at);
  return span.range();
}

}  // namespace

double farthest(const Cells& cells) {
  double most = 0;
  for (const Cell& cell : cells.cells) most = std::max(most, std::abs(cell.value));
  return most;
}

bool present(const PlotRange& interval) { return !std::isnan(interval.low) && !std::isnan(interval.high); }

std::string_view name_of(const Series& series) {
  return std::visit([](const auto& one) -> std::string_view { return one.name; }, series);
}

bool has_categories(const Axis& axis) { return axis.scale == AxisScale::kCategories; }

Result<Prepared> prepare(const Figure& figure) {
  ASSAY_TRY(check_axis(figure, figure.x, "x"));
  ASSAY_TRY(check_axis(figure, figure.y, "y"));
  Prepared prepared{figure, {}, {}};
  size_t kept = 0;
  for (size_t i = 0; i < figure.series.size(); ++i) {
    const std::string_view name = name_of(figure.series[i]);
    SeriesCleaner cleaner(figure, name.empty() ? fmt::format("series {}", i + 1) : fmt::format("'{}'", name));
    ASSAY_TRY(std::visit([&](auto& series) { return cleaner.clean(series); }, prepared.figure.series[i]));
    cleaner.note(prepared.notes);
    kept += cleaner.kept();
  }
  if (kept == 0) {
    const std::string cause = prepared.notes.empty() ? "no series has data" : prepared.notes.front();
    return fail(ErrorCode::kUsage, {fmt::format("figure '{}'", figure.title), "has nothing to draw", "", cause});
  }
  std::erase_if(prepared.figure.references, [&](const Reference& reference) {
    if (reference.kind == ReferenceKind::kDiagonal) return false;
    const std::string_view reason = misfit(reference.at, reference.kind == ReferenceKind::kVertical ? figure.x : figure.y);
    if (!reason.empty()) prepared.notes.push_back(fmt::format("Left out: the line '{}' ({}).", reference.label, reason));
    return !reason.empty();
  });
  for (const Reference& reference : prepared.figure.references)
    if (reference.kind == ReferenceKind::kDiagonal && (figure.x.scale != figure.y.scale || has_categories(figure.x)))
      return fail(ErrorCode::kUsage, {fmt::format("figure '{}': diagonal", figure.title), "needs two axes of one scale", "", ""});
  return prepared;
}

Range x_range(const Prepared& prepared) { return range_of(prepared.figure, true); }
Range y_range(const Prepared& prepared) { return range_of(prepared.figure, false); }

std::vector<std::vector<BarSpan>> bar_spans(const Figure& figure) {
  std::vector<std::vector<BarSpan>> all;
  std::vector<double> above, below;  // where the next bar of a category stands, by its sign
  for (const Series& series : figure.series) {
    const auto* bars = std::get_if<Bars>(&series);
    if (bars == nullptr) continue;
    above.resize(bars->bars.size()), below.resize(bars->bars.size());
    std::vector<BarSpan>& spans = all.emplace_back();
    for (size_t i = 0; i < bars->bars.size(); ++i) {
      const Bar& bar = bars->bars[i];
      double& base = bar.value < 0 ? below[i] : above[i];
      const double from = figure.stacked ? base : 0;
      spans.push_back({from, from + bar.value, {from + bar.interval.low, from + bar.interval.high}});
      if (!std::isnan(bar.value)) base += bar.value;
    }
  }
  return all;
}

}  // namespace assay
