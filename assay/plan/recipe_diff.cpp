#include "assay/plan/recipe_diff.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/score/name_scores.h"

namespace assay {
namespace {

using Moves = std::map<std::pair<std::string, int>, RecipeMove>;

RecipeMove& move_of(Moves& moves, const NamedTensor& named) {
  RecipeMove& move = moves[{named.role, named.layer}];
  move.role = named.role;
  move.layer = named.layer;
  return move;
}

void add(RecipeMove& sum, const RecipeMove& move) {
  sum.changed += move.changed;
  sum.bytes += move.bytes;
  sum.damage += move.damage;
}

// The damage of a row under one recipe; false: unknown.
bool damage_under(const TypeDamage::Row& row, const std::vector<const std::string*>& types, double& damage) {
  for (const std::string* type : types)
    if (*type != *types[0]) return false;
  const auto found = row.damage.find(*types[0]);
  if (found == row.damage.end() && !is_plain_type(*types[0])) return false;
  damage = found == row.damage.end() ? 0 : found->second;
  return true;
}

}  // namespace

std::vector<RecipeMove> RecipeDiff::by_role() const {
  std::vector<RecipeMove> sums;
  for (const RecipeMove& move : moves) {
    if (sums.empty() || sums.back().role != move.role) sums.push_back({move.role, -1, 0, 0, 0});
    add(sums.back(), move);
  }
  return sums;
}

std::vector<RecipeMove> RecipeDiff::by_layer() const {
  std::map<int, RecipeMove> sums;
  for (const RecipeMove& move : moves) {
    sums[move.layer].layer = move.layer;
    add(sums[move.layer], move);
  }
  std::vector<RecipeMove> list;
  for (const auto& [layer, sum] : sums) list.push_back(sum);
  return list;
}

Result<RecipeDiff> recipe_diff(const RecipeDocument& first, const RecipeDocument& second, std::span<const TensorInfo> tensors,
                               const TypeDamage* damage) {
  RecipeDiff diff;
  ASSAY_ASSIGN(diff.first, recipe_size(first, tensors));
  ASSAY_ASSIGN(diff.second, recipe_size(second, tensors));
  Moves moves;
  std::unordered_map<std::string_view, const TensorInfo*> known;
  std::set<std::string> changed;
  for (const TensorInfo& tensor : tensors) {
    known[tensor.name] = &tensor;
    const NamedTensor named = named_tensor(tensor.name, tensor.elements());
    diff.layers = std::max(diff.layers, named.layer + 1);
    const std::string &from = type_under(first, tensor), &to = type_under(second, tensor);
    if (from == to) continue;
    ASSAY_ASSIGN(const uint64_t before, tensor_bytes(*find_type_size(from), tensor));
    ASSAY_ASSIGN(const uint64_t after, tensor_bytes(*find_type_size(to), tensor));
    diff.changes.push_back({tensor.name, from, to, static_cast<int64_t>(after) - static_cast<int64_t>(before)});
    changed.insert(tensor.name);
    RecipeMove& move = move_of(moves, named);
    ++move.changed;
    move.bytes += diff.changes.back().bytes;
  }
  if (damage != nullptr) {
    diff.has_damage = true;
    for (const TypeDamage::Row& row : damage->rows) {
      std::vector<const std::string*> from, to;
      bool moved = false;
      for (const std::string& name : row.tensors) {
        const auto found = known.find(name);
        if (found == known.end())
          return fail(ErrorCode::kMismatch,
                      {"damage table: row '" + printable(row.name) + "'", "names the tensor '" + printable(name) + "'",
                       "the model has no such tensor", "a table of another model?"});
        from.push_back(&type_under(first, *found->second));
        to.push_back(&type_under(second, *found->second));
        moved |= changed.erase(name) > 0;
      }
      if (!moved) continue;
      double before = 0, after = 0;
      if (!damage_under(row, from, before) || !damage_under(row, to, after)) {
        diff.unknown.push_back(row.name);
        continue;
      }
      move_of(moves, named_tensor(row.tensors.size() == 1 ? row.tensors[0] : row.name, 0)).damage += after - before;
      diff.damage += after - before;
    }
    for (const std::string& name : changed)  // in no row of the table
      if (!is_plain_type(type_under(first, *known[name])) || !is_plain_type(type_under(second, *known[name]))) diff.unknown.push_back(name);
  }
  for (auto& [key, move] : moves) diff.moves.push_back(std::move(move));
  return diff;
}

}  // namespace assay
