// The state of a tokenizer. Internal to text/.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "assay/text/bpe.h"
#include "assay/text/pre_tokenizer.h"
#include "assay/text/tokenizer.h"

namespace assay {

// tokenizer.ggml.token_type
enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct SpecialToken {
  std::string text;
  TokenId id = -1;
  bool user_defined = false;  // found even where special tokens are not parsed
  bool strips_right = false;  // swallows white space after it (phi-3)
};

// Hash of text that lets a map of strings be asked with a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using IdOfText = std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>>;

// What one word became, kept for the next time it is met: `ends` count from the word's first byte.
struct EncodedWord {
  std::vector<TokenId> ids;
  std::vector<uint32_t> ends;
};

struct Tokenizer::Impl {
  std::string model, pre;
  StringList tokens;
  std::vector<TokenKind> kinds;
  std::vector<std::string> bytes;      // what a token decodes to
  std::vector<float> scores;           // llama: higher merges first
  std::vector<SpecialToken> specials;  // longest first
  IdOfText id_of_bytes;                // BPE: bytes of normal tokens; llama: text as stored
  std::array<TokenId, 256> byte_tokens{};
  MergeTable merges;
  PreTokenizer pre_tokenizer;
  bool whole_words = false;
  bool composes = false;          // text goes through Unicode normal form C
  bool splits_at_spaces = false;  // llama: no token holds U+2581 after another character, so no merge crosses that place
  std::optional<TokenId> bos, eos, unknown;
  bool add_bos = false, add_eos = false, add_space_prefix = false;
  std::string fingerprint;

  Status read(const Metadata& metadata);
  void encode_bpe(std::string_view text, uint64_t offset, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) const;
  void encode_llama(std::string_view text, uint64_t offset, bool prefix, std::vector<TokenId>& ids, std::vector<uint64_t>& ends) const;

 private:
  void merge_bpe(std::string_view word, EncodedWord& out) const;
  void merge_llama(std::string_view word, bool prefix, EncodedWord& out) const;
  Status read_vocabulary(const Metadata& metadata);
  Status read_bpe(const Metadata& metadata);
  Status read_llama(const Metadata& metadata);
  Status read_specials(const Metadata& metadata);
};

}  // namespace assay
