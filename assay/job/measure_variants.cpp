#include "assay/job/measure_variants.h"

#include <algorithm>

#include "assay/base/sha256.h"
#include "assay/probe/observation_payload.h"

namespace assay {
namespace {

// With 512 tokens of a 0.5 B model a minute or two on two cores, and far more than a product needs to be efficient. A small model takes
// more at once, since every unit runs the unedited model again; then some 20 seconds.
size_t variants_per_unit(const Network& network) {
  constexpr double kWeights = 500e6;
  constexpr size_t kLeast = 96, kMost = 480;
  double weights = 0;
  for (const TensorInfo& tensor : network.checkpoint().tensors()) weights += static_cast<double>(tensor.elements());
  return static_cast<size_t>(std::clamp(kLeast * kWeights / std::max(1.0, weights), double{kLeast}, double{kMost}));
}

std::string unit_name(std::span<const NamedVariant> variants) {
  Sha256 name;
  for (const NamedVariant& variant : variants) name.add(variant.name + ';');
  return name.hex();
}

std::vector<WindowSums> join(const std::vector<std::vector<WindowSums>>& parts) {
  std::vector<WindowSums> all;
  for (const std::vector<WindowSums>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

Result<ObservedVariants> measure_variants(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                          UnitStore& store, const MeasureOptions& options, Progress& progress) {
  ObservedVariants observed(variants.size());
  progress.stage("sweep", windows.size() * variants.size());
  const size_t per_unit = variants_per_unit(*model.network);
  store.plan(windows.size() * ((variants.size() + per_unit - 1) / per_unit));
  UninterruptedProgress unit_progress(progress);
  uint64_t done = 0;
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto window = windows.subspan(w, 1);
    UnitKey key = store.key("sweep");
    key.add("changes", options.depends_on).add("windows", fingerprint(window));
    if (options.segment != 0) key.add("segment", options.segment);
    const auto units = store.units(std::move(key));
    std::vector<std::vector<WindowSums>> all;
    bool left_out = false;
    for (size_t begin = 0; begin < variants.size() && !left_out; begin += per_unit) {
      const auto some = variants.subspan(begin, std::min(per_unit, variants.size() - begin));
      const auto run = [&]() -> Result<std::string> {
        std::vector<ResolvedVariant> resolved;
        for (const NamedVariant& one : some) resolved.push_back(one.variant);
        std::vector<std::vector<WindowSums>> sums(some.size());
        ASSAY_TRY(run_sweep(
            *model.network, window, resolved, options.sweep,
            [&](size_t variant, size_t, std::span<const PositionObservation> positions) {
              sums[variant] = sum_segments(window[0].document, positions, options.segment);
              progress.update(++done);
            },
            unit_progress));
        return to_payload(join(sums));
      };
      const auto payload = find_or_make(*units, unit_name(some), run);
      left_out = !payload && is_left_out(*units, payload.error());
      if (left_out) break;
      if (!payload) return fail(payload.error());
      ASSAY_ASSIGN(const std::vector<WindowSums> sums, window_sums_from_payload(*payload));
      const size_t each = sums.size() / some.size();
      if (each == 0 || each * some.size() != sums.size())
        return fail(ErrorCode::kBadInput, "store: a finished unit has another number of variants");
      for (size_t v = 0; v < some.size(); ++v)
        all.emplace_back(sums.begin() + static_cast<ptrdiff_t>(v * each), sums.begin() + static_cast<ptrdiff_t>((v + 1) * each));
      progress.update(done = w * variants.size() + begin + some.size());
    }
    if (left_out) continue;
    for (size_t v = 0; v < variants.size(); ++v) observed[v].insert(observed[v].end(), all[v].begin(), all[v].end());
  }
  if (!variants.empty() && observed[0].empty()) return fail(ErrorCode::kNotFound, "sweep: no window is finished yet");
  return observed;
}

double forward_equivalents(const Network& network, const Window& window, const ResolvedVariant& variant) {
  const Hyper& hyper = network.hyper();
  const int layers = hyper.layers;
  double block = 0;  // weights
  for (const Site site : kSites)
    if (const TensorInfo* info = network.checkpoint().find(network.tensor_name(0, site))) block += static_cast<double>(info->elements());
  const double head = static_cast<double>(network.checkpoint().find(network.head_tensor())->elements()) *
                      static_cast<double>(window.scored()) / static_cast<double>(window.tokens.size());
  const int shared = first_change(variant, layers);
  const auto steps = static_cast<double>(variant.steps ? variant.steps->size() : static_cast<size_t>(layers));
  return ((steps - std::min(shared, layers)) * block + head) / (layers * block + head);
}

}  // namespace assay
