// The curvature table against the measured sweep on the demo model: within-type agreement and both costs, in one run.
// usage: curvature_bench costs|agreement|variations [windows]      variations: agreement of other forms, draws and noises too
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/job/table_rows.h"
#include "assay/probe/collect_imatrix.h"
#include "assay/probe/head.h"
#include "assay/probe/observation.h"
#include "assay/score/agreement.h"
#include "assay/score/curvature.h"

namespace {

using namespace assay;
using T = GgmlType;
using Clock = std::chrono::steady_clock;

const std::vector<T> kTypes = {T::kQ2_K,   T::kQ3_K, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kIQ4_NL,
                               T::kIQ4_XS, T::kQ4_0, T::kQ4_1, T::kQ5_0, T::kQ5_1, T::kQ8_0};
const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "curvature_bench: {}\n", why);
  std::exit(1);
}

template <class R>
auto value(R result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

// One evaluation: forward with head over the windows, the fastest of three.
double evaluation_seconds(const Network& network, std::span<const Window> windows) {
  double best = INFINITY;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto begin = Clock::now();
    const size_t batch = windows_per_batch(windows[0].tokens.size());
    for (size_t first = 0; first < windows.size(); first += batch) {
      const auto some = windows.subspan(first, std::min(batch, windows.size() - first));
      const at::Tensor hidden = value(run_blocks(network, some));
      const auto labels = scored_labels(some);
      std::vector<double> nll(labels.size());
      if (const auto status = head_nll(network, hidden, labels, HeadOptions{}, nll); !status) give_up(status.error().message);
    }
    best = std::min(best, seconds_since(begin));
  }
  return best;
}

class Bench {
 public:
  explicit Bench(uint64_t windows) {
    apply_settings(settings_);
    model_ = value(open_model(kDemo + "reference-9m", settings_, silent_progress()));
    TextInput text{kDemo + "calibration.txt", {}};
    text.windows.chunks = 40;
    const ProbeSet calibration = value(open_windows(text, model_));
    imatrix_ =
        std::make_shared<const Imatrix>(value(collect_imatrix(*model_.network, calibration.windows, ImatrixOptions{}, silent_progress())));
    text.path = kDemo + "evaluation.txt";
    text.windows.chunks = windows;
    set_ = value(open_windows(text, model_));
    changes_ = std::make_unique<ChangeSource>(model_.network, imatrix_, ChangeOptions{uint64_t{1} << 30, 0});
    rows_ = table_rows(*model_.checkpoint, kTypes, Grouping::kTensor);
    floor_ = value(measure_noise_floor(model_.network, set_.windows, 0));
    evaluation_ = evaluation_seconds(*model_.network, set_.windows);
    for (DamageRow& row : rows_)  // encodings are made once and kept
      for (const DamageCell& cell : row.cells) value(changes_->requantized(row.name, cell.type));
    fmt::print(
        "{} windows, {} scored tokens, {} tensors, {} types; noise floor {:.1e} nats\none evaluation: {:.3f} s; encoding: {:.1f} "
        "evaluations\n",
        set_.windows.size(), set_.tokens_scored, rows_.size(), kTypes.size(), floor_, evaluation_,
        changes_->encoding_seconds() / evaluation_);
  }

  void measure() {
    std::vector<ResolvedVariant> variants;
    for (const DamageRow& row : rows_)
      for (const DamageCell& cell : row.cells) variants.push_back({requantize_edits(*model_.network, *changes_, row.name, cell.type)});
    std::vector<double> sum(variants.size());
    const auto begin = Clock::now();
    for (size_t w = 0; w < set_.windows.size(); ++w) {
      const auto status = run_sweep(*model_.network, std::span(set_.windows).subspan(w, 1), variants, SweepOptions{},
                                    [&](size_t variant, size_t, std::span<const PositionObservation> positions) {
                                      for (const PositionObservation& position : positions) sum[variant] += position.kl;
                                    });
      if (!status) give_up(status.error().message);
    }
    fmt::print("measured sweep: {:.0f} evaluations\n\n", seconds_since(begin) / evaluation_);
    size_t v = 0;
    for (DamageRow& row : rows_)
      for (DamageCell& cell : row.cells) cell.damage = sum[v++] / static_cast<double>(set_.tokens_scored);
  }

  CurvatureTable predict(const CurvatureOptions& options) {
    std::vector<CurvatureRequest> requests;
    for (const DamageRow& row : rows_) requests.push_back({row.name, kTypes});
    return value(curvature_table(
        *model_.network, set_.windows, requests, [&](const std::string& tensor, T type) { return changes_->requantized(tensor, type); },
        options));
  }

  void print_costs(double token_fraction, const CurvatureTable& table) const {
    fmt::print(
        "curvature table, {:.0f} % of the tokens in the products: {:.2f} evaluations (forward and backward {:.2f}, products {:.2f}), "
        "decoding the changes {:.2f}\n",
        100 * token_fraction, (table.forward_seconds + table.product_seconds) / evaluation_, table.forward_seconds / evaluation_,
        table.product_seconds / evaluation_, table.change_seconds / evaluation_);
  }

  void print_table(const CurvatureTable& table) const {
    fmt::print("{:8} {:>9} {:>12} {:>12} {:>7} {:>11} {:>12}\n", "type", "Spearman", "predicted", "measured", "ratio", "median s.e.",
               "below floor");
    std::vector<double> all_predicted, all_measured;
    for (size_t c = 0; c < kTypes.size(); ++c) {
      std::vector<double> predicted, measured, errors;
      size_t below = 0;
      for (size_t r = 0; r < rows_.size(); ++r) {
        const CurvatureCell& cell = table.rows[r].cells[c];
        predicted.push_back(cell.damage);
        measured.push_back(rows_[r].cells[c].damage);
        errors.push_back(cell.standard_error / cell.damage);
        below += measured.back() < floor_;
      }
      std::nth_element(errors.begin(), errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2), errors.end());
      print_line(find_type(kTypes[c])->name, predicted, measured, errors[errors.size() / 2], below);
      all_predicted.insert(all_predicted.end(), predicted.begin(), predicted.end());
      all_measured.insert(all_measured.end(), measured.begin(), measured.end());
    }
    print_line("all", all_predicted, all_measured, NAN, 0);
  }

  // One line per variation: the mean and worst within-type Spearman, the smallest and largest ratio.
  void print_summary(const std::string& name, const CurvatureTable& table) const {
    double mean = 0, worst = 1, low = INFINITY, high = 0;
    for (size_t c = 0; c < kTypes.size(); ++c) {
      std::vector<double> predicted, measured;
      for (size_t r = 0; r < rows_.size(); ++r) {
        predicted.push_back(table.rows[r].cells[c].damage);
        measured.push_back(rows_[r].cells[c].damage);
      }
      const double rho = spearman(predicted, measured).value_or(NAN), ratio = sum(predicted) / sum(measured);
      mean += rho / static_cast<double>(kTypes.size());
      worst = std::min(worst, rho);
      low = std::min(low, ratio);
      high = std::max(high, ratio);
    }
    fmt::print("{:44} {:.3f} {:.3f}   {:.3f} {:.3f}   {:5.2f}\n", name, mean, worst, low, high,
               (table.forward_seconds + table.product_seconds) / evaluation_);
  }

 private:
  static double sum(const std::vector<double>& values) {
    double total = 0;
    for (const double v : values) total += v;
    return total;
  }

  static void print_line(std::string_view name, const std::vector<double>& predicted, const std::vector<double>& measured, double error,
                         size_t below) {
    fmt::print("{:8} {:9.3f} {:12.4e} {:12.4e} {:7.3f} {:>11} {:12}\n", name, spearman(predicted, measured).value_or(NAN), sum(predicted),
               sum(measured), sum(predicted) / sum(measured), std::isnan(error) ? "" : fmt::format("{:.1f} %", 100 * error), below);
  }

  RunSettings settings_;
  OpenModel model_;
  ProbeSet set_;
  std::shared_ptr<const Imatrix> imatrix_;
  std::unique_ptr<ChangeSource> changes_;
  std::vector<DamageRow> rows_;
  double floor_ = 0, evaluation_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string what = argc > 1 ? argv[1] : "agreement";
  Bench bench(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 8);
  if (what == "costs") {
    CurvatureOptions options;
    for (const double fraction : {0.25, 1.0}) {
      options.token_fraction = fraction;
      CurvatureTable table = bench.predict(options);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const CurvatureTable again = bench.predict(options);
        table.forward_seconds = std::min(table.forward_seconds, again.forward_seconds);
        table.product_seconds = std::min(table.product_seconds, again.product_seconds);
        table.change_seconds = std::min(table.change_seconds, again.change_seconds);
      }
      bench.print_costs(fraction, table);
    }
    return 0;
  }
  bench.measure();
  const CurvatureTable table = bench.predict({});
  bench.print_costs(CurvatureOptions{}.token_fraction, table);
  bench.print_table(table);
  if (what != "variations") return 0;
  fmt::print("\n{:44} {:>5} {:>5}   {:>5} {:>5}   {:>5}\n", "variation", "mean", "worst", "least", "most", "cost");
  const auto show = [&](const std::string& name, CurvatureOptions options) { bench.print_summary(name, bench.predict(options)); };
  for (const uint32_t samples : {1u, 2u, 4u}) show(fmt::format("as built, {} draws", samples), {.samples = samples});
  show("all tokens", {.token_fraction = 1});
  show("labels", {.noise = CurvatureNoise::kLabels});
  show("even draw of tokens", {.draw = TokenDraw::kEven});
  show("token form", {.form = CurvatureForm::kToken});
  show("token form, labels, even draw", {.form = CurvatureForm::kToken, .noise = CurvatureNoise::kLabels, .draw = TokenDraw::kEven});
  show("segment form", {.form = CurvatureForm::kSegment});
  for (const uint32_t samples : {1u, 4u})
    show(fmt::format("window form, {} draws", samples), {.form = CurvatureForm::kWindow, .samples = samples});
  return 0;
}
