#include "assay/job/measure_adaptive.h"

#include <algorithm>
#include <numeric>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr uint64_t kOrderStream = 0x77696e646f7773;

// One stage for all rounds: a round counts from where the last one ended.
class RoundProgress final : public Progress {
 public:
  explicit RoundProgress(Progress& inner) : inner_(inner) {}
  void update(uint64_t done, std::string_view note) override { inner_.update(before_ + done, note); }
  void log(std::string_view line) override { inner_.log(line); }
  bool interrupted() const override { return inner_.interrupted(); }
  void end_round(uint64_t done) { before_ += done; }

 private:
  Progress& inner_;
  uint64_t before_ = 0;
};

double mean_kl(const WindowSums& window) { return window.kl / static_cast<double>(window.count); }

// The interval is narrow enough, or all of it is below what can be told from nothing.
bool is_narrow(std::span<const WindowSums> measured, uint64_t windows, const AdaptiveOptions& options) {
  std::vector<double> values;
  for (const WindowSums& window : measured) values.push_back(mean_kl(window));
  const Interval interval = anytime_interval(values, windows, options.rule.error_rate);
  const double half = interval.high - interval.value;
  return half <= options.rule.width * interval.value || interval.high < options.noise_floor;
}

}  // namespace

std::vector<size_t> by_mean(const ObservedVariants& observed) {
  std::vector<double> means;
  for (const std::vector<WindowSums>& windows : observed) {
    WindowTotals totals;
    for (const WindowSums& window : windows) totals.add(window);
    means.push_back(mean_kl(totals.value()));
  }
  std::vector<size_t> order(observed.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return means[a] > means[b]; });
  return order;
}

Result<AdaptiveResult> measure_until(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                     UnitStore& store, const AdaptiveOptions& options, Progress& progress) {
  std::vector<size_t> place(windows.size());
  std::iota(place.begin(), place.end(), size_t{0});
  CounterRandom random(options.seed, kOrderStream);
  draw_to_front(random, place.size(), place);

  AdaptiveResult result;
  result.observed.resize(variants.size());
  const bool ranks = options.rule.kind == StopRule::Kind::kRankStable;
  SettledOrder order(variants.size(), windows.size(), options.rule.error_rate, options.noise_floor);
  std::vector<size_t> open(variants.size());
  std::iota(open.begin(), open.end(), size_t{0});
  progress.stage("sweep, at most", windows.size() * variants.size());
  RoundProgress round(progress);
  for (size_t w = 0; w < place.size() && !open.empty(); ++w) {
    std::vector<NamedVariant> some;
    for (const size_t v : open) some.push_back(variants[v]);
    auto observed = measure_variants(model, windows.subspan(place[w], 1), some, store, options.measure, round);
    // A report of what is finished ends where a window is not.
    if (!observed && observed.error().code == ErrorCode::kNotFound && w > 0) break;
    if (!observed) return fail(std::move(observed).error());
    round.end_round(open.size());
    for (size_t i = 0; i < open.size(); ++i) result.observed[open[i]].push_back((*observed)[i][0]);
    if (ranks) {
      std::vector<double> values;
      for (const size_t v : order.open()) values.push_back(mean_kl(result.observed[v].back()));
      order.add(values);
      order.split();
      if (variants.size() > 1) open = order.open();
    } else if (w + 1 >= StopRule::kLeast) {
      std::erase_if(open, [&](size_t v) { return is_narrow(result.observed[v], windows.size(), options); });
    }
  }
  result.order = ranks ? order.order() : by_mean(result.observed);
  return result;
}

}  // namespace assay
