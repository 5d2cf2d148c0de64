#include "assay/score/score.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace assay {
namespace {

// A weighted sum of cells with their errors.
struct Accumulated {
  std::optional<GgmlType> type;
  double sum = 0, variance = 0;
  size_t members = 0;
};

class Group {
 public:
  void add(const ScoreRow& row, double weight) {
    ++rows_;
    for (const ScoreCell& cell : row.cells) {
      auto at = std::find_if(cells_.begin(), cells_.end(), [&](const Accumulated& one) { return one.type == cell.type; });
      if (at == cells_.end()) at = cells_.insert(cells_.end(), {cell.type});
      at->sum += weight * cell.value;
      at->variance += weight * weight * cell.standard_error * cell.standard_error;
      ++at->members;
    }
  }
  std::vector<ScoreCell> cells(double divisor) const {
    std::vector<ScoreCell> out;
    for (const Accumulated& one : cells_)
      if (one.members == rows_) out.push_back({one.type, one.sum / divisor, std::sqrt(one.variance) / divisor});
    return out;
  }

 private:
  size_t rows_ = 0;
  std::vector<Accumulated> cells_;
};

}  // namespace

std::string_view name_of(Estimand estimand) {
  constexpr std::string_view kNames[] = {"quantization", "removal", "control"};
  return kNames[static_cast<size_t>(estimand)];
}

std::vector<ScoreRow> pooled(std::span<const ScoreRow> rows, Grouping by, Pooling pooling) {
  std::vector<ScoreRow> out;
  std::vector<Group> groups;
  std::map<std::string, size_t> index;
  for (const ScoreRow& row : rows) {
    const std::string name = row.tensors.size() == 1 ? group_of(row.tensors[0], by) : row.name;
    const auto [at, fresh] = index.try_emplace(name, out.size());
    if (fresh) {
      out.push_back({name, {}, 0, {}});
      groups.emplace_back();
    }
    ScoreRow& group = out[at->second];
    group.tensors.insert(group.tensors.end(), row.tensors.begin(), row.tensors.end());
    group.elements += row.elements;
    groups[at->second].add(row, pooling == Pooling::kMean ? static_cast<double>(row.elements) : 1.0);
  }
  for (size_t g = 0; g < out.size(); ++g)
    out[g].cells = groups[g].cells(pooling == Pooling::kMean ? std::max(1.0, static_cast<double>(out[g].elements)) : 1.0);
  return out;
}

const ScoreCell* find_cell(const ScoreRow& row, std::optional<GgmlType> type) {
  for (const ScoreCell& cell : row.cells)
    if (!cell.type || cell.type == type) return &cell;
  return nullptr;
}

}  // namespace assay
