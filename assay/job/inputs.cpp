#include "assay/job/inputs.h"

#include <malloc.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <bit>

#include "assay/base/parallel.h"
#include "assay/base/random.h"
#include "assay/base/text.h"
#include "assay/file/gguf_semantics.h"
#include "assay/probe/changes.h"
#include "assay/probe/observation.h"
#include "assay/probe/sweep.h"

namespace assay {

namespace {

// Activations are tens of megabytes and live for one block: glibc would map each afresh, and clearing its pages is a quarter of a
// forward's time. Keep freed memory instead.
void keep_freed_memory() {
  constexpr int kKept = 1 << 30;  // bytes at the top of the heap
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kKept);
}

}  // namespace

void apply_settings(const RunSettings& settings) {
  keep_freed_memory();
  at::set_num_threads(settings.threads > 0 ? settings.threads : available_threads());
}

uint64_t memory_budget(const RunSettings& settings) {
  if (settings.memory > 0) return settings.memory;
  struct sysinfo info{};
  if (sysinfo(&info) != 0) return uint64_t{4} << 30;
  return static_cast<uint64_t>(info.totalram) * info.mem_unit / 4 * 3;
}

uint64_t tile_memory(const RunSettings& settings) { return std::bit_floor(memory_budget(settings) / 4); }

NetworkOptions network_options(const RunSettings& settings) {
  NetworkOptions options;
  options.compute = settings.compute;
  options.device = settings.device;
  options.memory_limit = memory_budget(settings) / 2;
  options.threads = settings.threads;
  return options;
}

Result<OpenModel> open_model(const std::string& path, const RunSettings& settings, Progress& progress) {
  OpenModel model;
  model.path = path;
  ASSAY_ASSIGN(model.checkpoint, Checkpoint::open(path));
  ASSAY_TRY(check_model_semantics(model.checkpoint->metadata(), model.checkpoint->tensors()));
  for (const std::string& warning : model.checkpoint->warnings()) progress.log("warning: " + warning);
  ASSAY_ASSIGN(Tokenizer tokenizer, Tokenizer::from_metadata(model.checkpoint->metadata()));
  model.tokenizer = std::make_shared<const Tokenizer>(std::move(tokenizer));
  ASSAY_ASSIGN(model.network, Network::load(model.checkpoint, network_options(settings), progress));
  return model;
}

Result<ProbeSet> open_windows(const TextInput& text, const OpenModel& model) {
  const uint64_t ctx = text.windows.max_tokens > 0 ? text.windows.max_tokens : text.windows.ctx;
  ASSAY_TRY(check_context(model.network->hyper(), ctx));
  ASSAY_ASSIGN(const std::string corpus, read_corpus(text.path));
  auto set = make_windows(corpus, *model.tokenizer, text.windows);
  if (!set) return fail(set.error().code, text.path + ": " + set.error().message);
  return set;
}

size_t windows_per_batch(size_t tokens_per_window) {
  constexpr size_t kTokens = 2048;
  return std::max<size_t>(1, kTokens / tokens_per_window);
}

Result<double> measure_noise_floor(const std::shared_ptr<const Network>& network, std::span<const Window> windows, uint64_t seed) {
  const int layers = network->hyper().layers;
  const ChangeSource changes(network, nullptr, ChangeOptions{0, 1});
  std::vector<ResolvedVariant> variants;
  for (const int layer : {0, layers / 2, layers - 1}) {
    const std::string tensor = network->tensor_name(layer, Site::kDown);
    const TensorInfo* info = network->checkpoint().find(tensor);
    const uint64_t index = CounterRandom(seed, static_cast<uint64_t>(layer)).next_below(info->elements());
    variants.push_back({{ResolvedEdit{layer, Site::kDown, "null" + std::to_string(index),
                                      [&changes, tensor, index] { return changes.scaled_weight(tensor, index, 1 + 0x1.0p-8); }}}});
  }
  std::vector<Observation> observed(variants.size(), Observation(false));
  const auto some = windows.subspan(0, std::min<size_t>(windows.size(), windows_per_batch(windows[0].tokens.size())));
  ASSAY_TRY(run_sweep(*network, some, variants, SweepOptions{},
                      [&](size_t variant, size_t window, std::span<const PositionObservation> positions) {
                        observed[variant].add(some[window].document, positions);
                      }));
  double floor = 0;
  for (const Observation& observation : observed) floor = std::max(floor, observation.mean_kl());
  return floor;
}

}  // namespace assay
