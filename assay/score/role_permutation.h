// Chance as the structure of a model allows it: scores change hands between tensors by permuting roles and blocks as wholes. Every tensor
// (role, block) takes the values of (other role, other block), type by type. Roles change places with roles that have the same cells - the
// same blocks and types - and blocks with blocks likewise, so whatever a score has in common along a role or a layer stays together.
// Layers next to each other are alike, too: blocks of a kind are laid on a circle, cut into four pieces at a random place, and the pieces
// are put together in any order, each perhaps reversed.
// Torch-free. Non-goals: what is compared (tournament.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace assay {

struct RoleCell {
  std::string role;   // "ffn_down"
  std::string block;  // "3"; a tensor outside the blocks is one of its own
  int layer = -1;     // orders the blocks
  std::string type;
};

class RolePermutation {
 public:
  // Two cells of one role, block and type are told apart by their order.
  explicit RolePermutation(std::span<const RoleCell> cells);
  // Whose value each cell takes in draw `draw`, [cells]: a bijection onto cells of the same type.
  void draw(uint64_t seed, uint64_t draw, std::span<uint32_t> from) const;

 private:
  struct Tensor {
    size_t role = 0, block = 0;
    std::vector<uint32_t> cells;  // by type
  };
  std::vector<Tensor> tensors_;
  std::map<std::pair<size_t, size_t>, size_t> at_;               // tensor by role and block
  std::vector<std::vector<size_t>> alike_roles_, alike_blocks_;  // classes whose members may change places
  size_t roles_ = 0, blocks_ = 0;
};

}  // namespace assay
