#include "assay/report/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "assay/report/label_space.h"
#include "assay/report/svg.h"
#include "tests/file/test_files.h"
#include "tests/report/example_figures.h"

namespace assay {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string svg_of(const auto& drawing) {
  const auto svg = to_svg(drawing);
  EXPECT_TRUE(svg) << svg.error().message;
  return svg.value_or("");
}

// What to_svg says of a figure that it refuses.
std::string refusal(const auto& drawing) {
  const auto svg = to_svg(drawing);
  EXPECT_FALSE(svg);
  if (svg) return "";
  EXPECT_EQ(svg.error().code, ErrorCode::kUsage);
  return svg.error().message;
}

Figure two_points() {
  Figure figure;
  figure.title = "t";
  figure.series = {Points{"measured", {{1, 2, {}, {}, ""}, {3, 5, {}, {4, 6}, ""}}}};
  return figure;
}

TEST(Figure, EveryDatumIsThereOnce) {
  EXPECT_EQ(count_of(svg_of(two_points()), "class=\"datum\""), 2u);
  EXPECT_EQ(count_of(svg_of(examples::rank_rank()), "class=\"datum\""), 24u);
  EXPECT_EQ(count_of(svg_of(examples::pruning()), "class=\"datum\""), 4u * 8 + 2);
  EXPECT_EQ(count_of(svg_of(examples::convergence()), "class=\"datum\""), 10u);
  EXPECT_EQ(count_of(svg_of(examples::anatomy()), "class=\"datum\""), 30u);
  EXPECT_EQ(count_of(svg_of(examples::change()), "class=\"datum\""), 15u);
  EXPECT_EQ(count_of(svg_of(examples::tensors()), "class=\"datum\""), 14u);
  EXPECT_EQ(count_of(svg_of(examples::cloud()), "class=\"datum\""), 900u);
  EXPECT_EQ(count_of(svg_of(examples::multiples()), "class=\"datum\""), 36u);
  const std::string svg = svg_of(two_points());
  EXPECT_EQ(count_of(svg, "<title>measured: (1, 2)</title>"), 1u);
  EXPECT_EQ(count_of(svg, "<title>measured: (3, 5 [4, 6])</title>"), 1u);
}

TEST(Figure, PointsLieWhereTheAxesSay) {
  // Three points at equal steps are at equal distances, rightwards and upwards.
  Figure figure;
  figure.series = {Points{"", {{0, 10, {}, {}, ""}, {1, 20, {}, {}, ""}, {2, 30, {}, {}, ""}}}};
  const std::string svg = svg_of(figure);
  std::vector<Spot> spots;
  const auto after = [&](const char* name, size_t at) { return std::stod(svg.substr(svg.find(name, at) + 4)); };
  for (size_t at = svg.find("class=\"datum\""); at != std::string::npos; at = svg.find("class=\"datum\"", at + 1))
    spots.push_back({after("cx=\"", at), after("cy=\"", at)});
  ASSERT_EQ(spots.size(), 3u);
  EXPECT_GT(spots[1].x, spots[0].x + 100);
  EXPECT_LT(spots[1].y, spots[0].y - 50);
  EXPECT_NEAR(spots[2].x - spots[1].x, spots[1].x - spots[0].x, 0.02);  // two rounded to 0.01
  EXPECT_NEAR(spots[2].y - spots[1].y, spots[1].y - spots[0].y, 0.02);
  figure.x.scale = AxisScale::kLog10;
  figure.series = {Points{"", {{1, 10, {}, {}, ""}, {10, 20, {}, {}, ""}, {100, 30, {}, {}, ""}}}};
  EXPECT_EQ(count_of(svg_of(figure), "class=\"datum\""), 3u);
}

Figure strips() {
  Figure figure;
  figure.title = "t";
  figure.x = {"block", "", AxisScale::kCategories, {"0", "1", "2"}};
  figure.y = {"", "", AxisScale::kCategories, {"attn_q", "ffn_up"}};
  figure.series = {Cells{"MiB", {{0, 0, 2}, {2, 0, -1}, {1, 1, 0}}}};
  return figure;
}

TEST(Figure, CellsAreColouredByTheirDistanceFromZero) {
  const std::string svg = svg_of(strips());
  EXPECT_EQ(count_of(svg, "class=\"datum\""), 3u);
  EXPECT_THAT(svg, HasSubstr("MiB, 0, attn_q: 2"));
  EXPECT_THAT(svg, HasSubstr("MiB, 2, attn_q: -1"));
  EXPECT_THAT(svg, HasSubstr("Colours of &apos;MiB&apos;: blue -2, white 0, orange 2."));
  EXPECT_EQ(count_of(svg, "#D55E00"), 2u);  // above 0 and 0 itself, which is white
  EXPECT_EQ(count_of(svg, "#0072B2"), 1u);
  EXPECT_EQ(count_of(svg, ">MiB<"), 0u);  // not in the legend
  Figure numbers = strips();
  numbers.x = {"block"};
  EXPECT_THAT(refusal(numbers), HasSubstr("'MiB' need two axes with categories"));
  Figure outside = strips();
  std::get<Cells>(outside.series[0]).cells.push_back({3, 0, 1});
  std::get<Cells>(outside.series[0]).cells.push_back({0, 1, kNaN});
  const std::string rest = svg_of(outside);
  EXPECT_EQ(count_of(rest, "class=\"datum\""), 3u);
  EXPECT_THAT(rest, HasSubstr("1 cell (not finite), 1 cell (outside the categories)"));
}

TEST(Figure, TheSameDataAreTheSameBytes) {
  EXPECT_EQ(svg_of(examples::pruning()), svg_of(examples::pruning()));
  EXPECT_EQ(svg_of(examples::multiples()), svg_of(examples::multiples()));
  EXPECT_THAT(svg_of(examples::cloud()), Not(HasSubstr("nan")));
}

TEST(Figure, WhatCannotBeDrawnIsCountedByName) {
  Figure figure = two_points();
  figure.y.scale = AxisScale::kLog10;
  figure.footnote = "two windows";
  figure.width = 1200;  // no line is broken
  auto& points = std::get<Points>(figure.series[0]).points;
  points.push_back({kNaN, 1, {}, {}, ""});
  points.push_back({1, kInfinity, {}, {}, ""});
  points.push_back({1, -1, {}, {}, ""});
  points.push_back({1, 1e305, {}, {}, ""});
  points.push_back({2, 3, {}, {-1, 4}, ""});
  points.push_back({2, 3, {}, {1, kInfinity}, ""});
  const std::string svg = svg_of(figure);
  EXPECT_EQ(count_of(svg, "class=\"datum\""), 4u);
  EXPECT_THAT(svg, HasSubstr("two windows"));
  EXPECT_THAT(svg, HasSubstr("Left out of &apos;measured&apos;: 1 interval (not finite), 1 point (beyond 1e300), 2 points (not finite)"));
  EXPECT_THAT(svg, HasSubstr("1 point (not positive on a log axis)"));
  EXPECT_THAT(svg, HasSubstr("1 interval of &apos;measured&apos; cut at the axis: 0 or below on a log axis."));
  EXPECT_THAT(svg, HasSubstr("(2, 3 [-1, 4])"));  // its note keeps the number
  figure.references = {{ReferenceKind::kHorizontal, 0, "floor"}};
  EXPECT_THAT(svg_of(figure), HasSubstr("Left out: the line &apos;floor&apos; (not positive on a log axis)."));
  EXPECT_THAT(svg_of(two_points()), Not(HasSubstr("Left out")));
}

TEST(Figure, AGapBreaksALine) {
  Figure figure;
  figure.series = {Line{"run", {{0, 1, {}}, {1, 2, {}}, {2, kNaN, {}}, {3, 2, {}}, {4, 1, {}}}, false}};
  EXPECT_EQ(count_of(svg_of(figure), "<path"), 2u);
  std::get<Line>(figure.series[0]).points[2].y = 2;
  EXPECT_EQ(count_of(svg_of(figure), "<path"), 1u);
}

TEST(Figure, RefusesByName) {
  EXPECT_THAT(refusal(Figure{}), HasSubstr("nothing to draw"));
  EXPECT_THAT(refusal(Chart{}), HasSubstr("no panels"));
  Figure figure = two_points();
  figure.series = {Points{"measured", {{kNaN, 1, {}, {}, ""}}}};
  EXPECT_THAT(refusal(figure), HasSubstr("nothing to draw (Left out of 'measured': 1 point (not finite)"));
  figure = two_points();
  std::get<Points>(figure.series[0]).points[1].y_interval = {6, 4};
  EXPECT_THAT(refusal(figure), HasSubstr("'measured' 1 has an interval from 6 to 4"));
  figure = examples::change();
  figure.y.scale = AxisScale::kLog10;
  EXPECT_THAT(refusal(figure), HasSubstr("grow from 0"));
  figure = examples::change();
  figure.x.categories.pop_back();
  EXPECT_THAT(refusal(figure), HasSubstr("are 5 for 4 categories"));
  figure.x.scale = AxisScale::kLinear;
  EXPECT_THAT(refusal(figure), HasSubstr("one axis with categories"));
  figure = two_points();
  figure.x.scale = AxisScale::kCategories;
  EXPECT_THAT(refusal(figure), HasSubstr("x axis has no categories"));
  figure = two_points();
  figure.width = kNaN;
  EXPECT_THAT(refusal(figure), HasSubstr("120 to 10,000"));
}

TEST(Figure, WordsAreEscaped) {
  Figure figure = two_points();
  figure.title = "<b> & \"q\" \x01 \xFF \xEF\xBF\xBF";
  std::get<Points>(figure.series[0]).points[0].label = "a<b";
  const std::string svg = svg_of(figure);
  EXPECT_THAT(svg, HasSubstr("&lt;b&gt; &amp; &quot;q&quot; \\x01 \\xff \uFFFD"));
  EXPECT_THAT(svg, HasSubstr(">a&lt;b</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
}

TEST(Figure, NumbersAreShort) {
  EXPECT_EQ(svg_number(1), "1");
  EXPECT_EQ(svg_number(0.5), "0.5");
  EXPECT_EQ(svg_number(-0.001), "0");
  EXPECT_EQ(svg_number(100), "100");
}

TEST(Figure, LabelsDoNotCoverOneAnother) {
  LabelSpace space(Box{0, 0, 100, 100});
  const auto offers = boxes_around({50, 50}, 4, 30, 10);
  std::vector<Box> placed;
  for (size_t i = space.place(offers); i < offers.size(); i = space.place(offers)) placed.push_back(offers[i]);
  EXPECT_GE(placed.size(), 4u);
  EXPECT_LT(placed.size(), offers.size());
  for (size_t a = 0; a < placed.size(); ++a)
    for (size_t b = 0; b < a; ++b) EXPECT_FALSE(placed[a].overlaps(placed[b]));
  // Twenty points on one spot: the labels that found no room are counted.
  Figure figure;
  figure.series = {Points{"", std::vector<Point>(40, Point{1, 1, {}, {}, "a long label"})}};
  EXPECT_THAT(svg_of(figure), HasSubstr("labels left out for want of room."));
}

TEST(Figure, EqualNamesShareALegendEntry) {
  Figure figure = two_points();
  figure.series.emplace_back(Line{"measured", {{1, 2, {}}, {3, 5, {}}}, false});
  figure.series.emplace_back(Line{"", {{1, 3, {}}, {3, 4, {}}}, false});
  const std::string svg = svg_of(figure);
  EXPECT_EQ(count_of(svg, ">measured</text>"), 1u);
  EXPECT_EQ(count_of(svg_of(examples::multiples()), ">sampled</text>"), 1u);
}

TEST(Figure, IsWrittenByItsEnding) {
  testing_files::ScratchDirectory dir;
  const std::string path = dir / "figure.svg";
  ASSERT_TRUE(write_figure(path, two_points()));
  EXPECT_EQ(*read_text_file(path), svg_of(two_points()));
  EXPECT_EQ(write_figure(path, two_points()).error().code, ErrorCode::kUsage);  // exists
  EXPECT_TRUE(write_figure(path, two_points(), {true}));
  EXPECT_THAT(write_figure(dir / ("figure.pdf"), two_points()).error().message, HasSubstr(".svg or .png"));
  EXPECT_EQ(write_figure(dir / ("empty.svg"), Figure{}).error().code, ErrorCode::kUsage);
  EXPECT_FALSE(std::filesystem::exists(dir / ("empty.svg")));
}

}  // namespace
}  // namespace assay
