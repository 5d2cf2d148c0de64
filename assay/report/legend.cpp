#include "assay/report/legend.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

constexpr double kKeyWidth = 20;  // of a line; of a mark alone:
constexpr double kMarkWidth = 12;
constexpr double kKeyGap = 6;  // key to its name
constexpr double kEntryGap = 18;
constexpr double kRowHeight = 18;
constexpr double kSize = 11.5;

double key_width(const LegendEntry& entry) { return entry.line ? kKeyWidth : kMarkWidth; }

std::vector<Spot> rectangle(Spot left, double width) {
  return {{left.x, left.y - 6}, {left.x + width, left.y - 6}, {left.x + width, left.y + 6}, {left.x, left.y + 6}};
}

void draw_key(SvgWriter& out, const LegendEntry& entry, const Style& style, Spot left) {
  const Spot middle{left.x + key_width(entry) / 2, left.y};
  if (entry.bars) out.area(rectangle({middle.x - 6, left.y}, 12), style.colour, style.opacity);
  if (entry.band) out.area(rectangle(left, kKeyWidth), style.colour, 0.16);
  if (entry.line) out.line(left, {left.x + kKeyWidth, left.y}, {style.colour, 1.8, 1, style.dashes});
  if (entry.points) out.marker(style.marker, middle, 4, style.colour, 1, "", false);
}

}  // namespace

Style style_of(size_t index) {
  static constexpr std::array<std::string_view, 7> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"};
  static constexpr std::array<std::string_view, 4> kDashes = {"", "6 3", "2 2.5", "8 3 2 3"};
  const size_t round = index / kColours.size();
  return {kColours[index % kColours.size()], index % 5, kDashes[round % kDashes.size()], round % 2 == 0 ? 1.0 : 0.5};
}

std::vector<LegendEntry> assign_styles(std::vector<Prepared>& panels) {
  std::vector<LegendEntry> entries;
  for (Prepared& panel : panels) {
    panel.styles.clear();
    for (const Series& series : panel.figure.series) {
      const std::string_view name = std::holds_alternative<Cells>(series) ? "" : name_of(series);
      auto found = std::ranges::find_if(entries, [&](const LegendEntry& entry) { return !name.empty() && entry.name == name; });
      if (found == entries.end()) found = entries.insert(entries.end(), {std::string(name)});
      panel.styles.push_back(static_cast<size_t>(found - entries.begin()));
      found->points |= std::holds_alternative<Points>(series);
      found->bars |= std::holds_alternative<Bars>(series);
      if (const auto* line = std::get_if<Line>(&series)) {
        found->line = true;
        found->band |= std::ranges::any_of(line->points, [](const LinePoint& point) { return present(point.band); });
      }
    }
  }
  return entries;
}

double draw_legend(SvgWriter* out, const std::vector<LegendEntry>& entries, Spot corner, double width) {
  double x = corner.x, height = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].name.empty()) continue;
    const double taken = key_width(entries[i]) + kKeyGap + text_width(entries[i].name, kSize);
    if (height == 0) height = kRowHeight;
    if (x > corner.x && x + taken > corner.x + width) x = corner.x, height += kRowHeight;
    if (out != nullptr) {
      const double y = corner.y + height - kRowHeight / 2;
      draw_key(*out, entries[i], style_of(i), {x, y});
      out->text({x + key_width(entries[i]) + kKeyGap, y + kSize * 0.35}, entries[i].name, {kSize, "#333333"});
    }
    x += taken + kEntryGap;
  }
  return height;
}

}  // namespace assay
