#include "assay/score/score_lookup.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/score/agreement.h"

namespace assay {

ScoreLookup::ScoreLookup(const ScoreInfo& info, std::span<const ScoreRow> rows) : sign_(info.higher_is_worse ? 1 : -1) {
  std::vector<const ScoreRow*> known;
  std::vector<double> values;
  for (const ScoreRow& row : rows) {
    rows_[row.name] = &row;
    for (const std::string& tensor : row.tensors) rows_.try_emplace(tensor, &row);
    if (row.cells.empty() || !std::isfinite(row.cells[0].value)) continue;
    known.push_back(&row);
    values.push_back(sign_ * row.cells[0].value);
  }
  const std::vector<double> places = average_ranks(values);
  for (size_t i = 0; i < known.size(); ++i) ranks_[known[i]] = (places[i] - 0.5) / static_cast<double>(known.size());
}

double ScoreLookup::at(const std::string& name, std::optional<GgmlType> type) const {
  const auto row = rows_.find(name);
  if (row == rows_.end()) return std::numeric_limits<double>::quiet_NaN();
  const ScoreCell* cell = find_cell(*row->second, type);
  return cell == nullptr ? std::numeric_limits<double>::quiet_NaN() : sign_ * cell->value;
}

double ScoreLookup::rank(const std::string& name) const {
  const auto row = rows_.find(name);
  const auto rank = row == rows_.end() ? ranks_.end() : ranks_.find(row->second);
  return rank == ranks_.end() ? std::numeric_limits<double>::quiet_NaN() : rank->second;
}

double bits_per_weight(GgmlType type) {
  const GgmlTypeInfo& info = *find_type(type);
  return 8.0 * info.block_bytes / info.block_size;
}

double stand_in_damage(const ScoreInfo& info, const ScoreLookup& lookup, const std::string& tensor, uint64_t elements, GgmlType type) {
  if (info.by_type && info.pooling == Pooling::kSum && info.higher_is_worse) {
    const double value = lookup.at(tensor, type);
    return std::isnan(value) ? value : std::max(0.0, value);
  }
  return lookup.rank(tensor) * static_cast<double>(elements) * std::pow(4.0, -bits_per_weight(type));
}

}  // namespace assay
