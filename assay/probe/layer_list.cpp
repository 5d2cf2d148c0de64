#include "assay/probe/layer_list.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr int kLastLayer = 99'999;

std::optional<int> layer_number(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && value >= 0 && value <= kLastLayer ? std::optional<int>(value) : std::nullopt;
}

}  // namespace

Result<std::vector<LayerRange>> parse_layers(std::string_view text) {
  std::vector<LayerRange> ranges;
  for (const std::string& part : split(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = layer_number(std::string_view(part).substr(0, dash));
    const auto last = dash == std::string::npos ? first : layer_number(std::string_view(part).substr(dash + 1));
    if (!first || !last)
      return fail(ErrorCode::kUsage, {"layers '" + printable(text) + "'", "has '" + printable(part) + "'", "write 0-5,9", ""});
    if (*first > *last)
      return fail(ErrorCode::kUsage, {"layers '" + printable(text) + "'", "run backwards in '" + part + "'", "write 0-5,9", ""});
    ranges.push_back({*first, *last});
  }
  return ranges;
}

Result<std::vector<int>> layers_of(const std::vector<LayerRange>& ranges, int layers) {
  std::vector<bool> wanted(static_cast<size_t>(std::max(layers, 0)), ranges.empty());
  for (const LayerRange& range : ranges) {
    if (range.first < 0 || range.last >= layers)
      return fail(ErrorCode::kMismatch, {"layers: " + std::to_string(range.last), "is past the end",
                                         "the model has layers 0 to " + std::to_string(layers - 1), ""});
    std::fill(wanted.begin() + range.first, wanted.begin() + range.last + 1, true);
  }
  std::vector<int> list;
  for (size_t layer = 0; layer < wanted.size(); ++layer)
    if (wanted[layer]) list.push_back(static_cast<int>(layer));
  return list;
}

}  // namespace assay
