// What one attention mode costs in a sweep of many, in plain forwards of the blocks that it runs (blocks from its first replaced layer on,
// and the head on the scored positions). Required: at most 2.
//
// usage: attention_bench [REPEATS [THREADS [MODEL TEXT [TOKENS]]]]
//
// Figures are the least of the repeats, processor time; 0 threads: all. A mode's cost is (a sweep with n streams of it - a sweep of the
// unedited model) / n: what is shared up to the first replaced layer's softmax, largest weight and residual is shared by these n.
// Non-goals: whether modes are right (tests).
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/job/inputs.h"
#include "assay/probe/sweep.h"

namespace {

using namespace assay;

constexpr size_t kStreams = 12;
constexpr double kRequired = 2;

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double least(int repeats, const std::function<void()>& body) {
  double best = 1e300;
  for (int i = 0; i < repeats; ++i) {
    const double begin = processor_seconds();
    body();
    best = std::min(best, processor_seconds() - begin);
  }
  return best;
}

std::shared_ptr<const std::vector<float>> random_rows(int64_t d) {
  std::vector<float> rows(static_cast<size_t>(d * d));
  CounterRandom random(1, 2);
  for (float& value : rows) value = static_cast<float>(random.next_normal() / 8);
  return std::make_shared<const std::vector<float>>(std::move(rows));
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, const std::string& fallback) { return argc > i ? std::string(argv[i]) : fallback; };
  const int repeats = std::atoi(argument(1, "5").c_str());
  RunSettings settings;
  settings.threads = std::atoi(argument(2, "0").c_str());
  apply_settings(settings);
  auto model = open_model(argument(3, ASSAY_SOURCE_DIR "/demo/reference-9m"), settings, silent_progress());
  if (!model) return std::fprintf(stderr, "%s\n", model.error().message.c_str()), 1;
  TextInput text{argument(4, ASSAY_SOURCE_DIR "/demo/evaluation.txt"), {}};
  text.windows.ctx = static_cast<uint32_t>(std::atoi(argument(5, "512").c_str()));
  text.windows.rule = WindowRule::kFull;
  text.windows.chunks = 1;
  const auto set = open_windows(text, *model);
  if (!set) return std::fprintf(stderr, "%s\n", set.error().message.c_str()), 1;
  const Network& network = *model->network;
  const Hyper& hyper = network.hyper();
  const std::span<const Window> windows = set->windows;
  const auto sweep = [&](const std::vector<ResolvedVariant>& variants) {
    if (const Status status = run_sweep(network, windows, variants, {}, [](auto...) {}); !status)
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
  };
  const double base = least(repeats, [&] { sweep({ResolvedVariant{}}); });
  const auto basis = random_rows(hyper.head_dim);
  struct Mode {
    std::string name;
    HeadRule rule;
  };
  const std::vector<Mode> modes = {{"full", {}},
                                   {"top-1", {HeadRule::Kind::kTop1}},
                                   {"top-2", {HeadRule::Kind::kTopK, 2}},
                                   {"top-8", {HeadRule::Kind::kTopK, 8}},
                                   {"rank 1", {HeadRule::Kind::kLowRank, 1, basis}},
                                   {"rank 8", {HeadRule::Kind::kLowRank, 8, basis}},
                                   {"rank 32", {HeadRule::Kind::kLowRank, 32, basis}}};
  bool held = true;
  for (const int first : {hyper.layers - 1, hyper.layers - std::max(1, hyper.layers / 4), 0}) {
    const double plain = least(repeats, [&] {
      at::NoGradGuard no_grad;
      const auto tokens = static_cast<int64_t>(windows[0].tokens.size());
      at::Tensor h = *network.embed(token_matrix(windows));
      for (int layer = first; layer < hyper.layers; ++layer) {
        const auto block = *network.block(layer);
        h = layer + 1 < hyper.layers ? block->forward(h, 1, tokens)
                                     : block->forward_scored(h, 1, tokens, windows[0].score_begin, windows[0].score_end);
      }
      network.head().multiply(network.final_norm(h));
    });
    for (const Mode& mode : modes) {
      std::vector<ResolvedVariant> variants(kStreams);
      for (size_t i = 0; i < kStreams; ++i)
        for (int layer = first; layer < hyper.layers; ++layer) {
          auto rules = std::make_shared<AttentionRules>(static_cast<size_t>(hyper.heads), mode.rule);
          variants[i].attention.push_back({layer, std::to_string(i), std::move(rules)});
        }
      const double one = (least(repeats, [&] { sweep(variants); }) - base) / static_cast<double>(kStreams);
      held = held && one <= kRequired * plain;
      std::printf("layers %d-%d  %-8s %8.2f ms, %5.2f plain forwards of these blocks (%.2f ms)\n", first, hyper.layers - 1,
                  mode.name.c_str(), 1e3 * one, one / plain, 1e3 * plain);
    }
  }
  std::printf("required: at most %.0f: %s\n", kRequired, held ? "held" : "MISSED");
  return 0;
}
