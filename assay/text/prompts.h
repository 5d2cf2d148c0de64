// Prompts by stratum - prose, code, math, ... -, and the windows they become: each prompt one window of its own length, all predictions
// scored (convention F of methods.md 1.2, with one mask for every statistic). The built-in ones are the project's own words.
// Strata come in alphabetical order, prompts as given. Non-goals: texts of one window length (windows.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/text/tokenizer.h"
#include "assay/text/windows.h"

namespace assay {

struct Prompt {
  std::string text;     // "{bos}" stands for the vocabulary's own BOS, or for nothing where it has none
  uint32_t repeat = 1;  // so many times, with a blank between
};
struct PromptStratum {
  std::string name;
  std::vector<Prompt> prompts;
};

// chat, code, long_context, math, prose, sentinel, separators_bos; eight prompts each.
const std::vector<PromptStratum>& builtin_prompts();

// {stratum: [prompt, ...], ...}, a prompt being a text or {text, repeat}. Untrusted: every fault is kBadInput with its place.
Result<std::vector<PromptStratum>> parse_prompts(std::string_view text, bool yaml, const std::string& who);
Result<std::vector<PromptStratum>> read_prompts(const std::string& path);  // .yaml, .yml: YAML; everything else: JSON

struct PromptWindows {
  std::vector<std::string> strata;
  std::vector<Window> windows;    // document: the prompt's place among all
  std::vector<uint32_t> stratum;  // of each window
  uint64_t tokens_scored = 0;
};
// At most `max_tokens` of each prompt (0: all), at most `per_stratum` prompts of each stratum (0: all). BOS in front where the vocabulary
// adds it. Errors: kBadInput, a prompt that comes to fewer than two tokens.
Result<PromptWindows> make_prompt_windows(std::span<const PromptStratum> strata, const Tokenizer& tokenizer, uint64_t max_tokens,
                                          uint64_t per_stratum = 0);

}  // namespace assay
