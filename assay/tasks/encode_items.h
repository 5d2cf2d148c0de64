// Items as tokens, by the rules of lm-evaluation-harness 0.4.13 (TemplateLM.loglikelihood and HFLM._loglikelihood_tokens):
//   the continuation is a delimiter (one space) and the option; white space at the end of the context moves to the continuation; context
//   and continuation are encoded together, and what lies behind as many tokens as the context alone has is scored; a context without tokens
//   is one token, BOS or else EOS; of more than context + 1 tokens the first are cut off.
// BOS: as the tokenizer adds it (their default, add_bos_token unset), always, or never; not where the text begins with it.
// Departures, each where theirs stops with a failed assertion: a context of white space alone counts as empty; no EOS is ever added.
// Torch-free. Non-goals: few-shot examples, chat templates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/tasks/task_file.h"
#include "assay/text/tokenizer.h"

namespace assay {

inline constexpr std::string_view kLmEvalVersion = "0.4.13";

enum class BosRule : uint8_t { kTokenizer, kAlways, kNever };

struct EncodeItemsOptions {
  std::string delimiter = " ";
  BosRule bos = BosRule::kTokenizer;
  uint64_t context = 0;  // tokens the model can take: what it is fed, the last label not counted
};

// One option: what the model is fed, and the scored tokens, which are the last ones.
struct EncodedOption {
  std::vector<TokenId> tokens;  // with the last label; after cutting
  size_t scored_begin = 1;      // tokens [scored_begin, end) are scored, each predicted by the one before it
  uint64_t cut = 0;             // tokens cut off at the beginning
  size_t scored() const { return tokens.size() - scored_begin; }
};

struct EncodedItem {
  std::vector<EncodedOption> options;
  size_t shared = 0;  // leading tokens of what is fed that all options have
  bool truncated() const;
};

// Errors: kUsage (BOS wanted of a vocabulary without one), kBadInput with the line (an option without a token of its own, or longer than
// the context).
Result<std::vector<EncodedItem>> encode_items(std::span<const TaskItem> items, const Tokenizer& tokenizer, const std::string& who,
                                              const EncodeItemsOptions& options);

// Where the white space at the end of a text begins: Python's str.rstrip.
size_t end_without_space(std::string_view text);
// Unicode characters: what lm-eval's acc_norm divides by. `text` is valid UTF-8.
size_t characters_of(std::string_view text);

}  // namespace assay
