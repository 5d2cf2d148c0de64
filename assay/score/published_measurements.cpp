// From a published table to what was measured: which of its numbers are copies of one measurement, and which are of no measurement.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "assay/base/text.h"
#include "assay/score/published_truth.h"

namespace assay {
namespace {

constexpr size_t kRolesOfASkippedBlock = 3;  // this many equal values are no chance
constexpr size_t kFewestCopies = 2;          // blocks in which two roles agree, so that one coincidence does not join them
constexpr size_t kMostInABlock = 256;        // all pairs are compared

struct Column {
  size_t index = 0;
  NamedTensor tensor;
};
using Block = std::vector<Column>;

// Two columns hold the same numbers and gaps, at least one number.
bool are_copies(const PublishedTable& table, size_t a, size_t b) {
  bool any = false;
  for (const PublishedRow& row : table.rows) {
    const double x = row.values[a], y = row.values[b];
    if (std::isnan(x) != std::isnan(y) || (!std::isnan(x) && x != y)) return false;
    any |= !std::isnan(x);
  }
  return any;
}

bool was_skipped(const PublishedTable& table, const Block& block) {
  std::set<std::string> roles;
  for (const Column& column : block) roles.insert(column.tensor.role);
  return roles.size() >= kRolesOfASkippedBlock &&
         std::all_of(block.begin() + 1, block.end(), [&](const Column& column) { return are_copies(table, block[0].index, column.index); });
}

// Pairs of roles, the lesser name first, that are copies in at least half of the blocks with both.
std::set<std::pair<std::string, std::string>> joined_roles(const PublishedTable& table, const std::map<int, Block>& blocks) {
  struct Count {
    size_t blocks = 0, copies = 0;
  };
  std::map<std::pair<std::string, std::string>, Count> counts;
  for (const auto& [layer, block] : blocks)
    for (size_t i = 0; i < block.size(); ++i)
      for (size_t j = i + 1; j < block.size(); ++j) {
        Count& count = counts[std::minmax(block[i].tensor.role, block[j].tensor.role)];
        ++count.blocks;
        count.copies += are_copies(table, block[i].index, block[j].index);
      }
  std::set<std::pair<std::string, std::string>> joined;
  for (const auto& [roles, count] : counts)
    if (count.copies >= kFewestCopies && 2 * count.copies >= count.blocks) joined.insert(roles);
  return joined;
}

// The columns of a block by measurement, in their order.
std::vector<Block> measurements_of(const PublishedTable& table, const Block& block,
                                   const std::set<std::pair<std::string, std::string>>& joined) {
  std::vector<Block> measurements;
  for (const Column& column : block) {
    const auto same = std::find_if(measurements.begin(), measurements.end(), [&](const Block& known) {
      return joined.contains(std::minmax(known[0].tensor.role, column.tensor.role)) && are_copies(table, known[0].index, column.index);
    });
    if (same == measurements.end()) {
      measurements.push_back({column});
    } else {
      same->push_back(column);
    }
  }
  return measurements;
}

void add_measurement(const PublishedTable& table, const Block& columns, std::vector<PublishedMeasurement>& measurements) {
  PublishedMeasurement measurement;
  std::vector<std::string> roles;
  for (const Column& column : columns) {
    measurement.tensors.push_back(column.tensor);
    roles.push_back(column.tensor.role);
  }
  const int layer = columns[0].tensor.layer;
  measurement.role = join(roles, "+");
  measurement.name = layer < 0 ? measurement.role : "blk." + std::to_string(layer) + "." + measurement.role;
  for (const PublishedRow& row : table.rows) {
    measurement.type = row.type;
    measurement.value = row.values[columns[0].index];
    if (!std::isnan(measurement.value)) measurements.push_back(measurement);
  }
}

}  // namespace

Result<PublishedTruth> published_truth(const PublishedTable& table, std::span<const MappedTensor> map) {
  std::unordered_map<std::string_view, uint64_t> elements;
  for (const MappedTensor& tensor : map) elements[tensor.name] = tensor.elements;
  std::map<int, Block> blocks;  // by layer; those outside the blocks alone, below 0
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const auto found = elements.find(table.columns[c]);
    if (found == elements.end())
      return fail(ErrorCode::kMismatch, {"published table: tensor '" + printable(table.columns[c]) + "'", "is not in the tensor map", "",
                                         "files of two models?"});
    NamedTensor tensor = named_tensor(table.columns[c], found->second);
    const int key = tensor.layer >= 0 ? tensor.layer : -1 - static_cast<int>(c);
    Block& block = blocks[key];
    block.push_back({c, std::move(tensor)});
    if (block.size() > kMostInABlock)
      return fail(ErrorCode::kUnsupported,
                  "published table: more than " + group_digits(kMostInABlock) + " tensors in block " + std::to_string(key));
  }
  std::vector<std::string> not_run;
  std::vector<NamedTensor> tensors;
  for (auto at = blocks.begin(); at != blocks.end();) {
    const bool skipped = was_skipped(table, at->second);
    for (const Column& column : at->second) {
      if (skipped) {
        not_run.push_back(column.tensor.name);
      } else {
        tensors.push_back(column.tensor);
      }
    }
    at = skipped ? blocks.erase(at) : std::next(at);
  }
  PublishedTruth truth{{}, std::move(not_run), NamedModel(tensors)};
  const auto joined = joined_roles(table, blocks);
  for (const auto& [layer, block] : blocks)
    for (const Block& columns : measurements_of(table, block, joined)) add_measurement(table, columns, truth.measurements);
  if (truth.measurements.empty()) return fail(ErrorCode::kMismatch, "published table: no tensor was measured at any type");
  return truth;
}

TournamentTruth tournament_truth(const PublishedTruth& truth) {
  TournamentTruth result;
  for (const PublishedMeasurement& measurement : truth.measurements) {
    uint64_t elements = 0;
    for (const NamedTensor& tensor : measurement.tensors) elements += tensor.elements;
    result.items.push_back(
        {measurement.name, measurement.type, measurement.role, measurement.tensors[0].layer, elements, measurement.value});
  }
  return result;
}

TournamentScore tournament_score(const PublishedTruth& truth, const NameScore& score) {
  TournamentScore result{std::string(score.name), {}, false};
  for (const PublishedMeasurement& measurement : truth.measurements)
    result.values.push_back(pooled_value(score, measurement.tensors, truth.model));
  return result;
}

}  // namespace assay
