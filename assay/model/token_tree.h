// Sequences that share a beginning, packed without padding: a tree's rows are its stem's tokens, then those of one branch after another. A
// branch follows the stem: it sees the stem and itself, and its positions go on where the stem's end. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace assay {

struct TokenTree {
  // Of one part, rows [wanted, tokens) are wanted after the last block.
  struct Part {
    int64_t tokens = 0, wanted = 0;
    int64_t wanted_rows() const { return tokens - wanted; }
  };
  Part stem;
  std::vector<Part> branches;

  int64_t rows() const { return sum(&Part::tokens); }
  int64_t wanted_rows() const { return rows() - sum(&Part::wanted); }
  // Rows that a query's own sequence may have at most.
  int64_t longest() const {
    int64_t branch = 0;
    for (const Part& part : branches) branch = part.tokens > branch ? part.tokens : branch;
    return stem.tokens + branch;
  }

 private:
  int64_t sum(int64_t Part::* field) const {
    int64_t total = stem.*field;
    for (const Part& part : branches) total += part.*field;
    return total;
  }
};

// Positions of the rows of one tree after another; `wanted`: of the wanted ones only.
inline std::vector<int32_t> positions_of(std::span<const TokenTree> trees, bool wanted) {
  std::vector<int32_t> positions;
  const auto add = [&](const TokenTree::Part& part, int64_t first) {
    for (int64_t t = wanted ? part.wanted : 0; t < part.tokens; ++t) positions.push_back(static_cast<int32_t>(first + t));
  };
  for (const TokenTree& tree : trees) {
    add(tree.stem, 0);
    for (const TokenTree::Part& branch : tree.branches) add(branch, tree.stem.tokens);
  }
  return positions;
}

// Rows, in the order of all trees', that are wanted.
inline std::vector<int64_t> wanted_rows_of(std::span<const TokenTree> trees) {
  std::vector<int64_t> rows;
  int64_t first = 0;
  const auto add = [&](const TokenTree::Part& part) {
    for (int64_t t = part.wanted; t < part.tokens; ++t) rows.push_back(first + t);
    first += part.tokens;
  };
  for (const TokenTree& tree : trees) {
    add(tree.stem);
    for (const TokenTree::Part& branch : tree.branches) add(branch);
  }
  return rows;
}

}  // namespace assay
