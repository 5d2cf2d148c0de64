#include "assay/report/report_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "assay/file/tensor_role.h"
#include "assay/report/report_json.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLeastHeight = 140;  // pixels, of a map of one row
constexpr size_t kShown = 30;         // of the strongest variants

double number_at(const Json& of, const char* key) {
  const auto found = of.find(key);
  return found != of.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string text_at(const Json& of, const char* key) {
  const auto found = of.find(key);
  return found != of.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The objects of an array, or none.
std::vector<const Json*> objects_at(const Json& of, const char* key) {
  std::vector<const Json*> objects;
  const auto found = of.find(key);
  if (found == of.end() || !found->is_array()) return objects;
  for (const Json& one : *found)
    if (one.is_object()) objects.push_back(&one);
  return objects;
}

const Json& object_at(const Json& of, const char* key) {
  static const Json kNone = Json::object();
  const auto found = of.find(key);
  return found != of.end() && found->is_object() ? *found : kNone;
}

PlotRange range_at(const Json& of, const char* key) {
  const auto found = of.find(key);
  if (found == of.end() || !found->is_array() || found->size() != 2 || !(*found)[0].is_number() || !(*found)[1].is_number()) return {};
  return {(*found)[0].get<double>(), (*found)[1].get<double>()};
}

// A name as part of a file's: what is not a letter or digit is "_".
std::string file_word(std::string_view text) {
  std::string word;
  for (const char c : text) word += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return word;
}

struct MapValue {
  std::string tensor;
  double value = 0;
};

// Layers across, roles down; what lies outside the blocks is said in the footnote. Nothing where no tensor of a block is there.
std::optional<Figure> model_map(std::string title, std::string unit, const std::vector<MapValue>& values) {
  std::set<int> layers;
  std::map<std::pair<Role, std::string>, size_t> roles;  // Role: in the order of a block
  const auto role_in = [](const std::string& tensor) {
    const std::string prefix = fmt::format("blk.{}.", role_of(tensor).layer);
    std::string role = tensor.size() > prefix.size() ? tensor.substr(prefix.size()) : "whole layer";
    if (role.ends_with(".weight")) role.resize(role.size() - 7);
    return std::pair(role_of(tensor).role, role);
  };
  std::string outside;
  std::vector<MapValue> inside;
  for (const MapValue& one : values) {
    MapValue cell = one;
    if (role_of(one.tensor).layer < 0) cell.tensor += ".";  // a layer alone: "blk.3"
    const int layer = role_of(cell.tensor).layer;
    if (layer < 0) {
      outside += fmt::format("{}{} {:.4g}", outside.empty() ? "Outside the blocks: " : ", ", one.tensor, one.value);
      continue;
    }
    layers.insert(layer);
    roles.try_emplace(role_in(cell.tensor));
    inside.push_back(cell);
  }
  if (inside.empty()) return std::nullopt;
  Figure figure;
  figure.title = std::move(title);
  figure.subtitle = std::move(unit);
  figure.x = {"layer", "", AxisScale::kCategories};
  figure.y = {"", "", AxisScale::kCategories};
  std::map<int, size_t> columns;
  for (const int layer : layers) {
    columns[layer] = figure.x.categories.size();
    figure.x.categories.push_back(std::to_string(layer));
  }
  for (auto& [role, row] : roles) {
    row = figure.y.categories.size();
    figure.y.categories.push_back(role.second);
  }
  Cells cells;
  cells.name = figure.subtitle;
  for (const MapValue& one : inside)
    cells.cells.push_back({columns.at(role_of(one.tensor).layer), roles.at(role_in(one.tensor)), one.value});
  figure.series.emplace_back(std::move(cells));
  figure.footnote = outside;
  figure.width = std::max(480.0, 140.0 + 26.0 * static_cast<double>(layers.size()));
  figure.height = std::max(kLeastHeight, 90.0 + 26.0 * static_cast<double>(roles.size()));
  return figure;
}

struct Whisker {
  std::string name;
  double value = 0;
  PlotRange interval = {};
};

// One line each, from the top.
Figure whiskers(std::string title, std::string subtitle, Axis x, const std::vector<Whisker>& rows) {
  Figure figure;
  figure.title = std::move(title);
  figure.subtitle = std::move(subtitle);
  figure.x = std::move(x);
  figure.y = {"", "", AxisScale::kCategories};
  Points points;
  for (const Whisker& row : rows) {
    Point point;
    point.x = row.value;
    point.x_interval = row.interval;
    point.y = static_cast<double>(figure.y.categories.size());
    points.points.push_back(point);
    figure.y.categories.push_back(row.name);
  }
  figure.series.emplace_back(std::move(points));
  figure.footnote = "Bars are 95 % intervals.";
  figure.height = std::max(kLeastHeight, 90.0 + 20.0 * static_cast<double>(rows.size()));
  return figure;
}

bool any_number(const std::vector<Whisker>& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const Whisker& row) { return std::isfinite(row.value); });
}

void add_maps(const std::string& stem, const std::string& title, const std::string& unit, const Json& table, const char* value,
              std::vector<NamedFigure>& figures) {
  std::map<std::string, std::vector<MapValue>> by_type;
  for (const Json* row : objects_at(table, "rows"))
    for (const Json* cell : objects_at(*row, "cells"))
      by_type[text_at(*cell, "type")].push_back({text_at(*row, "name"), number_at(*cell, value)});
  for (const auto& [type, values] : by_type)
    if (auto figure = model_map(type.empty() ? title : title + " at " + type, unit, values))
      figures.emplace_back(type.empty() ? stem : stem + "_" + file_word(type), std::move(*figure));
}

void add_recipe(const Json& result, const std::map<std::string, double>& type_bits, std::vector<NamedFigure>& figures) {
  std::vector<MapValue> values;
  for (const auto& [tensor, type] : object_at(result, "recipe").items()) {
    std::string name = type.is_string() ? type.get<std::string>() : std::string();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
    if (const auto bits = type_bits.find(name); bits != type_bits.end()) values.push_back({tensor, bits->second});
  }
  if (auto figure = model_map("The recipe", "bits per weight", values)) figures.emplace_back("recipe", std::move(*figure));
}

void add_files(const Json& result, std::vector<NamedFigure>& figures) {
  std::vector<Whisker> rows = {{"assay", number_at(result, "measured_kl"), range_at(result, "measured_kl_ci95")}};
  for (const char* key : {"preset", "preset_codes", "larger_preset"}) {
    const Json& file = object_at(result, key);
    if (!file.empty()) rows.push_back({text_at(file, "name"), number_at(file, "measured_kl"), range_at(file, "measured_kl_ci95")});
  }
  if (any_number(rows))
    figures.emplace_back("files", whiskers("KL divergence of each file", "lower is better", {"KL divergence", "nats per token"}, rows));
}

void add_judgements(const Json& result, std::vector<NamedFigure>& figures) {
  for (const Json* truth : objects_at(result, "truths")) {
    std::vector<Whisker> rows;
    for (const Json* one : objects_at(*truth, "judgements")) {
      const Json& spearman = object_at(object_at(*one, "overall"), "spearman");
      rows.push_back({text_at(*one, "score"), number_at(spearman, "value"), range_at(spearman, "ci95_blocks")});
    }
    std::stable_sort(rows.begin(), rows.end(), [](const Whisker& a, const Whisker& b) {
      return (std::isfinite(a.value) ? a.value : -2) > (std::isfinite(b.value) ? b.value : -2);
    });
    if (!any_number(rows)) continue;
    const std::string name = text_at(*truth, "truth");
    Figure figure =
        whiskers("Agreement of each score with " + name, "Spearman's rank correlation, intervals over blocks", {"rank correlation"}, rows);
    figure.references.push_back({ReferenceKind::kVertical, 0, ""});
    figures.emplace_back("agreement_" + file_word(name), std::move(figure));
  }
}

void add_frontier(const Json& result, std::vector<NamedFigure>& figures) {
  Line line;
  double least = INFINITY, most = 0;
  for (const Json* one : objects_at(result, "frontier")) {
    line.points.push_back({number_at(*one, "bpw"), number_at(*one, "damage"), {}});
    if (line.points.back().y > 0) {
      least = std::min(least, line.points.back().y);
      most = std::max(most, line.points.back().y);
    }
  }
  if (line.points.empty()) return;
  Figure figure;
  figure.title = "Size against predicted damage";
  figure.x = {"bits per weight"};
  figure.y = {"predicted KL", "nats per token", most > 20 * least ? AxisScale::kLog10 : AxisScale::kLinear};
  figure.series.emplace_back(std::move(line));
  figures.emplace_back("frontier", std::move(figure));
}

void add_variants(const Json& result, std::vector<NamedFigure>& figures) {
  std::vector<Whisker> rows;
  for (const Json* one : objects_at(result, "variants"))
    if (const double kl = number_at(*one, "mean_kl"); std::isfinite(kl))
      rows.push_back({text_at(*one, "name"), kl, range_at(*one, "mean_kl_ci95")});
  if (rows.empty()) return;
  std::stable_sort(rows.begin(), rows.end(), [](const Whisker& a, const Whisker& b) { return a.value > b.value; });
  const size_t all = rows.size();
  rows.resize(std::min(all, kShown));
  figures.emplace_back(
      "variants", whiskers(all > kShown ? fmt::format("The {} strongest of {} variants", kShown, all) : "Variants, strongest first", "",
                           {"KL divergence", "nats per token"}, rows));
}

void add_statistics(const Json& result, std::vector<NamedFigure>& figures) {
  std::vector<Whisker> rows;
  for (const Json* one : objects_at(result, "verdicts"))
    rows.push_back(
        {fmt::format("{}: {}", text_at(*one, "name"), text_at(*one, "outcome")), number_at(*one, "value"), range_at(*one, "ci95")});
  if (any_number(rows))
    figures.emplace_back("verdicts", whiskers("What the verdicts rest on", "each in its own unit", {"value of the statistic"}, rows));
}

}  // namespace

Result<std::vector<NamedFigure>> report_figures(const ReportSource& source, const std::map<std::string, double>& type_bits) {
  ASSAY_ASSIGN(const Json envelope, parse_report(source));
  const Json& result = envelope["result"];
  std::vector<NamedFigure> figures;
  add_files(result, figures);
  add_recipe(result, type_bits, figures);
  const std::vector<const Json*> scores = objects_at(result, "scores");
  if (const Json& table = object_at(result, "table"); scores.empty() && !table.empty())
    add_maps("damage", "Damage", "nats per token", table, "damage", figures);
  for (const Json* score : scores) {
    const std::string name = text_at(*score, "name"), unit = text_at(*score, "unit");
    add_maps("score_" + file_word(name), name, unit == "1" ? "" : unit, *score, "value", figures);
  }
  add_judgements(result, figures);
  add_frontier(result, figures);
  add_variants(result, figures);
  add_statistics(result, figures);
  return figures;
}

}  // namespace assay
