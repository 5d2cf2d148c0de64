#include "assay/report/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "assay/base/text.h"
#include "assay/report/legend.h"
#include "assay/report/panel.h"
#include "assay/report/raster.h"

namespace assay {
namespace {

constexpr double kMargin = 12;  // pixels around everything
constexpr double kTitleSize = 15, kSubtitleSize = 12, kHeadingSize = 12.5, kFootnoteSize = 10;
constexpr double kPanelGap = 16;
constexpr double kLeading = 1.35;  // line height / size
constexpr double kPngScale = 2;

struct Drawing {
  std::string svg;
  double width = 0;
  double height = 0;
};

struct Sheet {
  std::string title, subtitle, footnote;
  std::vector<Prepared> panels;
  bool headed = false;  // a panel's title stands above it
  bool same_x = false, same_y = false;
  size_t columns = 1;
  double panel_width = 0, panel_height = 0;
};

// Writes lines downwards from `y`; returns where the next would stand.
double write_lines(SvgWriter& out, const std::string& words, double y, double width, const TextStyle& style) {
  for (const std::string& line : wrap_text(words, style.size, width, style.bold)) {
    y += style.size * kLeading;
    out.text({kMargin, y - style.size * 0.3}, line, style);
  }
  return y;
}

void unite(std::vector<Range>& ranges, const std::vector<Prepared>& panels, Axis Figure::* axis) {
  const Axis& first = panels.front().figure.*axis;
  Range all = ranges.front();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if ((panels[i].figure.*axis).scale != first.scale || has_categories(first)) return;
    all = {std::min(all.low, ranges[i].low), std::max(all.high, ranges[i].high), all.whole && ranges[i].whole};
  }
  std::ranges::fill(ranges, all);
}

std::string footnote_of(const Sheet& sheet, size_t homeless) {
  std::vector<std::string> parts;
  const auto add = [&](const std::string& part) {
    if (!part.empty()) parts.push_back(part);
  };
  add(sheet.footnote);
  for (const Prepared& panel : sheet.panels) {
    const std::string where = sheet.headed && !panel.figure.title.empty() ? panel.figure.title + ": " : "";
    if (sheet.headed && !panel.figure.footnote.empty()) add(where + panel.figure.footnote);
    for (const std::string& note : panel.notes) add(where + note);
  }
  if (homeless > 0) add(fmt::format("{} label{} left out for want of room.", homeless, homeless == 1 ? "" : "s"));
  return join(parts, "\n");
}

Drawing draw(Sheet sheet) {
  const std::vector<LegendEntry> entries = assign_styles(sheet.panels);
  const size_t columns = std::clamp<size_t>(sheet.columns, 1, sheet.panels.size());
  const double inner = static_cast<double>(columns) * sheet.panel_width + static_cast<double>(columns - 1) * kPanelGap;
  SvgWriter out;
  double y = write_lines(out, sheet.title, kMargin, inner, {kTitleSize, "#1a1a1a", Anchor::kStart, true});
  y = write_lines(out, sheet.subtitle, y, inner, {kSubtitleSize, "#4d4d4d"});
  if (y > kMargin) y += 4;
  out.open_group("legend");
  const double legend = draw_legend(&out, entries, {kMargin, y}, inner);
  out.close_group();
  if (legend > 0) y += legend + 2;
  if (sheet.headed && y > kMargin) y += 6;

  std::vector<Range> x_ranges, y_ranges;
  for (const Prepared& panel : sheet.panels) x_ranges.push_back(x_range(panel)), y_ranges.push_back(y_range(panel));
  if (sheet.same_x) unite(x_ranges, sheet.panels, &Figure::x);
  if (sheet.same_y) unite(y_ranges, sheet.panels, &Figure::y);
  size_t homeless = 0;
  const double heading = sheet.headed ? kHeadingSize * kLeading + 2 : 0;
  for (size_t i = 0; i < sheet.panels.size(); ++i) {
    if (i > 0 && i % columns == 0) y += sheet.panel_height + heading + kPanelGap;
    const double left = kMargin + static_cast<double>(i % columns) * (sheet.panel_width + kPanelGap);
    out.open_group("panel");
    if (sheet.headed) out.text({left, y + kHeadingSize}, sheet.panels[i].figure.title, {kHeadingSize, "#1a1a1a", Anchor::kStart, true});
    const Box frame{left, y + heading, left + sheet.panel_width, y + heading + sheet.panel_height};
    homeless += draw_panel(out, sheet.panels[i], x_ranges[i], y_ranges[i], frame);
    out.close_group();
  }
  y += sheet.panel_height + heading;
  const std::string footnote = footnote_of(sheet, homeless);
  if (!footnote.empty()) y = write_lines(out, footnote, y + 4, inner, {kFootnoteSize, "#666666"});
  const double width = inner + 2 * kMargin, height = y + kMargin;
  return {std::move(out).finish(width, height, sheet.title, sheet.subtitle), width, height};
}

Result<Drawing> draw(const Figure& figure) {
  if (!(figure.width >= 120 && figure.height >= 120 && figure.width <= 1e4 && figure.height <= 1e4))
    return fail(ErrorCode::kUsage, {fmt::format("figure '{}'", figure.title),
                                    fmt::format("is {:g} x {:g} pixels", figure.width, figure.height), "120 to 10,000 each", ""});
  Sheet sheet;
  sheet.title = figure.title, sheet.subtitle = figure.subtitle, sheet.footnote = figure.footnote;
  ASSAY_ASSIGN(Prepared panel, prepare(figure));
  sheet.panels.push_back(std::move(panel));
  sheet.panel_width = figure.width - 2 * kMargin, sheet.panel_height = figure.height;
  return draw(std::move(sheet));
}

Result<Drawing> draw(const Chart& chart) {
  if (chart.panels.empty()) return fail(ErrorCode::kUsage, {fmt::format("chart '{}'", chart.title), "has no panels", "", ""});
  if (!(chart.panel_width >= 120 && chart.panel_height >= 120 && chart.panel_width <= 1e4 && chart.panel_height <= 1e4))
    return fail(ErrorCode::kUsage,
                {fmt::format("chart '{}'", chart.title),
                 fmt::format("has panels of {:g} x {:g} pixels", chart.panel_width, chart.panel_height), "120 to 10,000 each", ""});
  Sheet sheet;
  sheet.title = chart.title, sheet.subtitle = chart.subtitle, sheet.footnote = chart.footnote;
  for (const Figure& figure : chart.panels) {
    ASSAY_ASSIGN(Prepared panel, prepare(figure));
    sheet.headed = sheet.headed || !figure.title.empty();
    sheet.panels.push_back(std::move(panel));
  }
  sheet.columns = chart.columns, sheet.same_x = chart.same_x, sheet.same_y = chart.same_y;
  sheet.panel_width = chart.panel_width, sheet.panel_height = chart.panel_height;
  return draw(std::move(sheet));
}

Status write_drawing(const std::string& path, const Result<Drawing>& drawing, const OutputOptions& options) {
  if (!drawing) return fail(drawing.error());
  const std::string ending = lower_ascii(path.substr(std::min(path.size(), path.find_last_of("./"))));
  if (ending == ".svg") return write_text_file(path, drawing->svg, options);
  if (ending != ".png") return fail(ErrorCode::kUsage, {"figure '" + path + "'", "has an unknown ending", ".svg or .png", ""});
  ASSAY_ASSIGN(const std::string png, png_of_svg(drawing->svg, drawing->width, drawing->height, kPngScale));
  return write_text_file(path, png, options);
}

Result<std::string> svg_of(Result<Drawing> drawing) {
  if (!drawing) return fail(std::move(drawing).error());
  return std::move(drawing->svg);
}

}  // namespace

Result<std::string> to_svg(const Figure& figure) { return svg_of(draw(figure)); }
Result<std::string> to_svg(const Chart& chart) { return svg_of(draw(chart)); }

Status write_figure(const std::string& path, const Figure& figure, const OutputOptions& options) {
  return write_drawing(path, draw(figure), options);
}

Status write_figure(const std::string& path, const Chart& chart, const OutputOptions& options) {
  return write_drawing(path, draw(chart), options);
}

Result<std::vector<std::string>> write_figures(const std::string& directory, const std::vector<NamedFigure>& figures,
                                               const OutputOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);  // where it cannot be made, writing says so
  std::vector<std::string> paths;
  for (const auto& [name, figure] : figures)
    for (const char* const ending : {".svg", ".png"}) {
      paths.push_back((std::filesystem::path(directory) / (name + ending)).string());
      ASSAY_TRY(write_figure(paths.back(), figure, options));
    }
  return paths;
}

}  // namespace assay
