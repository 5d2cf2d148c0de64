#include "bench/chosen_codes.h"

#include <unistd.h>

#include <filesystem>

#include "assay/file/tensor_role.h"
#include "assay/job/code_source.h"
#include "assay/job/make_moments.h"
#include "assay/probe/sweep.h"
#include "assay/quant/codec.h"

namespace assay::bench {
namespace {

ResolvedEdit edit_of(const Network& network, const std::string& tensor, const at::Tensor& change) {
  ResolvedEdit edit;
  for (int layer = 0; layer < network.hyper().layers; ++layer)
    for (const Site site : kSites)
      if (network.tensor_name(layer, site) == tensor) edit.layer = layer, edit.site = site;
  edit.key = tensor;
  edit.make = [change]() -> Result<at::Tensor> { return change; };
  return edit;
}

}  // namespace

std::vector<GgmlType> types_of(const std::vector<std::string>& names) {
  std::vector<GgmlType> types;
  for (const std::string& name : names) {
    const GgmlTypeInfo* info = find_type(name);
    types.push_back(value(info != nullptr ? Result<GgmlType>(info->type) : fail(ErrorCode::kUsage, "no ggml type '" + name + "'")));
  }
  return types;
}

DemoModel::DemoModel() {
  apply_settings({});
  model_ = value(open_model(ASSAY_SOURCE_DIR "/demo/reference-9m", {}, silent_progress()));
}

ProbeSet DemoModel::windows(const std::string& text, uint64_t chunks) const {
  TextInput input{text, {}};
  input.windows.chunks = chunks;
  return value(open_windows(input, model_));
}

Calibration DemoModel::calibrate(const std::string& text, uint64_t chunks, double damping) const {
  const ProbeSet seen = windows(text, chunks);
  const auto path = std::filesystem::temp_directory_path() / fmt::format("codes_bench.{}.moments", getpid());
  const ScratchMoments scratch = value(ScratchMoments::make(model_, seen, text, path, silent_progress()));
  const MomentsFile file = value(MomentsFile::open(scratch.path()));
  Calibration calibration;
  calibration.windows = seen.windows.size();
  if (damping == 0) calibration.damping = scratch.made().damping;
  for (const MomentInput& input : file.header().inputs) {
    if (input.tensor == model_.network->head_tensor()) continue;
    std::vector<float> matrix = value(file.read(input));
    const auto width = static_cast<int64_t>(input.width);
    const double share = damping > 0 ? damping : damping_of(file, input);
    const auto prepared =
        std::make_shared<const SecondMoment>(value(SecondMoment::prepare(at::from_blob(matrix.data(), {width, width}), share)));
    calibration.moments[input.tensor] = prepared;
    for (const std::string& other : input.shared) calibration.moments[other] = prepared;
  }
  return calibration;
}

bool DemoModel::takes(GgmlType type) const {
  return model_.network->checkpoint().find("blk.0.attn_q.weight")->row_length() % find_type(type)->block_size == 0;
}

Encoded DemoModel::encode(const std::string& tensor, GgmlType type, const SecondMoment& moment, Codes codes, int repeats) const {
  const at::Tensor weight = value(model_.network->plain_weight(tensor));
  const std::span<const float> values(weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel()));
  const auto width = static_cast<uint64_t>(weight.size(1));
  std::vector<std::byte> bytes(values.size() / find_type(type)->block_size * find_type(type)->block_bytes);
  Encoded one;
  if (codes == Codes::kNearest) {
    EncodeOptions options;
    options.importance = moment.importance();
    options.threads = 1;
    one.plain_seconds = least_seconds(repeats, [&] { value(assay::encode(type, values, width, bytes, options)); });
  }
  one.seconds = least_seconds(repeats, [&] { one.report = value(encode_codes(type, weight, moment, codes, 1, bytes)); });
  one.change = at::empty_like(weight);
  value(decode(type, bytes, width, {one.change.mutable_data_ptr<float>(), values.size()}));
  one.change.sub_(weight);
  return one;
}

std::vector<Observation> DemoModel::measure(const std::vector<Changes>& variants, const ProbeSet& set) const {
  std::vector<ResolvedVariant> resolved;
  for (const Changes& changes : variants) {
    ResolvedVariant& variant = resolved.emplace_back();
    for (const auto& [tensor, change] : changes) variant.edits.push_back(edit_of(*model_.network, tensor, change));
    for (ResolvedEdit& edit : variant.edits) edit.key += fmt::format(" {}", resolved.size());
  }
  std::vector<Observation> observed(variants.size(), Observation(false));
  const size_t batch = windows_per_batch(set.windows[0].tokens.size());
  for (size_t first = 0; first < set.windows.size(); first += batch) {
    const auto some = std::span(set.windows).subspan(first, std::min(batch, set.windows.size() - first));
    value(run_sweep(*model_.network, some, resolved, SweepOptions{},
                    [&](size_t variant, size_t window, std::span<const PositionObservation> positions) {
                      observed[variant].add(some[window].document, positions);
                    }));
  }
  return observed;
}

}  // namespace assay::bench
