// Splitting text into words before byte pair merging. Each pre-tokenizer is an entry of a table: its name in GGUF files, aliases,
// and regular expressions applied one after the other (a piece that a pattern does not match stays a piece).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct PreTokenizerSpec {
  std::string_view name;
  std::vector<std::string_view> aliases;   // other values of tokenizer.ggml.pre that mean the same
  std::vector<std::string_view> patterns;  // PCRE2, UTF with Unicode properties
  bool whole_words = false;                // a word that is a token is not merged (llama 3)
  bool adds_bos = false;                   // default where the file does not say
  bool composes = false;                   // text is put into Unicode normal form C first; llama.cpp leaves that out
};

std::span<const PreTokenizerSpec> all_pre_tokenizers();
const PreTokenizerSpec* find_pre_tokenizer(std::string_view name);  // name or alias; nullptr if unknown

class PreTokenizer {
 public:
  static Result<PreTokenizer> compile(const PreTokenizerSpec& spec);
  // Ends of the pieces of `text` (valid UTF-8), ascending; the last is text.size().
  void split(std::string_view text, std::vector<uint32_t>& ends) const;

 private:
  struct Pattern;
  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

}  // namespace assay
