#include "assay/job/make_table.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "assay/base/sha256.h"
#include "assay/file/tensor_role.h"
#include "assay/job/table_rows.h"
#include "assay/job/unit_store.h"
#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/probe/observation_payload.h"
#include "assay/probe/statistics.h"
#include "assay/probe/sweep.h"
#include "assay/quant/codec.h"
#include "assay/score/curvature.h"

namespace assay {
namespace {

constexpr const char* kCurvatureEstimator = "curvature:centred";

std::string row_name(const TensorInfo& tensor, TableRows by) {
  const TensorRole role = role_of(tensor.name);
  if (by == TableRows::kTensor || role.layer < 0) return tensor.name;
  const std::string layer = "blk." + std::to_string(role.layer);
  if (by == TableRows::kLayer) return layer;
  return layer + (is_attention(role.role) ? ".attention" : ".ffn");
}

Result<std::shared_ptr<const Imatrix>> open_imatrix(const std::string& path) {
  if (path.empty()) return std::shared_ptr<const Imatrix>();
  ASSAY_ASSIGN(Imatrix imatrix, read_imatrix(path));
  return std::make_shared<const Imatrix>(std::move(imatrix));
}

}  // namespace

std::vector<GgmlType> usable_types(const TensorInfo& tensor, const std::vector<GgmlType>& wanted) {
  std::vector<GgmlType> types;
  for (const GgmlType type : wanted) {
    const Codec* codec = find_codec(type);
    if (codec != nullptr && codec->encode != nullptr && row_fits(type, tensor.row_length())) types.push_back(type);
  }
  return types;
}

std::vector<DamageRow> table_rows(const Checkpoint& checkpoint, const std::vector<GgmlType>& types, TableRows by) {
  std::vector<DamageRow> rows;
  std::map<std::string, size_t> index;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!is_quantizable(tensor)) continue;
    const std::string name = row_name(tensor, by);
    const auto [at, fresh] = index.try_emplace(name, rows.size());
    if (fresh) rows.push_back(DamageRow{name, {}, {}});
    DamageRow& row = rows[at->second];
    row.tensors.push_back(tensor.name);
    std::vector<DamageCell> cells;
    for (const GgmlType type : usable_types(tensor, types)) cells.push_back(DamageCell{type, 0, 0, false});
    if (fresh) {
      row.cells = std::move(cells);
    } else {  // the types that all members can take
      std::erase_if(row.cells, [&](const DamageCell& cell) {
        return std::none_of(cells.begin(), cells.end(), [&](const DamageCell& other) { return other.type == cell.type; });
      });
    }
  }
  return rows;
}

std::vector<ResolvedEdit> requantize_edits(const Network& network, const ChangeSource& changes, const std::string& tensor, GgmlType type) {
  const TensorRole role = role_of(tensor);
  const std::string key = tensor + "=" + find_type(type)->name;
  const auto make = [&changes, tensor, type] { return changes.requantized(tensor, type); };
  std::vector<ResolvedEdit> edits;
  if (tensor == network.embedding_tensor()) edits.push_back({ResolvedEdit::kEmbedding, Site::kQ, key, make});
  if (tensor == network.head_tensor()) edits.push_back({ResolvedEdit::kHead, Site::kQ, key, make});
  if (role.layer >= 0)
    for (size_t s = 0; s < kSiteCount; ++s)
      if (network.tensor_name(role.layer, static_cast<Site>(s)) == tensor) edits.push_back({role.layer, static_cast<Site>(s), key, make});
  return edits;
}

namespace {

// Variants of one unit: with 512 tokens of a 0.5 B model about a minute on two cores, and far more than a product needs to be efficient.
constexpr size_t kVariantsPerUnit = 96;

// Every variant on every window: [variant][window]. Units: one window, up to kVariantsPerUnit variants.
Result<std::vector<std::vector<WindowSums>>> measure_variants(const OpenModel& model, const ProbeSet& set, std::span<const ResolvedVariant> variants,
                                                              UnitStore& store, const Imatrix* imatrix, const SweepOptions& sweep,
                                                              Progress& progress) {
  std::vector<std::vector<WindowSums>> observed(variants.size());
  const std::string importance = imatrix != nullptr ? fingerprint(*imatrix) : "";
  progress.stage("sweep", set.windows.size() * variants.size());
  uint64_t done = 0;
  for (size_t w = 0; w < set.windows.size(); ++w) {
    const auto window = std::span(set.windows).subspan(w, 1);
    const auto units = store.units(store.key("sweep").add("imatrix", importance).add("windows", fingerprint(window)));
    for (size_t begin = 0; begin < variants.size(); begin += kVariantsPerUnit) {
      const auto some = variants.subspan(begin, std::min(kVariantsPerUnit, variants.size() - begin));
      Sha256 name;
      for (const ResolvedVariant& variant : some)
        for (const ResolvedEdit& edit : variant.edits) name.add(std::to_string(edit.layer) + ':' + edit.key + (&edit == &variant.edits.back() ? ";" : ","));
      ASSAY_ASSIGN(const std::string payload, find_or_make(*units, name.hex(), [&]() -> Result<std::string> {
                     std::vector<WindowSums> sums(some.size());
                     ASSAY_TRY(run_sweep(*model.network, window, some, sweep,
                                         [&](size_t variant, size_t, std::span<const PositionObservation> positions) {
                                           sums[variant] = sum_window(window[0].document, positions);
                                           progress.update(++done);
                                         },
                                         progress));
                     return to_payload(sums);
                   }));
      ASSAY_ASSIGN(const std::vector<WindowSums> sums, window_sums_from_payload(payload));
      if (sums.size() != some.size()) return fail(ErrorCode::kBadInput, "store: a finished unit has another number of variants");
      for (size_t v = 0; v < some.size(); ++v) observed[begin + v].push_back(sums[v]);
      progress.update(done = w * variants.size() + begin + some.size());
    }
  }
  return observed;
}

}  // namespace

Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
  ASSAY_ASSIGN(const auto imatrix, open_imatrix(options.imatrix));
  MakeTableResult result;
  result.table.estimator = "measured";
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  ASSAY_ASSIGN(result.table.noise_floor, noise_floor(store, model, set.windows, settings));
  result.table.rows = table_rows(*model.checkpoint, options.types, options.by);
  const uint64_t memory = memory_budget(settings);
  const ChangeSource changes(model.network, imatrix, ChangeOptions{memory / 8, settings.threads});
  std::vector<ResolvedVariant> variants;
  std::vector<DamageCell*> cells;
  for (DamageRow& row : result.table.rows)
    for (DamageCell& cell : row.cells) {
      ResolvedVariant variant;
      for (const std::string& tensor : row.tensors)
        for (ResolvedEdit& edit : requantize_edits(*model.network, changes, tensor, cell.type)) variant.edits.push_back(std::move(edit));
      variants.push_back(std::move(variant));
      cells.push_back(&cell);
    }
  const auto begin_time = std::chrono::steady_clock::now();
  SweepOptions sweep;
  sweep.memory = memory / 4;
  ASSAY_ASSIGN(const auto observed, measure_variants(model, set, variants, store, imatrix.get(), sweep, progress));
  result.measured_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_time).count();
  result.encoding_seconds = changes.encoding_seconds();
  for (size_t v = 0; v < cells.size(); ++v) {
    const Interval kl = bootstrap(observed[v], [](const WindowSums& s) { return s.kl / static_cast<double>(s.count); }, {2000, settings.seed});
    cells[v]->damage = kl.value;
    cells[v]->standard_error = (kl.high - kl.low) / (2 * 1.96);
    cells[v]->below_floor = kl.value < result.table.noise_floor;
  }
  result.units = store.counts();
  result.tokens_scored = set.tokens_scored;
  result.windows = set.windows.size();
  result.documents = set.documents;
  if (!observed.empty()) result.interval_unit = bootstrap_unit(observed[0]);
  return result;
}

Result<CurvatureTable> predict_damage(const OpenModel& model, std::span<const Window> windows, const std::shared_ptr<const Imatrix>& imatrix,
                                      const CurvatureOptions& wanted, const RunSettings& settings, UnitStore& store, DamageTable& table,
                                      Progress& progress) {
  const uint64_t memory = memory_budget(settings);
  const ChangeSource changes(model.network, imatrix, ChangeOptions{memory / 8, settings.threads});
  CurvatureOptions curvature = wanted;
  curvature.seed = settings.seed;
  curvature.product_compute = settings.compute;
  curvature.memory = memory / 4;
  std::vector<CurvatureRequest> requests;
  std::string types;
  for (const DamageRow& row : table.rows) {
    CurvatureRequest request{row.name, {}};
    for (const DamageCell& cell : row.cells) request.types.push_back(cell.type);
    for (const GgmlType type : request.types) types += find_type(type)->name + std::string(",");
    types += ";";
    requests.push_back(std::move(request));
  }
  UnitKey key = store.key("curvature");
  key.add("windows", fingerprint(windows)).add("imatrix", imatrix ? fingerprint(*imatrix) : "").add("types", sha256_hex(types));
  key.add("token fraction", curvature.token_fraction).add("samples", curvature.samples);
  const auto units = store.units(std::move(key));
  ASSAY_ASSIGN(CurvatureTable made, curvature_table(*model.network, windows, requests,
                                                    [&](const std::string& tensor, GgmlType type) { return changes.requantized(tensor, type); },
                                                    curvature, progress, *units));
  for (size_t r = 0; r < made.rows.size(); ++r)
    for (size_t c = 0; c < made.rows[r].cells.size(); ++c) {
      table.rows[r].cells[c].damage = made.rows[r].cells[c].damage;
      table.rows[r].cells[c].standard_error = made.rows[r].cells[c].standard_error;
    }
  table.estimator = kCurvatureEstimator;
  return made;
}

Result<MakeTableResult> predict_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
  ASSAY_ASSIGN(const auto imatrix, open_imatrix(options.imatrix));
  MakeTableResult result;
  result.table.rows = table_rows(*model.checkpoint, options.types, TableRows::kTensor);
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  CurvatureOptions curvature;
  curvature.token_fraction = options.token_fraction;
  curvature.samples = options.samples;
  ASSAY_ASSIGN(const CurvatureTable table, predict_damage(model, set.windows, imatrix, curvature, settings, store, result.table, progress));
  result.units = store.counts();
  result.measured_seconds = table.forward_seconds + table.product_seconds;
  result.encoding_seconds = table.change_seconds;
  result.tokens_scored = set.tokens_scored;
  result.windows = set.windows.size();
  result.documents = set.documents;
  result.interval_unit = "windows";
  return result;
}

}  // namespace assay
