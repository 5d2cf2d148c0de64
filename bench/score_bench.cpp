// What sensitivity scores cost, family by family, in evaluations of the same windows (a forward with its losses); all in one run.
// usage: score_bench costs|weights|activations|gradients|path [N_WINDOWS [REPEATS [THREADS [MODEL TEXT]]]]   windows of 512 tokens; the
// least of the repeats; threads 0: all Work that does not grow with the text is given in evaluations of 10 windows, whatever their number
// here. Opening the model and encoding are apart. Non-goals: whether the scores are right (tests), how well they do (assay compare).
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/parallel.h"
#include "assay/file/tensor_role.h"
#include "assay/job/inputs.h"
#include "assay/job/make_table.h"
#include "assay/job/score_model.h"
#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/probe/head.h"
#include "assay/probe/observation.h"
#include "assay/score/activation_score.h"
#include "assay/score/gradient_scores.h"
#include "assay/score/importance_score.h"
#include "assay/score/input_score.h"
#include "assay/score/path_gradients.h"
#include "assay/score/registry.h"
#include "assay/score/score_run.h"

namespace {

using namespace assay;
using Clock = std::chrono::steady_clock;

constexpr double kNone = INFINITY;         // nothing is required
constexpr double kPoints = 32;             // gradients of a PQI
constexpr double kForwardsPerPoint = 3.5;  // required of each
constexpr size_t kPointsMeasured = 3;
constexpr double kWindows = 10;            // of the requirements
enum class Grows : uint8_t { kYes, kNo };  // the work, with the text
const std::vector<GgmlType> kTypes = {GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ6_K};

// Elapsed, and of processor time by all threads: the latter says more where something else runs beside, except of families that encode,
// whose encoding is taken off by its elapsed time.
struct Seconds {
  double elapsed = 0, processor = 0;
  Seconds operator-(const Seconds& other) const { return {elapsed - other.elapsed, processor - other.processor}; }
  Seconds operator*(double factor) const { return {elapsed * factor, processor * factor}; }
};
Seconds now() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return {std::chrono::duration<double>(Clock::now().time_since_epoch()).count(), seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "score_bench: {}\n", why);
  std::exit(1);
}

template <class R>
auto value(R result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

// Seconds from the first stage of scoring to the end: opening the model has stages of its own.
class ScoringClock : public Progress {
 public:
  void stage(std::string_view name, uint64_t) override {
    constexpr std::string_view kScoring[] = {"activations", "weights", "types", "inputs", "gradients"};
    if (!begin_ && std::ranges::find(kScoring, name) != std::end(kScoring)) begin_ = now();
  }
  Seconds seconds() const { return begin_ ? now() - *begin_ : Seconds{}; }

 private:
  std::optional<Seconds> begin_;
};

// The scores of a family, by what they are.
template <class Wanted>
std::vector<std::string> names_where(const Wanted& wanted) {
  std::vector<std::string> names;
  for (const auto& score : all_scores())
    if (wanted(*score)) names.emplace_back(score->info().name);
  return names;
}
bool is_nsds(const Score& score) { return score.info().name.starts_with("nsds"); }
bool is_gradient(const Score& score) { return dynamic_cast<const GradientScore*>(&score) != nullptr; }
bool draws_labels(const Score& score) {
  const auto* gradient = dynamic_cast<const GradientScore*>(&score);
  return gradient != nullptr && gradient->labels() == GradientLabels::kDrawn;
}
bool needs_importance(const Score& score) {
  const auto* change = dynamic_cast<const ChangeScore*>(&score);
  return change != nullptr && change->needs_importance();
}

class Bench {
 public:
  Bench(std::string model, const std::string& text, uint64_t windows, int repeats, int threads)
      : model_path_(std::move(model)), repeats_(repeats) {
    settings_.threads = threads;
    text_.path = text;
    text_.windows.chunks = windows;
    apply_settings(settings_);
    model_ = value(open_model(model_path_, settings_, silent_progress()));
    set_ = value(open_windows(text_, model_));
    blocks_ = least([&] { return forward_seconds(false); });
    evaluation_ = least([&] { return forward_seconds(true); });
    fmt::print("{}: {} windows, {} scored tokens; an evaluation takes {:.3f} s ({:.3f} of processor time), its blocks {:.3f}\n\n",
               model_path_, set_.windows.size(), set_.tokens_scored, evaluation_.elapsed, evaluation_.processor, blocks_.elapsed);
    fmt::print("{:46} {:>9} {:>12} {:>14} {:>9}\n", "scores", "seconds", "evaluations", "processor time", "required");
  }

  // Both shapes' requirements; the larger one's holds from a tenth of its weights on.
  double data_free_limit() const {
    uint64_t weights = 0;
    for (const TensorInfo& tensor : model_.checkpoint->tensors()) weights += tensor.elements();
    return weights < 50'000'000 ? 1 : 3;
  }

  // Prints the family's line and returns its seconds.
  Seconds family(const std::string& title, const std::vector<std::string>& names, double required = kNone, Grows grows = Grows::kYes) {
    const Seconds seconds = least([&] {
      ScoreModelOptions options;
      options.model = model_path_;
      options.text = text_;
      options.scores = names;
      options.types = kTypes;
      ScoringClock clock;
      const ScoreModelResult result = value(score_model(options, settings_, clock));
      const double threads = settings_.threads > 0 ? settings_.threads : available_threads();
      return clock.seconds() - Seconds{result.encode_seconds, result.encode_seconds * threads};
    });
    line(title, seconds, required, grows);
    return seconds;
  }

  void line(const std::string& title, Seconds seconds, double required = kNone, Grows grows = Grows::kYes) const {
    const Seconds one = evaluation_ * (grows == Grows::kYes ? 1 : kWindows / static_cast<double>(set_.windows.size()));
    const double evaluations = seconds.elapsed / one.elapsed;
    std::string verdict;
    if (required != kNone) verdict = fmt::format("{:9.2f} {}", required, evaluations <= required ? "met" : "not met");
    fmt::print("{:46} {:9.3f} {:12.2f} {:14.2f} {}\n", title, seconds.elapsed, evaluations, seconds.processor / one.processor, verdict);
  }

  // Gradients along the path to the model at Q4_K, all matrices; then as many as a PQI has.
  void path(size_t points) {
    QuantizationPath path;
    path.base = model_.checkpoint;
    path.far = far();
    path.windows = set_.windows;
    path.network = network_options(settings_);
    path.pass.memory = tile_memory(settings_);
    std::vector<double> ts;
    for (size_t i = 0; i < points; ++i) ts.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(points));
    model_.network.reset();  // one model in memory
    PathGradients spent;
    double best = INFINITY;
    const Seconds seconds = least([&] {
      const Seconds begin = now();
      PathGradients made = value(path_gradients(path, ts));
      const Seconds taken = now() - begin;
      if (taken.elapsed < best) {
        best = taken.elapsed;
        spent = std::move(made);
      }
      return taken;
    });
    const auto n = static_cast<double>(points);
    fmt::print("a gradient on a path: model {:.2f}, forward {:.2f}, backward {:.2f}, its products with the change {:.2f} evaluations\n",
               spent.load_seconds / n / evaluation_.elapsed, spent.forward_seconds / n / evaluation_.elapsed,
               spent.backward_seconds / n / evaluation_.elapsed, spent.reader_seconds / n / evaluation_.elapsed);
    line(fmt::format("PQI, {:.0f} gradients (measured: {})", kPoints, points), seconds * (kPoints / n), kPoints * kForwardsPerPoint);
  }

  double block_share() const { return blocks_.elapsed / evaluation_.elapsed; }

 private:
  template <class Work>
  Seconds least(const Work& work) const {
    Seconds best{INFINITY, INFINITY};
    for (int repeat = 0; repeat < repeats_; ++repeat) {
      const Seconds one = work();
      best = {std::min(best.elapsed, one.elapsed), std::min(best.processor, one.processor)};
    }
    return best;
  }

  Seconds forward_seconds(bool with_losses) const {
    const Seconds begin = now();
    const std::span<const Window> windows = set_.windows;
    const size_t batch = windows_per_batch(windows[0].tokens.size());
    for (size_t first = 0; first < windows.size(); first += batch) {
      const auto some = windows.subspan(first, std::min(batch, windows.size() - first));
      const at::Tensor hidden = value(run_blocks(*model_.network, some));
      if (!with_losses) continue;
      const auto labels = scored_labels(some);
      std::vector<double> nll(labels.size());
      if (const auto status = head_nll(*model_.network, hidden, labels, HeadOptions{}, nll); !status) give_up(status.error().message);
    }
    return now() - begin;
  }

  std::shared_ptr<const StoredMatrices> far() const {
    const ChangeSource changes(model_.network, nullptr, ChangeOptions{});
    auto far = std::make_shared<StoredMatrices>();
    for (const TensorInfo& tensor : model_.checkpoint->tensors())
      if (is_quantizable(tensor) && role_of(tensor.name).role != Role::kPositionEmbd && !usable_types(tensor, {GgmlType::kQ4_K}).empty())
        far->emplace(tensor.name, value(changes.stored(tensor.name, GgmlType::kQ4_K)));
    return far;
  }

  std::string model_path_;
  int repeats_;
  RunSettings settings_;
  TextInput text_;
  OpenModel model_;
  ProbeSet set_;
  Seconds blocks_, evaluation_;
};

void weights(Bench& bench) {
  const auto of_weights = [](const Score& score) {
    const ScoreInfo info = score.info();
    return !info.needs_text && !info.needs_gradients;
  };
  bench.family("data-free without NSDS", names_where([&](const Score& s) { return of_weights(s) && !is_nsds(s); }), kNone, Grows::kNo);
  bench.family("NSDS, two forms", {"nsds", "nsds_faithful"}, kNone, Grows::kNo);
  bench.family("NSDS of RAMP, three forms", {"nsds_ramp", "nsds_ramp_faithful", "nsds_ramp_enhanced"}, kNone, Grows::kNo);
  bench.family("data-free together", names_where(of_weights), bench.data_free_limit(), Grows::kNo);
}

void activations(Bench& bench) {
  const auto of_activations = [](const Score& score) {
    return dynamic_cast<const ActivationScore*>(&score) != nullptr || dynamic_cast<const ImportanceScore*>(&score) != nullptr ||
           needs_importance(score);
  };
  const auto of_inputs = [](const Score& score) { return dynamic_cast<const InputScore*>(&score) != nullptr; };
  bench.family("activations", names_where(of_activations), 1.5);
  bench.family("AWQ's search", names_where(of_inputs), 4, Grows::kNo);
}

void gradients(Bench& bench) {
  const auto of_no_type = [](const Score& score) { return is_gradient(score) && !score.info().by_type; };
  const auto of_text = [&](const Score& score) { return of_no_type(score) && !draws_labels(score); };
  bench.family("gradients without type, the text's labels", names_where(of_text), 4);
  const Seconds alone = bench.family("gradients without type, drawn labels too", names_where(of_no_type));
  const Seconds all = bench.family(fmt::format("gradients, all, {} types", kTypes.size()), names_where(is_gradient));
  bench.line("  a type's share of that", (all - alone) * (1 / static_cast<double>(kTypes.size())), bench.block_share());
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string what = argc > 1 ? argv[1] : "";
  constexpr std::string_view kParts[] = {"costs", "weights", "activations", "gradients", "path"};
  if (std::ranges::find(kParts, what) == std::end(kParts) || argc == 6)
    give_up("usage: score_bench costs|weights|activations|gradients|path [N_WINDOWS [REPEATS [THREADS [MODEL TEXT]]]]");
  const uint64_t windows = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10;
  const int repeats = argc > 3 ? std::max(1, std::atoi(argv[3])) : 3;
  const std::string demo = ASSAY_SOURCE_DIR "/demo/";
  const int threads = argc > 4 ? std::atoi(argv[4]) : 0;
  Bench bench(argc > 6 ? argv[5] : demo + "reference-9m", argc > 6 ? argv[6] : demo + "evaluation.txt", windows, repeats, threads);
  const auto wants = [&](std::string_view part) { return what == "costs" || what == part; };
  if (wants("weights")) weights(bench);
  if (wants("activations")) activations(bench);
  if (wants("gradients")) gradients(bench);
  if (wants("path")) bench.path(kPointsMeasured);
  return 0;
}
