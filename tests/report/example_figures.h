// One figure of every kind, from made-up numbers: what the tests of report/ draw.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/report/figure.h"

namespace assay::examples {

// Points with intervals both ways, labels, a diagonal.
inline Figure rank_rank() {
  Figure figure;
  figure.title = "Ranks by score and by ablation";
  figure.subtitle = "24 layers, Spearman 0.71 [0.44, 0.87]";
  figure.x.label = "rank by score";
  figure.y.label = "rank by ablation";
  figure.footnote = "95 % intervals, bootstrap over documents. Noise floor 4.6e-12, 2 windows.";
  figure.references = {{ReferenceKind::kDiagonal, 0, "equal ranks"}};
  figure.width = figure.height = 440;
  CounterRandom random(7, 1);
  Points points{"", {}};
  for (int i = 1; i <= 24; ++i) {
    const double x = i, y = std::clamp(std::round(i + 3.5 * random.next_normal()), 1.0, 24.0);
    const double wide = 1 + 2 * random.next_uniform(), high = 1 + 2 * random.next_uniform();
    points.points.push_back({x,
                             y,
                             {std::max(1.0, x - wide), std::min(24.0, x + wide)},
                             {std::max(1.0, y - high), std::min(24.0, y + high)},
                             std::to_string((i * 7) % 24)});
  }
  figure.series = {points};
  return figure;
}

// Lines with bands on a log axis, a horizontal line with its label.
inline Figure pruning() {
  Figure figure;
  figure.title = "Damage when K layers are left out";
  figure.subtitle = "reference-9m, 94 documents of held-out text";
  figure.x.label = "layers left out";
  figure.y = {"KL divergence", "nats per token", AxisScale::kLog10};
  figure.footnote = "Bands: 95 % intervals clustered by document.";
  figure.references = {{ReferenceKind::kHorizontal, 0.0066, "Q4_K_M"}};
  const std::vector<std::string> names = {"score", "layer ablation", "weight norm", "random (20 draws)", "exhaustive optimum"};
  for (size_t s = 0; s < names.size(); ++s) {
    Line line{names[s], {}};
    for (int k = 1; k <= (s == 4 ? 2 : 8); ++k) {
      const double mean = (s == 4 ? 0.0016 : 0.002 * (1.0 + static_cast<double>(s))) * std::pow(1.9 + 0.12 * static_cast<double>(s % 4), k);
      line.points.push_back({static_cast<double>(k), mean, {mean * 0.8, mean * 1.25}});
    }
    figure.series.emplace_back(line);
  }
  return figure;
}

// Two lines over a log x axis, with a vertical line.
inline Figure convergence() {
  Figure figure;
  figure.title = "How many samples the ranking needs";
  figure.x = {"samples per matrix", "", AxisScale::kLog10};
  figure.x.ticks = {25, 50, 100, 200, 400};
  figure.y = {"Spearman correlation with the largest run", ""};
  figure.y.reach = {1};
  Line measured{"measured", {}}, half{"split halves", {}};
  for (const double n : {25.0, 50.0, 100.0, 200.0, 400.0}) {
    const double rho = 1 - 1.9 / std::sqrt(n);
    measured.points.push_back({n, rho, {rho - 1.1 / std::sqrt(n), std::min(1.0, rho + 0.8 / std::sqrt(n))}});
    half.points.push_back({n, rho - 0.6 / std::sqrt(n), {}});
  }
  figure.series = {measured, half};
  figure.references = {{ReferenceKind::kVertical, 100, "published N"}};
  return figure;
}

// Stacked bars with intervals.
inline Figure anatomy() {
  Figure figure;
  figure.title = "Where the byte score comes from";
  figure.subtitle = "share of each byte region, by type";
  figure.x.scale = AxisScale::kCategories;
  figure.x.categories = {"Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
  figure.y = {"score", "nats per token"};
  figure.stacked = true;
  const std::vector<std::string> regions = {"scale, high byte", "scale, low byte", "sub-block scales", "codes, 16 levels",
                                            "codes, 1 level"};
  CounterRandom random(3, 1);
  for (size_t r = 0; r < regions.size(); ++r) {
    Bars bars{regions[r], {}};
    for (size_t t = 0; t < 6; ++t) {
      const double value = 2e-6 * (0.3 + random.next_uniform()) / (1.0 + static_cast<double>(r));
      bars.bars.push_back({value, r == 4 ? PlotRange{value * 0.4, value * 1.8} : PlotRange{}});
    }
    figure.series.emplace_back(bars);
  }
  return figure;
}

// Bars side by side with intervals, some below zero.
inline Figure change() {
  Figure figure;
  figure.title = "KL divergence against the preset of the same size";
  figure.x.scale = AxisScale::kCategories;
  figure.x.categories = {"Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K"};
  figure.y = {"change", "%"};
  const std::vector<std::string> texts = {"demo text", "WikiText-2", "program text"};
  for (size_t s = 0; s < texts.size(); ++s) {
    Bars bars{texts[s], {}};
    for (size_t t = 0; t < 5; ++t) {
      const double value = -83 + 22 * static_cast<double>(t) + 4 * static_cast<double>(s);
      bars.bars.push_back({value, {value - 5, value + 3}});
    }
    figure.series.emplace_back(bars);
  }
  return figure;
}

// Points with intervals on named rows, two series side by side.
inline Figure tensors() {
  Figure figure;
  figure.title = "Damage of one tensor at 4 bits";
  figure.x = {"KL divergence", "nats per token", AxisScale::kLog10};
  figure.y.scale = AxisScale::kCategories;
  figure.y.categories = {"blk.0.attn_v", "blk.0.ffn_down", "blk.5.attn_q", "blk.5.attn_output", "blk.11.ffn_up", "output", "token_embd"};
  figure.references = {{ReferenceKind::kVertical, 2e-7, "noise floor"}};
  CounterRandom random(11, 2);
  for (const char* name : {"measured", "predicted"}) {
    Points points{name, {}};
    for (int i = 0; i < 7; ++i) {
      const double x = 1e-6 * std::pow(10.0, 3 * random.next_uniform());
      points.points.push_back({x, static_cast<double>(i), {x / (1.2 + random.next_uniform()), x * (1.2 + random.next_uniform())}, {}, ""});
    }
    figure.series.emplace_back(points);
  }
  return figure;
}

// Many points, a few of them named, on two log axes.
inline Figure cloud() {
  Figure figure;
  figure.title = "Predicted against measured, every tensor and type";
  figure.x = {"predicted", "nats per token", AxisScale::kLog10};
  figure.y = {"measured", "nats per token", AxisScale::kLog10};
  figure.references = {{ReferenceKind::kDiagonal, 0, "y = x"}};
  CounterRandom random(5, 9);
  for (const char* name : {"Q4_K", "Q6_K", "Q8_0"}) {
    Points points{name, {}};
    const double centre = name[1] == '4' ? 1e-4 : name[1] == '6' ? 6e-6 : 4e-7;
    for (int i = 0; i < 300; ++i) {
      const double x = centre * std::pow(10.0, 0.8 * random.next_normal());
      points.points.push_back({x, x * std::pow(10.0, 0.15 * random.next_normal()), {}, {}, i == 0 ? "blk.3.ffn_down" : ""});
    }
    figure.series.emplace_back(points);
  }
  return figure;
}

inline Chart multiples() {
  Chart chart;
  chart.title = "Layer scores on three texts";
  chart.subtitle = "reference-9m; mean absolute change per moved code";
  chart.same_y = true;
  chart.footnote = "95 % intervals, bootstrap over documents.";
  CounterRandom random(2, 2);
  for (const char* text : {"a: demo text", "b: WikiText-2", "c: program text"}) {
    Figure figure;
    figure.title = text;
    figure.x = {"layer", ""};
    figure.y = {"score", "nats"};
    Points points{"sampled", {}};
    Line line{"from one gradient", {}, false};
    for (int i = 0; i < 12; ++i) {
      const double y = 1e-5 * (2 + std::cos(i * 0.7) + 0.4 * random.next_normal());
      points.points.push_back({static_cast<double>(i), y, {}, {y * 0.85, y * 1.15}, ""});
      line.points.push_back({static_cast<double>(i), 1e-5 * (2 + std::cos(i * 0.7)), {}});
    }
    figure.series = {line, points};
    chart.panels.push_back(figure);
  }
  return chart;
}

}  // namespace assay::examples
