// Items as trees of tokens (model/token_tree.h): what the options of an item have in common at the beginning is there once, many items lie
// side by side, nothing is padded. Which row predicts which label of which option. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/model/token_tree.h"
#include "assay/tasks/encode_items.h"

namespace assay {

struct PackedItems {
  // A label that a wanted row predicts, for one option; options count through all items.
  struct Target {
    int64_t row = 0;  // among the wanted rows
    TokenId label = 0;
    size_t option = 0;
  };
  std::vector<TokenTree> trees;  // one per item
  std::vector<TokenId> tokens;   // of all rows
  std::vector<Target> targets;   // by row
  size_t options = 0;
};

PackedItems pack_items(std::span<const EncodedItem> items);

// Rows of one item packed, and of its options each alone.
uint64_t packed_rows(const EncodedItem& item);
uint64_t separate_rows(const EncodedItem& item);

// Every option as an item of its own, which shares nothing.
std::vector<EncodedItem> separated(std::span<const EncodedItem> items);

}  // namespace assay
