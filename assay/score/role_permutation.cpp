#include "assay/score/role_permutation.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr uint64_t kStream = 2;  // beside those of the bootstraps
constexpr size_t kPieces = 4;

size_t number_of(std::map<std::string, size_t>& numbers, const std::string& name) {
  return numbers.try_emplace(name, numbers.size()).first->second;
}

// Indices of equal signatures.
template <class Signature>
std::vector<std::vector<size_t>> classes_of(const std::vector<Signature>& signatures) {
  std::map<Signature, std::vector<size_t>> alike;
  for (size_t i = 0; i < signatures.size(); ++i) alike[signatures[i]].push_back(i);
  std::vector<std::vector<size_t>> classes;
  for (auto& [signature, members] : alike) classes.push_back(std::move(members));
  return classes;
}

// The members in another order, any.
std::vector<size_t> shuffled(CounterRandom& random, std::vector<size_t> members) {
  draw_to_front(random, members.size(), members);
  return members;
}

// The members, laid on a circle, in another order of kPieces pieces, each perhaps reversed.
std::vector<size_t> shuffled_pieces(CounterRandom& random, std::vector<size_t> members) {
  std::rotate(members.begin(), members.begin() + static_cast<std::ptrdiff_t>(random.next_below(members.size())), members.end());
  const size_t pieces = std::min(kPieces, members.size());
  std::vector<size_t> order(pieces);
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> result;
  for (const size_t piece : shuffled(random, order)) {
    const auto begin = members.begin() + static_cast<std::ptrdiff_t>(piece * members.size() / pieces);
    const auto end = members.begin() + static_cast<std::ptrdiff_t>((piece + 1) * members.size() / pieces);
    if (random.next_below(2) == 0) std::reverse(begin, end);
    result.insert(result.end(), begin, end);
  }
  return result;
}

// Where each index goes: within its class.
template <class Shuffle>
std::vector<size_t> permuted(CounterRandom& random, const std::vector<std::vector<size_t>>& classes, size_t count, const Shuffle& shuffle) {
  std::vector<size_t> to(count);
  for (const auto& members : classes) {
    const std::vector<size_t> others = shuffle(random, members);
    for (size_t i = 0; i < members.size(); ++i) to[members[i]] = others[i];
  }
  return to;
}

}  // namespace

RolePermutation::RolePermutation(std::span<const RoleCell> cells) {
  std::map<std::tuple<std::string, std::string, std::string>, size_t> repeats;
  std::map<std::string, size_t> roles, blocks, types;
  std::map<std::pair<size_t, size_t>, std::vector<std::pair<size_t, uint32_t>>> tensors;  // cells by type
  std::vector<int> layers;                                                                // of each block
  for (size_t i = 0; i < cells.size(); ++i) {
    const RoleCell& cell = cells[i];
    const size_t repeat = repeats[{cell.role, cell.block, cell.type}]++;
    const size_t role = number_of(roles, repeat == 0 ? cell.role : cell.role + '#' + std::to_string(repeat));
    const size_t block = number_of(blocks, cell.block);
    if (block == layers.size()) layers.push_back(cell.layer);
    tensors[{role, block}].emplace_back(number_of(types, cell.type), static_cast<uint32_t>(i));
  }
  roles_ = roles.size();
  blocks_ = blocks.size();
  // What each role has in which block, and each block of which role.
  using Signature = std::vector<std::pair<size_t, std::vector<size_t>>>;
  std::vector<Signature> of_role(roles_), of_block(blocks_);
  for (auto& [place, members] : tensors) {
    std::sort(members.begin(), members.end());
    Tensor tensor{place.first, place.second, {}};
    std::vector<size_t> its_types;
    for (const auto& [type, cell] : members) {
      its_types.push_back(type);
      tensor.cells.push_back(cell);
    }
    of_role[place.first].emplace_back(place.second, its_types);
    of_block[place.second].emplace_back(place.first, its_types);
    at_[place] = tensors_.size();
    tensors_.push_back(std::move(tensor));
  }
  alike_roles_ = classes_of(of_role);
  alike_blocks_ = classes_of(of_block);
  for (auto& members : alike_blocks_)
    std::stable_sort(members.begin(), members.end(), [&](size_t a, size_t b) { return layers[a] < layers[b]; });
}

void RolePermutation::draw(uint64_t seed, uint64_t draw, std::span<uint32_t> from) const {
  CounterRandom random(seed, draw, kStream);
  const auto roles = permuted(random, alike_roles_, roles_, shuffled), blocks = permuted(random, alike_blocks_, blocks_, shuffled_pieces);
  for (const Tensor& tensor : tensors_) {
    const Tensor& other = tensors_[at_.find({roles[tensor.role], blocks[tensor.block]})->second];
    for (size_t k = 0; k < tensor.cells.size(); ++k) from[tensor.cells[k]] = other.cells[k];
  }
}

}  // namespace assay
