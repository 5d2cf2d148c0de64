// The two merge procedures. Both work on token ids: a merge is a pair of neighbours whose joined text is a token.
// Internal to text/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "assay/text/tokenizer.h"

namespace assay {

// Pairs of token ids -> priority (smaller merges first) and result.
class MergeTable {
 public:
  struct Merge {
    float priority = 0;
    TokenId result = -1;
  };
  void add(TokenId left, TokenId right, Merge merge) { merges_.try_emplace(key(left, right), merge); }
  void reserve(size_t count) { merges_.reserve(count); }
  const Merge* find(TokenId left, TokenId right) const {
    const auto found = merges_.find(key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
  }

 private:
  struct Mix {
    size_t operator()(uint64_t k) const { return static_cast<size_t>((k ^ (k >> 29)) * 0x9E3779B97F4A7C15ULL); }
  };
  static uint64_t key(TokenId left, TokenId right) { return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right); }
  std::unordered_map<uint64_t, Merge, Mix> merges_;
};

// Merges neighbours of `symbols` in place until no pair is in the table: smallest priority first, then leftmost.
// `find(left, right)` returns the merge or null; `ends[i]` (end of symbol i in the text) follows the symbols. O(n log n).
template <class Find>
void merge_symbols(std::vector<TokenId>& symbols, std::vector<uint32_t>& ends, const Find& find);

}  // namespace assay

#include "assay/text/bpe_merge.h"
