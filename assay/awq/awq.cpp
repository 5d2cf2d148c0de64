#include "assay/awq/awq.h"

#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

TensorEdit clipping(const AwqClip& clip) {
  return [clip](const TensorInfo& tensor, std::span<float> values) -> Status {
    const size_t columns = tensor.row_length(), groups = (columns + clip.group - 1) / clip.group;
    if (values.size() / columns * groups != clip.limits.size())
      return fail(ErrorCode::kMismatch, {"awq: clips of '" + printable(tensor.name) + "'", "are of another shape", "", "another model?"});
    for (size_t i = 0; i < values.size(); ++i) {
      const float limit = clip.limits[i / columns * groups + i % columns / clip.group];
      values[i] = std::clamp(values[i], -limit, limit);
    }
    return {};
  };
}

}  // namespace

void write(PayloadWriter& writer, const AwqResult& result) {
  writer.add(uint64_t{result.scales.size()});
  for (const AwqScale& scale : result.scales) {
    writer.add(static_cast<uint64_t>(scale.group.layer));
    writer.add(static_cast<uint64_t>(scale.group.place));
    writer.add(std::string_view(scale.group.readers.at(0)));
    writer.add(scale.alpha, "alpha");
    writer.add(std::span<const double>(scale.losses), "loss of a scale");
    writer.add(std::span<const float>(scale.mean), "mean input");
    writer.add(std::span<const float>(scale.scales), "scale");
  }
  writer.add(uint64_t{result.clips.size()});
  for (const auto& [tensor, clip] : result.clips) {
    writer.add(std::string_view(tensor));
    writer.add(uint64_t{clip.group});
    writer.add(std::span<const float>(clip.limits), "clip");
    writer.add(std::span<const float>(clip.shares), "clip");
  }
}

Result<AwqResult> read_awq(PayloadReader& reader, std::span<const FoldGroup> groups) {
  AwqResult result;
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    AwqScale scale;
    const uint64_t layer = reader.number(), place = reader.number();
    const std::string first = reader.text();
    const auto found = std::ranges::find_if(groups, [&](const FoldGroup& group) {
      return static_cast<uint64_t>(group.layer) == layer && static_cast<uint64_t>(group.place) == place && group.readers.at(0) == first;
    });
    scale.alpha = reader.real();
    scale.losses = reader.reals();
    scale.mean = reader.floats();
    scale.scales = reader.floats();
    if (reader.failed()) break;
    if (found == groups.end() || scale.scales.size() != found->width)
      return fail(ErrorCode::kBadInput,
                  {"awq: kept scales of '" + printable(first) + "'", "do not fit this model", "", "a damaged store?"});
    scale.group = *found;
    result.scales.push_back(std::move(scale));
  }
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    AwqClip& clip = result.clips[reader.text()];
    clip.group = reader.number();
    clip.limits = reader.floats();
    clip.shares = reader.floats();
  }
  return result;
}

WeightRounder grid_rounder(const GroupGrid& grid, int threads) {
  return [grid, threads](const std::string&, uint64_t columns, std::span<const float>, std::span<float> values) -> Status {
    parallel_for(values.size() / columns, threads == 0 ? available_threads() : threads,
                 [&](size_t row) { round_to_grid(values.subspan(row * columns, columns), grid); });
    return {};
  };
}

WeightRounder ggml_rounder(std::map<std::string, GgmlType> types, const Imatrix* imatrix, int threads) {
  return [types = std::move(types), imatrix, threads](const std::string& tensor, uint64_t columns, std::span<const float> scales,
                                                      std::span<float> values) -> Status {
    const auto found = types.find(tensor);
    if (found == types.end()) return {};
    EncodeOptions options;
    options.threads = threads == 0 ? available_threads() : threads;
    std::vector<float> importance;
    if (imatrix != nullptr) importance = imatrix->importance(tensor);
    if (!importance.empty() && importance.size() != columns)
      return fail(ErrorCode::kMismatch,
                  {"tensor '" + printable(tensor) + "'", "has rows of " + group_digits(columns) + " weights",
                   "the imatrix holds " + group_digits(importance.size()) + " for it", "an imatrix of another model?"});
    for (size_t j = 0; j < importance.size() && !scales.empty(); ++j) importance[j] /= scales[j] * scales[j];
    options.importance = importance;
    const uint64_t dims[] = {columns, values.size() / columns};
    ASSAY_ASSIGN(const uint64_t size, tensor_bytes(found->second, dims, tensor));
    std::vector<std::byte> bytes(size);
    ASSAY_TRY(encode(found->second, values, columns, bytes, options));
    return decode(found->second, bytes, columns, values, options.threads);
  };
}

TensorEdits folded_edits(const AwqResult& result) {
  TensorEdits edits;
  for (const AwqScale& scale : result.scales) append(edits, fold_edits(scale.group, scale.scales));
  for (const auto& [tensor, clip] : result.clips) edits[tensor].push_back(clipping(clip));
  return edits;
}

std::vector<float> column_scales(const AwqResult& result, const std::string& tensor) {
  for (const AwqScale& scale : result.scales)
    if (std::ranges::count(scale.group.readers, tensor) > 0) return scale.scales;
  return {};
}

TensorEdits rounding_edits(const std::vector<std::string>& tensors, const AwqResult& result, const WeightRounder& rounder) {
  TensorEdits edits;
  for (const std::string& name : tensors)
    edits[name].emplace_back([rounder, scales = column_scales(result, name)](const TensorInfo& tensor, std::span<float> values) {
      return rounder(tensor.name, tensor.row_length(), scales, values);
    });
  return edits;
}

TensorEdits unfolded_edits(const AwqResult& result, const WeightRounder& rounder) {
  TensorEdits edits;
  for (const AwqScale& scale : result.scales)
    for (const std::string& reader : scale.group.readers)
      edits[reader].emplace_back([rounder, scales = scale.scales](const TensorInfo& tensor, std::span<float> values) -> Status {
        multiply_columns(values, scales);
        ASSAY_TRY(rounder(tensor.name, tensor.row_length(), scales, values));
        for (size_t i = 0; i < values.size(); ++i) values[i] /= scales[i % scales.size()];
        return {};
      });
  return edits;
}

Imatrix scaled_imatrix(const Imatrix& imatrix, const AwqResult& result) {
  Imatrix scaled = imatrix;
  for (auto& [tensor, entry] : scaled.entries) {
    const std::vector<float> scales = column_scales(result, tensor);
    if (scales.empty()) continue;
    for (size_t j = 0; j < entry.sums.size(); ++j) entry.sums[j] /= scales[j % scales.size()] * scales[j % scales.size()];
  }
  return scaled;
}

}  // namespace assay
