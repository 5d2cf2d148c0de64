#include "assay/job/quantize_awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "assay/job/awq_runner.h"
#include "assay/job/code_source.h"
#include "assay/job/make_moments.h"

namespace assay {
namespace {

BootstrapOptions seeded(uint64_t seed) {
  BootstrapOptions options;
  options.seed = seed;
  return options;
}

AwqMeasured measured(const Observation& seen, uint64_t seed) {
  return {seen.ppl(),
          bootstrap(seen.windows(), [](const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }, seeded(seed))};
}

std::string exact_name(const std::string& tensor) {
  std::string pattern;
  for (const char c : tensor) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return "^" + pattern + "$";
}

class AwqJob {
 public:
  AwqJob(const QuantizeAwqOptions& options, AwqRunner& runner, Progress& progress)
      : options_(options), runner_(runner), progress_(progress), base_(runner.model().checkpoint) {}

  Result<QuantizeAwqResult> run() {
    ASSAY_TRY(choose_types());
    ASSAY_TRY(search());
    ASSAY_TRY(write());
    ASSAY_TRY(measure());
    result_.units = runner_.store().counts();
    return std::move(result_);
  }

 private:
  int threads() const { return runner_.settings().threads; }

  // What each tensor becomes, from a dry run of the writer.
  Status choose_types() {
    QuantizeOptions dry = options_.file;
    dry.dry_run = true;
    ASSAY_ASSIGN(const QuantizeReport report, quantize_model(*base_, dry, {}));
    const std::vector<std::string> matrices = runner_.matrices();
    size_t floats = 0;
    for (const QuantizedTensor& tensor : report.tensors) {
      const bool matrix = std::ranges::count(matrices, tensor.name) > 0;
      if (tensor.from != tensor.to) types_[tensor.name] = tensor.to;
      if (!matrix) continue;
      floats += find_type(tensor.to)->quantized ? 0 : 1;
      if (tensor.from == tensor.to) kept_[tensor.name] = tensor.to;
    }
    result_.on_grid = floats == matrices.size();
    if (result_.on_grid && options_.codes != Codes::kNearest)
      return fail(ErrorCode::kUsage, "quantize: --codes is for ggml's quantized types; F16, BF16 and F32 hold what AWQ's own grid gives");
    for (const auto& [name, type] : kept_)
      if (find_type(type)->quantized)
        return fail(ErrorCode::kUsage, {"quantize: --method awq", "would have to keep '" + name + "' as " + find_type(type)->name,
                                        "its scaled columns are other numbers", "give --type, or begin from the unquantized model"});
    return {};
  }

  NamedRounder grid() const { return named_grid(options_.awq.grid, threads()); }

  Status search() {
    AwqOptions awq = options_.awq;
    awq.clip = options_.clip.value_or(result_.on_grid);
    const NamedRounder rounder = result_.on_grid || !options_.own_types ? grid() : named_types(types_, options_.file.imatrix, threads());
    ASSAY_ASSIGN(awq_, runner_.search(runner_.groups(), awq, rounder));
    result_.notes = fold_notes(runner_.hyper());
    for (const AwqScale& scale : awq_.scales)
      result_.groups.push_back({scale.group.layer, std::string(name_of(scale.group.place)), scale.group.readers, scale.alpha,
                                *std::ranges::min_element(scale.losses), scale.losses[0]});
    uint64_t cut = 0, all = 0;
    for (const auto& [tensor, clip] : awq_.clips) {
      all += clip.shares.size();
      cut += static_cast<uint64_t>(std::ranges::count_if(clip.shares, [](float share) { return share < 1; }));
    }
    result_.clipped = all > 0 ? static_cast<double>(cut) / static_cast<double>(all) : 0;
    return {};
  }

  Status write() {
    TensorEdits edits = folded_edits(awq_);
    if (result_.on_grid) append(edits, rounding_edits(runner_.matrices(), awq_, grid().round));
    ASSAY_ASSIGN(const auto folded, edited_checkpoint(base_, std::move(edits), threads()));
    QuantizeOptions file = options_.file;
    for (const auto& [name, type] : kept_)  // scaled, they are float32 in memory
      ASSAY_TRY(file.tensor_types.add(exact_name(name) + "=" + find_type(type)->name, "awq"));
    Imatrix imatrix;
    if (file.imatrix != nullptr) {
      imatrix = scaled_imatrix(*file.imatrix, awq_);
      file.imatrix = &imatrix;
    }
    if (options_.codes == Codes::kNearest) {
      ASSAY_ASSIGN(result_.report, quantize_model(*folded, file, options_.output, progress_));
      return {};
    }
    OpenModel scaled = runner_.model();
    scaled.checkpoint = folded;
    ASSAY_ASSIGN(scaled.network, Network::load(folded, network_options(runner_.settings()), progress_));
    ASSAY_ASSIGN(const ScratchMoments scratch,
                 ScratchMoments::make(scaled, runner_.calibration(), options_.calibration.path + " scaled " + digest(awq_),
                                      options_.output + ".moments", progress_));
    ASSAY_ASSIGN(const MomentsFile moments, MomentsFile::open(scratch.path()));
    CodeSource source(*folded, moments, options_.codes, threads(), no_unit_cache(), 0);
    file.encode = source.encoder();
    if (file.imatrix == nullptr) {
      file.imatrix = &scratch.made().imatrix;
      file.imatrix_path = "computed from " + std::filesystem::path(options_.calibration.path).filename().string();
    }
    ASSAY_ASSIGN(result_.report, quantize_model(*folded, file, options_.output, progress_));
    result_.codes = source.reports();
    return {};
  }

  Status measure() {
    const ProbeSet& set = runner_.evaluation();
    std::vector<std::string> all;
    for (const auto& [name, type] : types_) all.push_back(name);
    const NamedRounder plain = result_.on_grid ? grid() : named_types(types_, options_.file.imatrix, threads());
    ASSAY_ASSIGN(const Observation before,
                 runner_.compare("plain " + plain.name, rounding_edits(result_.on_grid ? runner_.matrices() : all, {}, plain.round)));
    ASSAY_ASSIGN(const auto written, Checkpoint::open(result_.report.paths.at(0)));
    ASSAY_ASSIGN(const std::string file, fingerprint(*written));
    ASSAY_ASSIGN(const Observation after,
                 runner_.compare("file " + file, [&] { return Result<std::shared_ptr<const Checkpoint>>(written); }));
    const uint64_t seed = runner_.settings().seed;
    result_.base_ppl = after.ppl_base();
    result_.plain = measured(before, seed);
    result_.awq = measured(after, seed);
    result_.change = kl_change(after, before, seed);
    result_.measured_on = options_.evaluation.empty() ? options_.calibration.path : options_.evaluation;
    result_.interval_unit = bootstrap_unit(after.windows());
    result_.windows = set.windows.size();
    result_.tokens_scored = set.tokens_scored;
    return {};
  }

  const QuantizeAwqOptions& options_;
  AwqRunner& runner_;
  Progress& progress_;
  std::shared_ptr<const Checkpoint> base_;
  std::map<std::string, GgmlType> types_;  // of tensors that change their type
  std::map<std::string, GgmlType> kept_;   // of matrices that do not
  AwqResult awq_;
  QuantizeAwqResult result_;
};

}  // namespace

Interval kl_change(const Observation& a, const Observation& b, uint64_t seed) {
  return bootstrap_pair(
      a.windows(), b.windows(), [](const WindowSums& x, const WindowSums& y) { return y.kl > 0 ? x.kl / y.kl - 1 : 0; }, seeded(seed));
}

Result<QuantizeAwqResult> quantize_awq(const QuantizeAwqOptions& options, const RunSettings& settings, Progress& progress) {
  if (options.calibration.path.empty())
    return fail(ErrorCode::kUsage, "quantize: --method awq needs --calibration TEXT, on which its scales are chosen");
  if (!options.file.prune_layers.empty())
    return fail(ErrorCode::kUsage, "quantize: --method awq and --prune-layers exclude each other: save the pruned model first");
  TextInput evaluation = options.calibration;
  if (!options.evaluation.empty()) evaluation.path = options.evaluation;
  ASSAY_ASSIGN(const auto runner, AwqRunner::open(options.model, options.calibration, evaluation, settings, progress));
  return AwqJob(options, *runner, progress).run();
}

}  // namespace assay
