// Implementation of merge_symbols: a scan for short words, a heap for long ones.
#pragma once

#include <queue>
#include <tuple>

#include "assay/text/bpe.h"

namespace assay {
namespace bpe_detail {

constexpr size_t kScanLimit = 48;  // symbols; beyond it the quadratic scan loses to the heap

template <class Find>
void merge_by_scan(std::vector<TokenId>& symbols, std::vector<uint32_t>& ends, const Find& find) {
  std::vector<MergeTable::Merge> merges(symbols.size());
  const auto look = [&](size_t i) {
    const MergeTable::Merge* merge = find(i);
    merges[i] = merge != nullptr ? *merge : MergeTable::Merge{};
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) look(i);
  while (symbols.size() > 1) {
    size_t best = symbols.size();
    for (size_t i = 0; i + 1 < symbols.size(); ++i)
      if (merges[i].result >= 0 && (best == symbols.size() || merges[i].priority < merges[best].priority)) best = i;
    if (best == symbols.size()) return;
    symbols[best] = merges[best].result;
    ends[best] = ends[best + 1];
    const auto at = static_cast<ptrdiff_t>(best) + 1;
    symbols.erase(symbols.begin() + at);
    ends.erase(ends.begin() + at);
    merges.erase(merges.begin() + at);
    if (best + 1 < symbols.size()) look(best);
    if (best > 0) look(best - 1);
  }
}

}  // namespace bpe_detail

// `find(i)` of the scan sees the vectors themselves; the heap works on a linked list and re-checks what it pops.
template <class Find>
void merge_symbols(std::vector<TokenId>& symbols, std::vector<uint32_t>& ends, const Find& find) {
  if (symbols.size() <= bpe_detail::kScanLimit) {
    bpe_detail::merge_by_scan(symbols, ends, [&](size_t i) { return find(symbols[i], symbols[i + 1]); });
    return;
  }
  const size_t n = symbols.size();
  constexpr uint32_t kNone = UINT32_MAX;
  std::vector<uint32_t> next(n), previous(n);
  for (size_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? static_cast<uint32_t>(i + 1) : kNone;
    previous[i] = i > 0 ? static_cast<uint32_t>(i - 1) : kNone;
  }
  struct Candidate {
    float priority;
    uint32_t left;
    TokenId left_id, right_id, result;
    bool operator<(const Candidate& other) const { return std::tie(other.priority, other.left) < std::tie(priority, left); }
  };
  std::priority_queue<Candidate> queue;
  const auto look = [&](uint32_t left) {
    if (left == kNone || next[left] == kNone) return;
    if (const MergeTable::Merge* merge = find(symbols[left], symbols[next[left]]))
      queue.push({merge->priority, left, symbols[left], symbols[next[left]], merge->result});
  };
  for (uint32_t i = 0; i + 1 < n; ++i) look(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const uint32_t right = next[top.left];
    if (symbols[top.left] != top.left_id || right == kNone || symbols[right] != top.right_id) continue;  // changed since
    symbols[top.left] = top.result;
    ends[top.left] = ends[right];
    symbols[right] = -1;
    next[top.left] = next[right];
    if (next[right] != kNone) previous[next[right]] = top.left;
    look(top.left);
    look(previous[top.left]);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i != kNone; i = next[i]) {
    symbols[kept] = symbols[i];
    ends[kept++] = ends[i];
  }
  symbols.resize(kept);
  ends.resize(kept);
}

}  // namespace assay
