#include "assay/text/bpe.h"

#include "assay/text/tokenizer_impl.h"

namespace assay {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, the llama vocabulary's space
constexpr size_t kLongestKept = 64;                  // bytes of a word that is remembered

// Words repeat: each distinct one is merged once per call.
using Words = std::unordered_map<std::string_view, EncodedWord>;

void append(const EncodedWord& word, uint64_t offset, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) {
  ids.insert(ids.end(), word.ids.begin(), word.ids.end());
  for (const uint32_t end : word.ends) ends.push_back(offset + end);
}

// Bytes of the space at the start of `text`: ' ' or a literal U+2581; 0 if there is none.
size_t space_at(std::string_view text) { return text.starts_with(' ') ? 1 : text.starts_with(kSpace) ? kSpace.size() : 0; }

// Length of the word at the start of `text`: its spaces and what follows up to the next space.
size_t word_length(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t space = space_at(text.substr(at));
    if (space == 0) break;
    at += space;
  }
  while (at < text.size() && space_at(text.substr(at)) == 0) ++at;
  return at;
}

}  // namespace

void Tokenizer::Impl::merge_bpe(std::string_view word, EncodedWord& out) const {
  out.ids.clear();
  out.ends.clear();
  if (const auto whole = whole_words ? id_of_bytes.find(word) : id_of_bytes.end(); whole != id_of_bytes.end()) {
    out.ids.push_back(whole->second);
    out.ends.push_back(static_cast<uint32_t>(word.size()));
    return;
  }
  for (size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_tokens[static_cast<unsigned char>(word[i])];
    if (id < 0) continue;  // a vocabulary without this byte drops it, as llama.cpp does
    out.ids.push_back(id);
    out.ends.push_back(static_cast<uint32_t>(i + 1));
  }
  merge_symbols(out.ids, out.ends, [&](TokenId a, TokenId b) { return merges.find(a, b); });
}

void Tokenizer::Impl::encode_bpe(std::string_view text, uint64_t offset, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) const {
  Words words;
  EncodedWord scratch;
  std::vector<uint32_t> pieces;
  pre_tokenizer.split(text, pieces);
  uint32_t begin = 0;
  for (const uint32_t end : pieces) {
    const std::string_view piece = text.substr(begin, end - begin);
    if (piece.size() > kLongestKept) {
      merge_bpe(piece, scratch);
      append(scratch, offset + begin, ids, ends);
    } else {
      const auto [word, added] = words.try_emplace(piece);
      if (added) merge_bpe(piece, word->second);
      append(word->second, offset + begin, ids, ends);
    }
    begin = end;
  }
}

// SentencePiece BPE: characters merge into tokens, the highest score first; what is no token falls back to bytes. `prefix` puts a
// space in front.
void Tokenizer::Impl::merge_llama(std::string_view word, bool prefix, EncodedWord& out) const {
  // Symbols of the escaped text, with their ends in `word`; -2: no token, kept apart from its neighbours.
  std::vector<TokenId> symbols;
  std::vector<uint32_t> symbol_ends;
  const auto add = [&](std::string_view character, size_t end) {
    const auto found = id_of_bytes.find(character);
    symbols.push_back(found == id_of_bytes.end() ? -2 : found->second);
    symbol_ends.push_back(static_cast<uint32_t>(end));
  };
  if (prefix) add(kSpace, 0);
  for (size_t i = 0; i < word.size();) {
    const auto first = static_cast<unsigned char>(word[i]);
    const size_t length = std::min<size_t>(first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4, word.size() - i);
    add(word[i] == ' ' ? kSpace : word.substr(i, length), i + length);
    i += length;
  }
  merge_symbols(symbols, symbol_ends, [&](TokenId a, TokenId b) { return merges.find(a, b); });
  out.ids.clear();
  out.ends.clear();
  uint32_t begin = 0;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] >= 0) {
      out.ids.push_back(symbols[i]);
      out.ends.push_back(symbol_ends[i]);
    } else {
      const bool escaped = begin == symbol_ends[i] || word[begin] == ' ';  // a space without a token
      const std::string_view character = escaped ? kSpace : word.substr(begin, symbol_ends[i] - begin);
      for (size_t b = 0; b < character.size(); ++b) {
        const TokenId byte = byte_tokens[static_cast<unsigned char>(character[b])];
        out.ids.push_back(byte >= 0 ? byte : unknown.value_or(0));
        out.ends.push_back(escaped ? symbol_ends[i] : begin + static_cast<uint32_t>(b) + 1);
      }
    }
    begin = symbol_ends[i];
  }
}

void Tokenizer::Impl::encode_llama(std::string_view text, uint64_t offset, bool prefix, std::vector<TokenId>& ids,
                                   std::vector<uint64_t>& ends) const {
  Words words;
  EncodedWord scratch;
  for (size_t begin = 0; begin < text.size();) {
    const size_t length = splits_at_spaces ? word_length(text.substr(begin)) : text.size();
    const std::string_view piece = text.substr(begin, length);
    if (piece.size() > kLongestKept || (prefix && begin == 0)) {
      merge_llama(piece, prefix && begin == 0, scratch);
      append(scratch, offset + begin, ids, ends);
    } else {
      const auto [word, added] = words.try_emplace(piece);
      if (added) merge_llama(piece, false, word->second);
      append(word->second, offset + begin, ids, ends);
    }
    begin += length;
  }
}

}  // namespace assay
