#include "assay/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "assay/text/unicode_additions.h"

namespace assay {
namespace {

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace

std::span<const PreTokenizerSpec> all_pre_tokenizers() {
  static const std::vector<PreTokenizerSpec> all = {
      {"gpt-2", {"gpt2", "phi-2", "mpt", "olmo", "jais"}, {kGpt2}},
      {"llama-bpe",
       {"llama3", "llama-v3", "falcon3"},
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
       true,
       true},
      {"qwen2", {"megrez"}, {kQwen2}, false, false, true},
      {"deepseek-r1-qwen", {}, {kQwen2}},
      {"smollm", {"starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}, {R"(\p{N})", kGpt2}},
      {"deepseek-coder", {}, {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"}},
      {"default",
       {},
       {R"([\p{P}\$\+<=>\^~\|]+)", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", R"(\p{N}+)",
        R"([0-9][0-9][0-9])"}},
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

namespace {

struct CharacterClass {
  std::string_view name;
  std::string members;
};
// The classes of the patterns, spelled out so that they mean the same with every PCRE2 from Unicode 14 on. PCRE2's \s also holds
// U+180E, which Unicode no longer counts as white space.
const std::vector<CharacterClass>& character_classes() {
  static const std::vector<CharacterClass> classes = {{"\\p{L}", "\\p{L}" + std::string(kNewLetters)},
                                                      {"\\p{N}", "\\p{N}" + std::string(kNewNumbers)},
                                                      {"\\p{P}", "\\p{P}" + std::string(kNewPunctuation)},
                                                      {"\\s", R"(\p{Z}\t-\r\x{85})"},
                                                      {"\\S", R"(\p{Z}\t-\r\x{85})"}};
  return classes;
}

std::string expand_classes(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  while (!pattern.empty()) {
    const auto& classes = character_classes();
    const auto found = std::find_if(classes.begin(), classes.end(), [&](const CharacterClass& c) { return pattern.starts_with(c.name); });
    size_t length = 1;
    if (found != classes.end()) {
      // \S stands inside no class.
      result += in_class ? found->members : (found->name == "\\S" ? "[^" : "[") + found->members + "]";
      length = found->name.size();
    } else {
      length = pattern[0] == '\\' ? 2 : 1;
      if (length == 1) in_class = in_class ? pattern[0] != ']' : pattern[0] == '[';
      result += pattern.substr(0, length);
    }
    pattern.remove_prefix(std::min(length, pattern.size()));
  }
  return result;
}

}  // namespace

struct PreTokenizer::Pattern {
  pcre2_code* code = nullptr;
  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }
};

Result<PreTokenizer> PreTokenizer::compile(const PreTokenizerSpec& spec) {
  PreTokenizer result;
  for (const std::string_view source : spec.patterns) {
    const std::string text = expand_classes(source);
    auto pattern = std::make_shared<Pattern>();
    int error = 0;
    PCRE2_SIZE at = 0;
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
    if (pattern->code == nullptr)
      return fail(ErrorCode::kInternal, "pre-tokenizer '" + std::string(spec.name) + "': pattern does not compile");
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

}  // namespace assay
