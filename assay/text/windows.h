// From a text to probe windows: which tokens are evaluated together, which predictions are scored, to which document they
// belong. Conventions: methods.md 1.2. Default is llama.cpp's (A).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/text/tokenizer.h"

namespace assay {

enum class WindowRule {
  kLlamaCpp,  // A: floor(N/ctx) windows, BOS replaces the first token where the vocabulary adds BOS, second half scored
  kFull,      // D, E, G: non-overlapping windows, all ctx-1 predictions scored; the tokenizer's own BOS at the text's start only (D),
              // none where non-blank lines are joined (E, G)
};

// Lines put together with a blank line between them, before tokenizing.
enum class LineJoin {
  kNone,      // the text as it is
  kNonblank,  // E, G: lines that hold more than white space
  kAll,       // D: every line
};

struct WindowOptions {
  WindowRule rule = WindowRule::kLlamaCpp;
  uint32_t ctx = 512;       // tokens per window
  uint64_t chunks = 0;      // first N windows; 0: all
  uint64_t max_tokens = 0;  // H: one window of the first N tokens, all N-1 predictions; 0: off
  LineJoin join = LineJoin::kNone;
  std::string document_separator = {};  // regex of a whole line; empty: <|endoftext|> lines, WikiText headings, else the whole file
  bool jsonl = false;                   // each line is {"text": ...}: one document per line; recognised by its first line even if not set
};

// One window. Position t (0-based, within the window) predicts tokens[t + 1].
struct Window {
  std::vector<TokenId> tokens;  // as fed to the model (BOS substituted where the rule says)
  std::vector<TokenId> labels;  // labels[t] = the true next token of position t, t in [0, tokens.size() - 1)
  uint32_t score_begin = 0;     // scored positions t in [score_begin, score_end)
  uint32_t score_end = 0;
  uint32_t document = 0;  // index of the document holding most of its scored tokens (ties: the first)
  uint32_t scored() const { return score_end - score_begin; }
};

struct ProbeSet {
  std::vector<Window> windows;  // all of equal length
  uint32_t ctx = 0;
  uint32_t documents = 0;  // distinct documents among the windows
  uint64_t tokens_scored = 0;
  uint64_t text_tokens = 0;   // of the whole text
  std::string corpus_sha256;  // of the text's bytes
  std::string fingerprint;    // corpus, tokenizer and every option: equal fingerprints, equal windows
};

// Convention F (prompts of their own lengths) is not made: all windows are equally long.
// Errors: kUsage (options), kBadInput (text too short: says how many tokens were found and needed; bad JSONL line number).
Result<ProbeSet> make_windows(std::string_view text, const Tokenizer& tokenizer, const WindowOptions& options);
// Reads `path`, or standard input for "-".
Result<std::string> read_corpus(const std::string& path);

}  // namespace assay
