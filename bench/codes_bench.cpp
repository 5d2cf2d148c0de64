// Codes chosen under second moments against nearest codes at equal bytes: every matrix of the demo model's blocks at one type, KL on
// held-out texts with paired intervals, the error of the outputs, and the time against the plain encoder's. Then what each stage costs
// beside what its multiply-adds alone would take. Times are those of one thread on the CPU, so that other work on the machine does not
// count. usage: codes_bench CALIBRATION EVALUATION[,EVALUATION...] [options]; --help lists them
#include <fmt/format.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "assay/quant/codec.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/scale_layout.h"
#include "bench/chosen_codes.h"

namespace {

using namespace assay;
using T = GgmlType;
using Clock = std::chrono::steady_clock;

constexpr double kDamping = 0.003;
constexpr int kRepeats = 5;  // of the peak, the least time counts

// Float32 multiply-adds per nanosecond of one thread, as fast as the CPU does them: independent sums in registers. 0: not known here.
#ifdef __x86_64__
constexpr int kSums = 12, kRounds = 4'000'000;
__attribute__((noinline, target("avx512f"))) void multiply_add_avx512() {
  __m512 sums[kSums] = {};
#pragma GCC unroll 12
  for (__m512& sum : sums) asm volatile("" : "+v"(sum));  // nothing is known of them
  const __m512 factor = _mm512_set1_ps(0.5f);
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, factor, factor);
  }
#pragma GCC unroll 12
  for (__m512& sum : sums) asm volatile("" : "+v"(sum));
}
__attribute__((noinline, target("avx2,fma"))) void multiply_add_avx2() {
  __m256 sums[kSums] = {};
#pragma GCC unroll 12
  for (__m256& sum : sums) asm volatile("" : "+x"(sum));  // nothing is known of them
  const __m256 factor = _mm256_set1_ps(0.5f);
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, factor, factor);
  }
#pragma GCC unroll 12
  for (__m256& sum : sums) asm volatile("" : "+x"(sum));
}
double peak() {
  constexpr double kBillions = 1e-9 * kSums * kRounds;
  if (__builtin_cpu_supports("avx512f")) return 16 * kBillions / bench::least_seconds(kRepeats, multiply_add_avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return 8 * kBillions / bench::least_seconds(kRepeats, multiply_add_avx2);
  return 0;
}
#else
double peak() { return 0; }
#endif

// Multiply-adds per weight of a sweep of descent: e H anew, then what each move of a code or a parameter changes in its block of columns.
double descent_work(T type, int64_t width) {
  int moves = 1;
  if (const ScaleLayout* layout = find_scale_layout(type)) {
    moves += layout->has_group_scales() + (layout->minimum_high > 1) + (layout->unit != UnitForm::kOne) + layout->has_minimum();
  } else if (const GridFormat* format = find_grid_format(type)) {
    moves += 2 + (format->shifts == Shifts::kPerRun);
  }
  return static_cast<double>(width + moves * std::min<int64_t>(width, codes::kColumns));
}

// Sums over matrices.
struct Cost {
  double seconds = 0, error = 0;
};

struct Options {
  std::string calibration;
  std::vector<std::string> evaluations;
  uint64_t calibration_chunks = 0, chunks = 0;  // 0: the whole text
  std::vector<std::string> types;               // empty: all that can choose codes
  double damping = kDamping;                    // 0: chosen by what holds on tokens held back
  int repeats = 5;                              // the least time counts
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    const auto begin = Clock::now();
    calibration_ = model_.calibrate(options.calibration, options.calibration_chunks, options.damping);
    fmt::print("{}: second moments of {} windows in {:.1f} s", options.calibration, calibration_.windows,
               std::chrono::duration<double>(Clock::now() - begin).count());
    for (const auto& [role, damping] : calibration_.damping) fmt::print("; damping {} {}", role, damping);
    fmt::print("\n");
    for (const std::string& text : options.evaluations) {
      sets_.push_back(model_.windows(text, options.chunks));
      fmt::print("{}: {} windows of {} documents\n", text, sets_.back().windows.size(), sets_.back().documents);
    }
  }

  // One line per text.
  void compare(T type) {
    if (!model_.takes(type)) return;
    std::vector<bench::Changes> variants;
    std::map<Codes, Cost> cost;
    double plain = 0, weights = 0, walk = 0, sweeps = 0, descent = 0;  // multiply-adds of a walk over the columns and of all sweeps
    for (const Codes codes : {Codes::kNearest, Codes::kFeedback, Codes::kBest}) {
      bench::Changes& changes = variants.emplace_back();
      for (const auto& [tensor, moment] : calibration_.moments) {
        const bench::Encoded one = model_.encode(tensor, type, *moment, codes, options_.repeats);
        plain += one.plain_seconds;
        cost[codes].seconds += one.seconds;
        cost[codes].error += one.report.final;
        if (codes == Codes::kBest) {
          const auto count = static_cast<double>(one.change.numel());
          weights += count;
          walk += count * static_cast<double>(moment->width()) / 2;
          sweeps += count * one.report.sweeps;
          descent += count * one.report.sweeps * descent_work(type, moment->width());
        }
        changes[tensor] = one.change;
      }
    }
    for (size_t text = 0; text < sets_.size(); ++text) {
      const std::vector<Observation> observed = model_.measure(variants, sets_[text]);
      std::string line = fmt::format("| {} |", find_type(type)->name);
      if (sets_.size() > 1) line += fmt::format(" {} |", options_.evaluations[text]);
      line += fmt::format(" {:.6f} |", observed[0].mean_kl());
      for (const Codes codes : {Codes::kFeedback, Codes::kBest}) {
        const Interval change = bench::relative_kl(observed[codes == Codes::kFeedback ? 1 : 2], observed[0]);
        line += fmt::format(" {:+.1f} % [{:+.1f}, {:+.1f}] | {:.3f} | {:.1f} |", 100 * change.value, 100 * change.low, 100 * change.high,
                            cost[codes].error / cost[Codes::kNearest].error, cost[codes].seconds / plain);
      }
      fmt::print("{}\n", line);
    }
    std::fflush(stdout);
    const auto stage = [&](double seconds, double work, double per) {
      return fmt::format(" {:.2f} | {:.2f} |", 1e9 * seconds / per, work / per / peak_);
    };
    stages_ += fmt::format("| {} | {:.2f} |", find_type(type)->name, 1e9 * plain / weights) +
               stage(cost[Codes::kNearest].seconds - plain, walk, weights) +
               stage(cost[Codes::kFeedback].seconds - cost[Codes::kNearest].seconds, walk, weights) +
               stage(cost[Codes::kBest].seconds - cost[Codes::kFeedback].seconds, descent, sweeps) +
               fmt::format(" {:.1f} |\n", sweeps / weights);
  }

  void print_head() const {
    const bool several = sets_.size() > 1;
    fmt::print(
        "| type |{} KL, nearest | feedback | output error | time | best | output error | time |\n|---|{}---|---|---|---|---|---|---|\n",
        several ? " text |" : "", several ? "---|" : "");
  }
  // ns per weight, and the same if its multiply-adds were all, at the rate that this CPU reaches.
  void print_stages() const {
    fmt::print(
        "\n{:.1f} float32 multiply-adds per ns and thread; ns per weight, and at that rate\n"
        "| type | plain | read, measure | limit | feedback, write | limit | a sweep | limit | sweeps |\n"
        "|---|---|---|---|---|---|---|---|---|\n{}",
        peak_, stages_);
  }

 private:
  Options options_;
  double peak_ = peak();
  std::string stages_;
  bench::DemoModel model_;
  std::vector<ProbeSet> sets_;
  bench::Calibration calibration_;
};

}  // namespace

int main(int count, char** arguments) {
  at::NoGradGuard no_grad;
  Options options;
  CLI::App app("codes chosen under second moments against nearest codes, demo model");
  app.add_option("calibration", options.calibration, "text")->required();
  app.add_option("evaluation", options.evaluations, "held-out texts")->required()->delimiter(',');
  app.add_option("--calibration-chunks", options.calibration_chunks, "windows of 512 tokens; 0: all");
  app.add_option("--chunks", options.chunks, "windows of each held-out text; 0: all");
  app.add_option("--types", options.types, "ggml types; default: all that can choose codes")->delimiter(',');
  app.add_option("--damping", options.damping, "share of the mean diagonal; 0: chosen as imatrix --full does");
  app.add_option("--repeats", options.repeats, "of each encoding, the least time counts")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  Bench comparison(options);
  comparison.print_head();
  for (const T type : bench::types_of(options.types)) comparison.compare(type);
  if (options.types.empty())
    for (const Codec& codec : all_codecs())
      if (can_choose_codes(codec.info->type)) comparison.compare(codec.info->type);
  comparison.print_stages();
  return 0;
}
