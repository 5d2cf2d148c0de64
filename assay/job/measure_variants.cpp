#include "assay/job/measure_variants.h"

#include <algorithm>

#include "assay/base/payload.h"
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

// A unit: for each variant its windows, or segments, and with them the KL of every position where that is kept.
struct UnitResult {
  std::vector<WindowSums> sums;
  std::vector<float> kl;
};

Result<std::string> write_unit(const UnitResult& unit, bool positions) {
  if (!positions) return to_payload(unit.sums);
  ASSAY_ASSIGN(const std::string sums, to_payload(unit.sums));
  PayloadWriter writer;
  writer.add(std::string_view(sums));
  writer.add(std::span<const float>(unit.kl), "KL");
  return std::move(writer).finish();
}

Result<UnitResult> read_unit(const std::string& payload, bool positions) {
  UnitResult unit;
  if (!positions) {
    ASSAY_ASSIGN(unit.sums, window_sums_from_payload(payload));
    return unit;
  }
  PayloadReader reader(payload);
  const std::string sums = reader.text();
  unit.kl = reader.floats();
  ASSAY_TRY(reader.finish());
  ASSAY_ASSIGN(unit.sums, window_sums_from_payload(sums));
  return unit;
}

// `each` of many, per variant.
template <class Item>
Status share_out(const std::vector<Item>& all, size_t variants, std::vector<std::vector<Item>>& shares) {
  const size_t each = all.size() / variants;
  if (each == 0 || each * variants != all.size())
    return fail(ErrorCode::kBadInput, "store: a finished unit has another number of variants");
  for (size_t v = 0; v < variants; ++v)
    shares.emplace_back(all.begin() + static_cast<ptrdiff_t>(v * each), all.begin() + static_cast<ptrdiff_t>((v + 1) * each));
  return {};
}

template <class Item>
void append(std::vector<std::vector<Item>>& all, const std::vector<std::vector<Item>>& more) {
  for (size_t v = 0; v < more.size(); ++v) all[v].insert(all[v].end(), more[v].begin(), more[v].end());
}

Result<UnitResult> run_unit(const OpenModel& model, std::span<const Window> window, std::span<const NamedVariant> some, bool positions,
                            const MeasureOptions& options, Progress& progress, const std::function<void()>& done) {
  std::vector<ResolvedVariant> resolved;
  for (const NamedVariant& one : some) resolved.push_back(one.variant);
  std::vector<std::vector<WindowSums>> sums(some.size());
  std::vector<std::vector<float>> kl(some.size());
  ASSAY_TRY(run_sweep(
      *model.network, window, resolved, options.sweep,
      [&](size_t variant, size_t, std::span<const PositionObservation> observed) {
        sums[variant] = sum_segments(window[0].document, observed, positions ? 0 : options.segment);
        if (positions)
          for (const PositionObservation& one : observed) kl[variant].push_back(static_cast<float>(one.kl));
        done();
      },
      progress));
  UnitResult unit;
  for (size_t v = 0; v < some.size(); ++v) {
    unit.sums.insert(unit.sums.end(), sums[v].begin(), sums[v].end());
    unit.kl.insert(unit.kl.end(), kl[v].begin(), kl[v].end());
  }
  return unit;
}

Result<ObservedPositions> measure(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                  bool positions, UnitStore& store, const MeasureOptions& options, Progress& progress) {
  ObservedPositions observed{ObservedVariants(variants.size()), std::vector<std::vector<float>>(positions ? variants.size() : 0)};
  progress.stage("sweep", windows.size() * variants.size());
  const size_t per_unit = variants_per_unit(*model.network);
  store.plan(windows.size() * ((variants.size() + per_unit - 1) / per_unit));
  UninterruptedProgress unit_progress(progress);
  uint64_t done = 0;
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto window = windows.subspan(w, 1);
    UnitKey key = store.key("sweep");
    key.add("changes", options.depends_on).add("windows", fingerprint(window));
    if (positions) {
      key.add("positions", "kl");
    } else if (options.segment != 0) {
      key.add("segment", options.segment);
    }
    const auto units = store.units(std::move(key));
    ObservedPositions here;
    bool left_out = false;
    for (size_t begin = 0; begin < variants.size() && !left_out; begin += per_unit) {
      const auto some = variants.subspan(begin, std::min(per_unit, variants.size() - begin));
      const auto payload = find_or_make(*units, unit_name(some), [&]() -> Result<std::string> {
        ASSAY_ASSIGN(const UnitResult unit,
                     run_unit(model, window, some, positions, options, unit_progress, [&] { progress.update(++done); }));
        return write_unit(unit, positions);
      });
      left_out = !payload && is_left_out(*units, payload.error());
      if (left_out) break;
      if (!payload) return fail(payload.error());
      ASSAY_ASSIGN(const UnitResult unit, read_unit(*payload, positions));
      ASSAY_TRY(share_out(unit.sums, some.size(), here.sums));
      if (positions) ASSAY_TRY(share_out(unit.kl, some.size(), here.kl));
      progress.update(done = w * variants.size() + begin + some.size());
    }
    if (left_out) continue;
    append(observed.sums, here.sums);
    append(observed.kl, here.kl);
  }
  if (!variants.empty() && observed.sums[0].empty()) return fail(ErrorCode::kNotFound, "sweep: no window is finished yet");
  return observed;
}

}  // namespace

Result<ObservedVariants> measure_variants(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                          UnitStore& store, const MeasureOptions& options, Progress& progress) {
  ASSAY_ASSIGN(ObservedPositions observed, measure(model, windows, variants, false, store, options, progress));
  return std::move(observed.sums);
}

Result<ObservedPositions> measure_positions(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                            UnitStore& store, const MeasureOptions& options, Progress& progress) {
  return measure(model, windows, variants, true, store, options, progress);
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
