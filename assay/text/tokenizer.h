// Text to token ids and back: byte-level BPE and SentencePiece-style BPE ("llama-spm"), from GGUF metadata.
// A Hugging Face tokenizer is first translated into the same metadata (hf_tokenizer.h). Thread-safe after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/metadata.h"
#include "assay/file/safetensors.h"

namespace assay {

using TokenId = int32_t;

struct TokenizeOptions {
  bool add_special = false;   // BOS/EOS as the vocabulary's own flags say
  bool parse_special = true;  // "<|endoftext|>" in the text becomes its token
};

class Tokenizer {
 public:
  // Reads tokenizer.ggml.*. Errors name the key and what was expected; unknown pre-tokenizers are kUnsupported.
  static Result<Tokenizer> from_metadata(const Metadata& metadata);

  std::vector<TokenId> encode(std::string_view text, const TokenizeOptions& options = {}) const;
  // The same, and for every token the end of its bytes in `text` (after replace_invalid_utf8); ends never decrease.
  std::vector<TokenId> encode(std::string_view text, const TokenizeOptions& options, std::vector<uint64_t>& ends) const;
  std::string decode(std::span<const TokenId> ids, bool special = true) const;
  std::string_view token_text(TokenId id) const;  // as stored in the vocabulary
  size_t vocab_size() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_bos() const;
  bool adds_eos() const;
  std::string_view model() const;          // "gpt2", "llama"
  std::string_view pre_tokenizer() const;  // "qwen2", "llama-bpe", ...
  // SHA-256 over everything that can change ids: equal hashes, equal tokenizers.
  const std::string& fingerprint() const;

  struct Impl;

 private:
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// tokenizer.json (or vocab.json + merges.txt) with tokenizer_config.json -> the tokenizer.ggml.* keys llama.cpp's converter
// writes. `vocab_size` from config.json: missing ids become [PAD...] tokens. Errors name file, field and what was expected.
Result<Metadata> tokenizer_metadata(const HfDirectory& directory, uint64_t vocab_size);

}  // namespace assay
