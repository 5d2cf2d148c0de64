#include "assay/text/bpe.h"

#include "assay/text/tokenizer_impl.h"

namespace assay {

void Tokenizer::Impl::encode_bpe(std::string_view text, uint64_t offset, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) const {
  // Words repeat: each distinct one is merged once per call.
  struct Word {
    std::vector<TokenId> ids;
    std::vector<uint32_t> ends;
  };
  std::unordered_map<std::string_view, Word> words;
  constexpr size_t kLongestKept = 64;
  std::vector<uint32_t> pieces;
  pre_tokenizer.split(text, pieces);
  Word scratch;
  uint32_t begin = 0;
  for (const uint32_t end : pieces) {
    const std::string_view piece = text.substr(begin, end - begin);
    const auto known = piece.size() <= kLongestKept ? words.find(piece) : words.end();
    const Word* word = nullptr;
    if (known != words.end()) {
      word = &known->second;
    } else {
      scratch.ids.clear();
      scratch.ends.clear();
      const auto whole = whole_words ? id_of_bytes.find(std::string(piece)) : id_of_bytes.end();
      if (whole != id_of_bytes.end()) {
        scratch.ids.push_back(whole->second);
        scratch.ends.push_back(static_cast<uint32_t>(piece.size()));
      } else {
        for (size_t i = 0; i < piece.size(); ++i) {
          const TokenId id = byte_tokens[static_cast<unsigned char>(piece[i])];
          if (id < 0) continue;  // a vocabulary without this byte drops it, as llama.cpp does
          scratch.ids.push_back(id);
          scratch.ends.push_back(static_cast<uint32_t>(i + 1));
        }
        merge_symbols(scratch.ids, scratch.ends, [&](TokenId a, TokenId b) { return merges.find(a, b); });
      }
      word = piece.size() <= kLongestKept ? &words.emplace(piece, scratch).first->second : &scratch;
    }
    for (size_t i = 0; i < word->ids.size(); ++i) {
      ids.push_back(word->ids[i]);
      ends.push_back(offset + begin + word->ends[i]);
    }
    begin = end;
  }
}

// SentencePiece BPE: characters merge into tokens, the highest score first; what is no token falls back to bytes.
void Tokenizer::Impl::encode_llama(std::string_view text, uint64_t offset, bool prefix, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) const {
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  std::string escaped;
  std::vector<uint32_t> source_ends;  // per byte of `escaped`: end in `text`
  const auto append = [&](std::string_view piece, size_t end) {
    escaped += piece;
    source_ends.insert(source_ends.end(), piece.size(), static_cast<uint32_t>(end));
  };
  if (prefix) append(kSpace, 0);
  for (size_t i = 0; i < text.size(); ++i) append(text[i] == ' ' ? kSpace : text.substr(i, 1), i + 1);

  // Symbols are spans of `escaped`; a merge exists where the joined text is a token. Unknown characters get ids below -1, so that
  // they stay apart.
  const size_t n = escaped.size();
  std::vector<TokenId> symbols;
  std::vector<uint32_t> symbol_ends;
  for (size_t i = 0; i < n;) {
    const auto first = static_cast<unsigned char>(escaped[i]);
    const size_t length = std::min<size_t>(first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4, n - i);
    const auto found = id_of_bytes.find(escaped.substr(i, length));
    symbols.push_back(found == id_of_bytes.end() ? -2 : found->second);
    i += length;
    symbol_ends.push_back(static_cast<uint32_t>(i));
  }
  MergeTable::Merge merge;
  std::string joined;
  const auto text_of = [&](TokenId id) { return tokens[static_cast<size_t>(id)]; };
  merge_symbols(symbols, symbol_ends, [&](TokenId a, TokenId b) -> const MergeTable::Merge* {
    if (a < 0 || b < 0) return nullptr;
    joined.assign(text_of(a));
    joined += text_of(b);
    const auto found = id_of_bytes.find(joined);
    if (found == id_of_bytes.end()) return nullptr;
    merge = {-scores[static_cast<size_t>(found->second)], found->second};
    return &merge;
  });
  uint32_t begin = 0;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] >= 0) {
      ids.push_back(symbols[i]);
      ends.push_back(offset + source_ends[symbol_ends[i] - 1]);
    } else {
      for (uint32_t b = begin; b < symbol_ends[i]; ++b) {
        const TokenId byte = byte_tokens[static_cast<unsigned char>(escaped[b])];
        const TokenId id = byte >= 0 ? byte : unknown.value_or(0);
        ids.push_back(id);
        ends.push_back(offset + source_ends[b]);
      }
    }
    begin = symbol_ends[i];
  }
}

}  // namespace assay
