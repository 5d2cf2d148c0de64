// The two merge procedures. Both work on token ids: a merge is a pair of neighbours whose joined text is a token.
// Internal to text/.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "assay/text/tokenizer.h"

namespace assay {

// Pairs of token ids -> priority (smaller merges first) and result. Open addressing, at most half full.
class MergeTable {
 public:
  struct Merge {
    float priority = 0;
    TokenId result = -1;
  };
  // The first of two merges of one pair stays.
  void add(TokenId left, TokenId right, Merge merge) {
    if (2 * (count_ + 1) > slots_.size()) grow(2 * slots_.size());
    Slot& slot = slots_[place(key(left, right))];
    if (slot.merge.result < 0) slot = {key(left, right), merge}, ++count_;
  }
  void reserve(size_t count) {
    if (2 * count > slots_.size()) grow(2 * count);
  }
  const Merge* find(TokenId left, TokenId right) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[place(key(left, right))];
    return slot.merge.result < 0 ? nullptr : &slot.merge;
  }

 private:
  struct Slot {
    uint64_t key = 0;
    Merge merge;  // result < 0: empty
  };
  static uint64_t key(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  // The slot of `key`, or the empty one where it belongs.
  size_t place(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>((key ^ key >> 29) * 0x9E3779B97F4A7C15ULL >> 20) & mask;
    while (slots_[at].merge.result >= 0 && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }
  void grow(size_t least) {
    std::vector<Slot> old(std::bit_ceil(std::max<size_t>(least, 16)));
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.merge.result >= 0) slots_[place(slot.key)] = slot;
  }

  std::vector<Slot> slots_;  // a power of two of them
  size_t count_ = 0;
};

// Merges neighbours of `symbols` in place until no pair is in the table: smallest priority first, then leftmost.
// `find(left, right)` returns the merge or null; `ends[i]` (end of symbol i in the text) follows the symbols. O(n log n).
template <class Find>
void merge_symbols(std::vector<TokenId>& symbols, std::vector<uint32_t>& ends, const Find& find);

}  // namespace assay

#include "assay/text/bpe_merge.h"
