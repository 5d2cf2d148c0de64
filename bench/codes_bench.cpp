// Codes chosen under second moments against nearest codes at equal bytes: every matrix of the demo model's blocks at one type, KL on
// held-out text with paired intervals, the error of the outputs, and the time against the plain encoder's. Then what each stage costs
// beside what its multiply-adds alone would take. Times are those of one thread on the CPU, so that other work on the machine does not
// count. usage: codes_bench CALIBRATION EVALUATION [chunks of each [TYPE...]]
#include <fmt/format.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "assay/codes/encode_codes.h"
#include "assay/job/inputs.h"
#include "assay/probe/collect_moments.h"
#include "assay/probe/observation.h"
#include "assay/probe/statistics.h"
#include "assay/probe/sweep.h"
#include "assay/quant/codec.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/scale_layout.h"

namespace {

using namespace assay;
using T = GgmlType;
using Clock = std::chrono::steady_clock;

constexpr double kDamping = 0.003;
constexpr int kRepeats = 5;  // the least time counts
const std::string kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";

template <class R>
auto value(R result) {
  if (!result) {
    fmt::print(stderr, "codes_bench: {}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (requires { *result; }) return std::move(*result);
}

// Seconds that this thread has worked.
double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double least_seconds(int repeats, const Work& work) {
  double least = INFINITY;
  for (int i = 0; i < repeats; ++i) {
    const double begin = thread_seconds();
    work();
    least = std::min(least, thread_seconds() - begin);
  }
  return least;
}

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
  if (__builtin_cpu_supports("avx512f")) return 16 * kBillions / least_seconds(kRepeats, multiply_add_avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8 * kBillions / least_seconds(kRepeats, multiply_add_avx2);
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

// One encoded matrix of the model.
struct Encoded {
  at::Tensor change;
  double seconds = 0, plain_seconds = 0;  // the latter with kNearest
  CodesReport report;
};

// Sums over matrices.
struct Cost {
  double seconds = 0, error = 0;
};

class Bench {
 public:
  Bench(const std::string& calibration, const std::string& evaluation, uint64_t chunks) {
    apply_settings({});
    model_ = value(open_model(kModel, {}, silent_progress()));
    TextInput text{calibration, {}};
    text.windows.chunks = chunks;
    const ProbeSet seen = value(open_windows(text, model_));
    text.path = evaluation;
    set_ = value(open_windows(text, model_));
    const auto inputs = moment_inputs(*model_.network, false);
    const auto begin = Clock::now();
    value(collect_moments(*model_.network, seen.windows, inputs, 0, [&](const MomentInput& input, const CollectedMoment& moment) -> Status {
      const auto prepared = std::make_shared<const SecondMoment>(value(SecondMoment::prepare(moment.all, kDamping)));
      moments_[input.tensor] = prepared;
      for (const std::string& other : input.shared) moments_[other] = prepared;
      return {};
    }));
    fmt::print("{}: second moments of {} windows in {:.1f} s; {} on {} windows\n", calibration, seen.windows.size(),
               std::chrono::duration<double>(Clock::now() - begin).count(), evaluation, set_.windows.size());
  }

  void compare(T type) {
    if (model_.network->checkpoint().find("blk.0.attn_q.weight")->row_length() % find_type(type)->block_size != 0) return;
    std::map<Codes, Observation> observed;
    std::map<Codes, Cost> cost;
    double plain = 0, weights = 0, walk = 0, sweeps = 0, descent = 0;  // multiply-adds of a walk over the columns and of all sweeps
    for (const Codes codes : {Codes::kNearest, Codes::kFeedback, Codes::kBest}) {
      ResolvedVariant variant;
      for (const auto& [tensor, moment] : moments_) {
        Encoded one = encode_one(tensor, type, *moment, codes);
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
        variant.edits.push_back(edit_of(tensor, codes, one.change));
      }
      observed.emplace(codes, measure(variant));
    }
    const Observation& nearest = observed.at(Codes::kNearest);
    std::string line = fmt::format("| {} | {:.6f} |", find_type(type)->name, nearest.mean_kl());
    for (const Codes codes : {Codes::kFeedback, Codes::kBest}) {
      const Interval change = bootstrap_pair(observed.at(codes).windows(), nearest.windows(),
                                             [](const WindowSums& a, const WindowSums& b) { return a.kl / b.kl - 1; }, {2000, 0});
      line += fmt::format(" {:+.1f} % [{:+.1f}, {:+.1f}] | {:.3f} | {:.1f} |", 100 * change.value, 100 * change.low, 100 * change.high,
                          cost[codes].error / cost[Codes::kNearest].error, cost[codes].seconds / plain);
    }
    fmt::print("{}\n", line);
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

  // ns per weight, and the same if its multiply-adds were all, at the rate that this CPU reaches.
  void print_stages() const {
    fmt::print(
        "\n{:.1f} float32 multiply-adds per ns and thread; ns per weight, and at that rate\n"
        "| type | plain | read, measure | limit | feedback, write | limit | a sweep | limit | sweeps |\n"
        "|---|---|---|---|---|---|---|---|---|\n{}",
        peak_, stages_);
  }

 private:
  Encoded encode_one(const std::string& tensor, T type, const SecondMoment& moment, Codes codes) const {
    const at::Tensor weight = value(model_.network->plain_weight(tensor));
    const std::span<const float> values(weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel()));
    const auto width = static_cast<uint64_t>(weight.size(1));
    std::vector<std::byte> bytes(values.size() / find_type(type)->block_size * find_type(type)->block_bytes);
    Encoded one;
    if (codes == Codes::kNearest) {
      EncodeOptions options;
      options.importance = moment.importance();
      options.threads = 1;
      one.plain_seconds = least_seconds(kRepeats, [&] { value(encode(type, values, width, bytes, options)); });
    }
    one.seconds = least_seconds(kRepeats, [&] { one.report = value(encode_codes(type, weight, moment, codes, 1, bytes)); });
    one.change = at::empty_like(weight);
    value(decode(type, bytes, width, {one.change.mutable_data_ptr<float>(), values.size()}));
    one.change.sub_(weight);
    return one;
  }

  ResolvedEdit edit_of(const std::string& tensor, Codes codes, const at::Tensor& change) const {
    ResolvedEdit edit;
    for (int layer = 0; layer < model_.network->hyper().layers; ++layer)
      for (const Site site : kSites)
        if (model_.network->tensor_name(layer, site) == tensor) edit.layer = layer, edit.site = site;
    edit.key = tensor + std::string(name_of(codes));
    edit.make = [change]() -> Result<at::Tensor> { return change; };
    return edit;
  }

  Observation measure(const ResolvedVariant& variant) const {
    Observation observation(false);
    const std::vector<ResolvedVariant> variants = {variant};
    const size_t batch = windows_per_batch(set_.windows[0].tokens.size());
    for (size_t first = 0; first < set_.windows.size(); first += batch) {
      const auto some = std::span(set_.windows).subspan(first, std::min(batch, set_.windows.size() - first));
      value(run_sweep(*model_.network, some, variants, SweepOptions{},
                      [&](size_t, size_t window, std::span<const PositionObservation> positions) {
                        observation.add(some[window].document, positions);
                      }));
    }
    return observation;
  }

  double peak_ = peak();
  std::string stages_;
  OpenModel model_;
  ProbeSet set_;
  std::map<std::string, std::shared_ptr<const SecondMoment>> moments_;
};

}  // namespace

int main(int count, char** arguments) {
  at::NoGradGuard no_grad;
  if (count < 3) {
    fmt::print(stderr, "usage: codes_bench CALIBRATION EVALUATION [chunks of each [TYPE...]]\n");
    return 64;
  }
  Bench bench(arguments[1], arguments[2], count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 0);
  fmt::print("| type | KL, nearest | feedback | output error | time | best | output error | time |\n|---|---|---|---|---|---|---|---|\n");
  if (count > 4) {
    for (int i = 4; i < count; ++i)
      if (const GgmlTypeInfo* info = find_type(std::string_view(arguments[i]))) bench.compare(info->type);
  } else {
    for (const Codec& codec : all_codecs())
      if (can_choose_codes(codec.info->type)) bench.compare(codec.info->type);
  }
  bench.print_stages();
  return 0;
}
