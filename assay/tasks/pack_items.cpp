#include "assay/tasks/pack_items.h"

#include <algorithm>

namespace assay {
namespace {

int64_t fed(const EncodedOption& option) { return static_cast<int64_t>(option.tokens.size()) - 1; }
int64_t first_predicting(const EncodedOption& option) { return static_cast<int64_t>(option.scored_begin) - 1; }

}  // namespace

PackedItems pack_items(std::span<const EncodedItem> items) {
  PackedItems packed;
  int64_t next_row = 0;  // among the wanted
  for (const EncodedItem& item : items) {
    const auto shared = static_cast<int64_t>(item.shared);
    TokenTree tree;
    tree.stem = {shared, shared};
    for (const EncodedOption& option : item.options) tree.stem.wanted = std::min(tree.stem.wanted, first_predicting(option));
    const auto& first = item.options[0].tokens;
    packed.tokens.insert(packed.tokens.end(), first.begin(), first.begin() + shared);
    const int64_t stem_row = next_row;
    next_row += tree.stem.wanted_rows();
    for (const EncodedOption& option : item.options) {
      const int64_t own = fed(option) - shared, wanted = std::max<int64_t>(0, first_predicting(option) - shared);
      for (int64_t t = first_predicting(option); t < fed(option); ++t) {
        const int64_t row = t < shared ? stem_row + t - tree.stem.wanted : next_row + t - shared - wanted;
        packed.targets.push_back({row, option.tokens[static_cast<size_t>(t) + 1], packed.options});
      }
      ++packed.options;
      if (own == 0) continue;
      packed.tokens.insert(packed.tokens.end(), option.tokens.begin() + shared, option.tokens.end() - 1);
      tree.branches.push_back({own, wanted});
      next_row += own - wanted;
    }
    packed.trees.push_back(std::move(tree));
  }
  std::stable_sort(packed.targets.begin(), packed.targets.end(),
                   [](const PackedItems::Target& a, const PackedItems::Target& b) { return a.row < b.row; });
  return packed;
}

uint64_t packed_rows(const EncodedItem& item) {
  uint64_t rows = item.shared;
  for (const EncodedOption& option : item.options) rows += option.tokens.size() - 1 - item.shared;
  return rows;
}

uint64_t separate_rows(const EncodedItem& item) {
  uint64_t rows = 0;
  for (const EncodedOption& option : item.options) rows += option.tokens.size() - 1;
  return rows;
}

std::vector<EncodedItem> separated(std::span<const EncodedItem> items) {
  std::vector<EncodedItem> all;
  for (const EncodedItem& item : items)
    for (const EncodedOption& option : item.options) all.push_back({{option}, option.tokens.size() - 1});
  return all;
}

}  // namespace assay
