#include "assay/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

std::span<const PreTokenizerSpec> all_pre_tokenizers() {
  static const std::vector<PreTokenizerSpec> all = {
      {"gpt-2", {"gpt2", "phi-2", "mpt", "olmo", "jais"}, {kGpt2}},
      {"llama-bpe",
       {"llama3", "llama-v3", "falcon3"},
       {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
       true,
       true},
      {"qwen2",
       {"deepseek-r1-qwen", "megrez"},
       {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"smollm", {"starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}, {R"(\p{N})", kGpt2}},
      {"deepseek-coder", {}, {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"}},
      {"default",
       {},
       {R"([\p{P}\$\+<=>\^~\|]+)", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
  };
  return all;
}

const PreTokenizerSpec* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    if (spec.name == name) return &spec;
    for (const std::string_view alias : spec.aliases)
      if (alias == name) return &spec;
  }
  return nullptr;
}

struct PreTokenizer::Pattern {
  pcre2_code* code = nullptr;
  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }
};

Result<PreTokenizer> PreTokenizer::compile(const PreTokenizerSpec& spec) {
  PreTokenizer result;
  for (const std::string_view text : spec.patterns) {
    auto pattern = std::make_shared<Pattern>();
    int error = 0;
    PCRE2_SIZE at = 0;
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
    if (pattern->code == nullptr) return fail(ErrorCode::kInternal, "pre-tokenizer '" + std::string(spec.name) + "': pattern does not compile");
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter serves
    result.patterns_.push_back(std::move(pattern));
  }
  return result;
}

void PreTokenizer::split(std::string_view text, std::vector<uint32_t>& ends) const {
  ends.assign(1, static_cast<uint32_t>(text.size()));
  std::vector<uint32_t> next;
  for (const auto& pattern : patterns_) {
    next.clear();
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(pattern->code, nullptr), pcre2_match_data_free);
    uint32_t begin = 0;
    for (const uint32_t end : ends) {
      // Each piece is a subject of its own: look-ahead must not see past it.
      const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
      const PCRE2_SIZE length = end - begin;
      for (PCRE2_SIZE at = 0; at < length;) {
        if (pcre2_match(pattern->code, subject, length, at, PCRE2_NO_UTF_CHECK, data.get(), nullptr) < 0) break;
        const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data.get());
        if (match[1] == match[0]) break;
        if (match[0] > at) next.push_back(begin + static_cast<uint32_t>(match[0]));
        next.push_back(begin + static_cast<uint32_t>(match[1]));
        at = match[1];
      }
      if (next.empty() || next.back() != end) next.push_back(end);
      begin = end;
    }
    ends.swap(next);
  }
  if (text.empty()) ends.clear();
}

std::string replace_invalid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string result;
  while (!text.empty()) {
    size_t length = 1;
    while (length < 4 && length < text.size() && !is_valid_utf8(text.substr(0, length))) ++length;
    if (is_valid_utf8(text.substr(0, length))) {
      result += text.substr(0, length);
    } else {
      result += "\xEF\xBF\xBD";
      length = 1;
    }
    text.remove_prefix(length);
  }
  return result;
}

}  // namespace assay
