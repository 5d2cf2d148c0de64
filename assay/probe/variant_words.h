// The words of a variant's text form and how large one may be. Internal to variant_io, variant_write and variant_families_io.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <utility>

#include "assay/base/result.h"
#include "assay/file/json_object.h"
#include "assay/probe/variant.h"

namespace assay {

// [row, column]
Result<Coordinate> parse_coordinate(const nlohmann::json& node, const JsonPlace& place);
Result<GgmlType> parse_type(const nlohmann::json& node, const JsonPlace& place);

namespace variant_words {

constexpr size_t kLargestFile = size_t{64} << 20;
constexpr size_t kMostVariants = size_t{1} << 20, kMostFamilies = 1000, kMostEdits = size_t{1} << 16, kMostCoordinates = size_t{1} << 20;
constexpr size_t kLongestName = 200, kLongestPath = 4096;
// Far above every model, and exact in every type they are kept in.
constexpr int64_t kLastBlock = 99'999;
constexpr size_t kMostBlocks = 100'000;
constexpr uint64_t kLastIndex = uint64_t{1} << 48;
constexpr int64_t kMostRuns = 64;
constexpr double kLargestFloat = 3.4e38, kLargestShare = 1000, kLargestGamma = 1000;

using Action = WeightEdit::Action;
using Kind = Selection::Kind;
using Rule = AttentionEdit::Rule;

// An action's key, and the one key that may come with it.
struct ActionForm {
  Action action;
  std::string_view key, with;
  bool selects;  // takes at, row, column, head
};
inline constexpr ActionForm kActions[] = {
    {Action::kSet, "set", "", true},         {Action::kAdd, "add", "", true},         {Action::kScale, "scale", "", true},
    {Action::kNoise, "noise", "seed", true}, {Action::kLevel, "level", "", true},     {Action::kByte, "byte", "step", false},
    {Action::kType, "type", "share", false}, {Action::kFile, "from", "share", false}, {Action::kLowRank, "low_rank", "factor", false},
};
inline constexpr std::pair<Kind, std::string_view> kSelections[] = {
    {Kind::kCoordinates, "at"}, {Kind::kRow, "row"}, {Kind::kColumn, "column"}, {Kind::kHead, "head"}};
inline constexpr std::pair<ScheduleEdit::Part, std::string_view> kParts[] = {
    {ScheduleEdit::Part::kBlock, "block"}, {ScheduleEdit::Part::kAttention, "attention"}, {ScheduleEdit::Part::kFfn, "ffn"}};
inline constexpr std::pair<Rule, std::string_view> kRules[] = {
    {Rule::kFull, "full"}, {Rule::kTop1, "top-1"}, {Rule::kTopK, "top-k"}, {Rule::kLowRank, "low-rank"}};

inline const ActionForm& form_of(Action action) {
  return *std::find_if(std::begin(kActions), std::end(kActions), [&](const ActionForm& form) { return form.action == action; });
}

}  // namespace variant_words
}  // namespace assay
