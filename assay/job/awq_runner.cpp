#include "assay/job/awq_runner.h"

#include <fmt/format.h>

#include "assay/base/sha256.h"
#include "assay/file/tensor_role.h"
#include "assay/plan/presets.h"
#include "assay/probe/collect_imatrix.h"

namespace assay {

NamedRounder named_grid(const GroupGrid& grid, int threads) {
  return {grid_rounder(grid, threads),
          fmt::format("{} bits, groups of {}, {}", grid.bits, grid.group, grid.zero_point ? "zero point" : "symmetric")};
}

NamedRounder named_types(const std::map<std::string, GgmlType>& types, const Imatrix* imatrix, int threads) {
  std::string name = imatrix == nullptr ? "" : fingerprint(*imatrix);
  for (const auto& [tensor, type] : types) name += tensor + "=" + find_type(type)->name + ",";
  return {ggml_rounder(types, imatrix, threads), sha256_hex(name)};
}

std::string digest(const AwqResult& result) {
  PayloadWriter writer;
  write(writer, result);
  const auto payload = std::move(writer).finish();
  return payload ? sha256_hex(*payload) : std::string();
}

Result<std::unique_ptr<AwqRunner>> AwqRunner::open(const std::string& model, const TextInput& calibration, const TextInput& evaluation,
                                                   const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  std::unique_ptr<AwqRunner> runner(new AwqRunner);
  runner->settings_ = settings;
  runner->progress_ = &progress;
  ASSAY_ASSIGN(runner->model_, open_model(model, settings, progress));
  ASSAY_ASSIGN(runner->calibration_, open_windows(calibration, runner->model_));
  if (!evaluation.path.empty()) {
    ASSAY_ASSIGN(runner->evaluation_, open_windows(evaluation, runner->model_));
  }
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, runner->model_, progress));
  runner->store_ = std::make_unique<UnitStore>(std::move(store));
  runner->base_ = std::make_unique<BaseRun>(runner->model_.network, runner->evaluation_.windows, memory_budget(settings) / 8);
  return runner;
}

std::vector<std::string> AwqRunner::matrices() const {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : model_.checkpoint->tensors())
    if (tensor.n_dims == 2 && is_quantizable(tensor) && role_of(tensor.name).layer >= 0) names.push_back(tensor.name);
  return names;
}

std::vector<FoldGroup> AwqRunner::groups() const { return fold_groups(hyper(), model_.checkpoint->tensors()); }

Result<AwqResult> AwqRunner::search(const std::vector<FoldGroup>& groups, const AwqOptions& options, const NamedRounder& rounder,
                                    const Checkpoint* weights, const std::string& weights_name) {
  AwqOptions own = options;
  own.threads = settings_.threads;
  const AwqSearch wanted{*model_.network, weights == nullptr ? *model_.checkpoint : *weights, groups, own, rounder.round};
  const auto units = store_->units(store_->key("awq search")
                                       .add("windows", fingerprint(calibration_.windows))
                                       .add("options", own.describe())
                                       .add("rounder", rounder.name)
                                       .add("weights", weights_name)
                                       .add("groups", groups.size()));
  return search_awq(wanted, calibration_.windows, *units, *progress_);
}

Result<Observation> AwqRunner::compare(const std::string& name, const CheckpointSource& changed) {
  const auto units =
      store_->units(store_->key("awq comparison").add("windows", fingerprint(evaluation_.windows)).add("model", sha256_hex(name)));
  progress_->stage("comparison", evaluation_.windows.size());
  return base_->compare(
      [&]() -> Result<std::shared_ptr<const Network>> {
        ASSAY_ASSIGN(const std::shared_ptr<const Checkpoint> checkpoint, changed());
        return Network::load(checkpoint, network_options(settings_));
      },
      *progress_, *units);
}

Result<Observation> AwqRunner::compare(const std::string& name, const TensorEdits& edits) {
  return compare(name, [&] { return edited_checkpoint(model_.checkpoint, edits, settings_.threads); });
}

Result<Imatrix> AwqRunner::imatrix() {
  const auto units = imatrix_units(*store_, calibration_.windows, false);
  return collect_imatrix(*model_.network, calibration_.windows, {}, *progress_, {}, *units);
}

}  // namespace assay
