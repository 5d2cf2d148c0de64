// How the gain of chosen codes grows with the calibration text: every matrix of the demo model's blocks at one type, KL against nearest
// codes of the same calibration windows, paired 95 % intervals; damping as `imatrix --full` chooses it. usage: codes_gain --help
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "assay/quant/codec.h"
#include "assay/report/figure.h"
#include "bench/chosen_codes.h"

namespace {

using namespace assay;

struct Options {
  std::string calibration = ASSAY_SOURCE_DIR "/demo/calibration.txt", evaluation = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  std::vector<uint64_t> windows = {2, 4, 8, 16, 32, 64, 94};  // of calibration
  uint64_t chunks = 48;                                       // of evaluation
  std::vector<std::string> types = {"Q4_K", "Q2_K", "IQ2_XXS"};
  std::string figure;
};

struct Curve {
  GgmlType type;
  std::map<Codes, Line> lines = {};
};

constexpr Codes kWays[] = {Codes::kNearest, Codes::kFeedback, Codes::kBest};

// One line of the table and one point of each line of the figure for each type.
void add_rows(const bench::DemoModel& model, const bench::Calibration& calibration, const ProbeSet& set, std::vector<Curve>& curves) {
  const double tokens = static_cast<double>(calibration.windows * set.ctx);
  std::vector<bench::Changes> variants;
  for (const Curve& curve : curves)
    for (const Codes codes : kWays) {
      bench::Changes& changes = variants.emplace_back();
      for (const auto& [tensor, moment] : calibration.moments) changes[tensor] = model.encode(tensor, curve.type, *moment, codes).change;
    }
  const std::vector<Observation> observed = model.measure(variants, set);
  for (size_t i = 0; i < curves.size(); ++i) {
    const std::span ways = std::span(observed).subspan(i * std::size(kWays), std::size(kWays));
    std::string row =
        fmt::format("| {} | {} | {} | {:.6f} |", find_type(curves[i].type)->name, calibration.windows, tokens, ways[0].mean_kl());
    for (size_t way = 1; way < ways.size(); ++way) {
      const Interval change = bench::relative_kl(ways[way], ways[0]);
      row += fmt::format(" {:+.1f} % [{:+.1f}, {:+.1f}] |", 100 * change.value, 100 * change.low, 100 * change.high);
      Line& line = curves[i].lines[kWays[way]];
      line.name = name_of(kWays[way]);
      line.points.push_back({tokens, -100 * change.value, {-100 * change.high, -100 * change.low}});
    }
    for (const auto& [role, damping] : calibration.damping) row += fmt::format(" {} {}", role, damping);
    fmt::print("{} |\n", row);
  }
  std::fflush(stdout);
}

Chart chart_of(const std::vector<Curve>& curves, const Options& options) {
  Chart chart;
  chart.title = "Gain of chosen codes against calibration tokens";
  chart.subtitle = fmt::format("KL lower than with nearest codes of the same tokens; demo model, {} held-out windows", options.chunks);
  chart.footnote = "Bands: 95 % intervals, paired by window.";
  chart.columns = curves.size();
  chart.same_x = chart.same_y = true;
  for (const Curve& curve : curves) {
    Figure figure;
    figure.title = find_type(curve.type)->name;
    figure.x = {"calibration tokens", "", AxisScale::kLog10};
    for (const uint64_t windows : options.windows)
      if ((windows & (windows - 1)) == 0) figure.x.ticks.push_back(512.0 * static_cast<double>(windows));
    figure.y = {"KL lower by", "%"};
    figure.y.reach = {0};
    for (const auto& [codes, line] : curve.lines) figure.series.emplace_back(line);
    chart.panels.push_back(figure);
  }
  return chart;
}

}  // namespace

int main(int count, char** arguments) {
  at::NoGradGuard no_grad;
  Options options;
  CLI::App app("KL gain of chosen codes against calibration tokens, demo model");
  app.add_option("calibration", options.calibration, "text; default: the demo's");
  app.add_option("evaluation", options.evaluation, "held-out text; default: the demo's");
  app.add_option("--windows", options.windows, "calibration windows of 512 tokens")->delimiter(',');
  app.add_option("--chunks", options.chunks, "evaluation windows")->check(CLI::PositiveNumber);
  app.add_option("--types", options.types, "ggml types")->delimiter(',');
  app.add_option("--figure", options.figure, "SVG or PNG to write");
  CLI11_PARSE(app, count, arguments);
  std::vector<Curve> curves;
  for (const GgmlType type : bench::types_of(options.types)) curves.push_back({type});
  const bench::DemoModel model;
  const ProbeSet set = model.windows(options.evaluation, options.chunks);
  fmt::print("| type | windows | tokens | KL, nearest | feedback | best | damping by role |\n|---|---|---|---|---|---|---|\n");
  for (const uint64_t windows : options.windows) add_rows(model, model.calibrate(options.calibration, windows, 0), set, curves);
  OutputOptions output;
  output.force = true;
  if (!options.figure.empty()) bench::value(write_figure(options.figure, chart_of(curves, options), output));
  return 0;
}
