#include "assay/text/windows.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/text/documents.h"
#include "assay/text/normalize.h"

namespace assay {
namespace {

// The text to tokenize and where its documents end.
struct Corpus {
  std::string text;
  std::vector<uint64_t> ends;
};

Result<Corpus> read_jsonl(std::string_view text) {
  Corpus corpus;
  uint64_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto value = nlohmann::json::parse(line, nullptr, false);
    if (!value.is_object() || !value.contains("text") || !value["text"].is_string()) {
      return fail(ErrorCode::kBadInput,
                  {"text: line " + group_digits(number), "is not a JSON object with a string field 'text'", "", "not JSONL?"});
    }
    corpus.text += replace_invalid_utf8(value["text"].get<std::string>()) + "\n";
    corpus.ends.push_back(corpus.text.size());
  }
  return corpus;
}

// The first line that is not blank is a JSON object with a string field "text".
bool looks_like_jsonl(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || text[begin] != '{') return false;
  const auto value = nlohmann::json::parse(text.substr(begin, text.find('\n', begin) - begin), nullptr, false);
  return value.is_object() && value.contains("text") && value["text"].is_string();
}

std::string join_lines(std::string_view text, LineJoin rule) {
  if (text.ends_with('\n')) text.remove_suffix(1);  // ends the last line, begins none
  std::string result;
  bool first = true;
  for (const std::string& line : split(text, '\n')) {
    if (rule == LineJoin::kNonblank && line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!first) result += "\n\n";
    first = false;
    result += line;
  }
  return result;
}

Result<Corpus> make_corpus(std::string_view text, const WindowOptions& options) {
  if (options.jsonl || looks_like_jsonl(text)) return read_jsonl(text);
  Corpus corpus;
  corpus.text = replace_invalid_utf8(text);
  if (options.join != LineJoin::kNone) corpus.text = join_lines(corpus.text, options.join);
  ASSAY_ASSIGN(corpus.ends, document_ends(corpus.text, options.document_separator));
  return corpus;
}

// The document that holds most of the tokens [begin, end); ties go to the first.
uint32_t main_document(std::span<const uint64_t> token_ends, uint64_t begin, uint64_t end, std::span<const uint64_t> document_ends) {
  std::map<uint32_t, uint64_t> counts;
  for (uint64_t t = begin; t < end; ++t) {
    const auto found = std::lower_bound(document_ends.begin(), document_ends.end(), token_ends[t]);
    const auto last = static_cast<ptrdiff_t>(document_ends.size()) - 1;
    ++counts[static_cast<uint32_t>(std::min(found - document_ends.begin(), last))];
  }
  uint32_t best = 0;
  uint64_t most = 0;
  for (const auto& [document, count] : counts)
    if (count > most) most = count, best = document;
  return best;
}

std::string describe(const WindowOptions& options) {
  const nlohmann::json fields = {{"rule", options.rule == WindowRule::kLlamaCpp ? "llama.cpp" : "full"},
                                 {"ctx", options.ctx},
                                 {"chunks", options.chunks},
                                 {"max_tokens", options.max_tokens},
                                 {"join", static_cast<int>(options.join)},
                                 {"document_separator", options.document_separator},
                                 {"jsonl", options.jsonl}};
  return fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<ProbeSet> make_windows(std::string_view text, const Tokenizer& tokenizer, const WindowOptions& options) {
  if (options.ctx < 4) return fail(ErrorCode::kUsage, {"--ctx", "is " + std::to_string(options.ctx), "at least 4 tokens", ""});
  ASSAY_ASSIGN(const Corpus corpus, make_corpus(text, options));
  // A and D begin with BOS where the vocabulary adds it; E, G and H take the text's tokens alone.
  TokenizeOptions tokenize;
  tokenize.add_special = options.max_tokens == 0 && (options.rule == WindowRule::kLlamaCpp || options.join != LineJoin::kNonblank);
  std::vector<uint64_t> ends;
  const std::vector<TokenId> tokens = tokenizer.encode(corpus.text, tokenize, ends);

  ProbeSet set;
  set.text_tokens = tokens.size();
  set.corpus_sha256 = sha256_hex(text);
  const bool single = options.max_tokens > 0;
  const uint64_t length = single ? std::min<uint64_t>(options.max_tokens, tokens.size()) : options.ctx;
  if (tokens.size() < length || length < 4) {
    return fail(ErrorCode::kBadInput,
                {"text", "has " + group_digits(tokens.size()) + " tokens",
                 "one window needs " + group_digits(std::max<uint64_t>(length, 4)), "give more text or a smaller --ctx"});
  }
  set.ctx = static_cast<uint32_t>(length);
  uint64_t count = single ? 1 : tokens.size() / length;
  if (!single && options.chunks > 0) count = std::min(count, options.chunks);
  const bool second_half = options.rule == WindowRule::kLlamaCpp && !single;
  std::map<uint32_t, uint32_t> documents;
  for (uint64_t w = 0; w < count; ++w) {
    const uint64_t begin = w * length;
    Window window;
    window.tokens.assign(tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(begin + length));
    window.labels.assign(window.tokens.begin() + 1, window.tokens.end());
    if (second_half && tokenizer.adds_bos() && tokenizer.bos()) window.tokens[0] = *tokenizer.bos();
    window.score_begin = second_half ? static_cast<uint32_t>(length / 2) : 0;
    window.score_end = static_cast<uint32_t>(length - 1);
    const uint32_t document = main_document(ends, begin + window.score_begin + 1, begin + window.score_end + 1, corpus.ends);
    window.document = documents.emplace(document, static_cast<uint32_t>(documents.size())).first->second;
    set.tokens_scored += window.scored();
    set.windows.push_back(std::move(window));
  }
  set.documents = static_cast<uint32_t>(documents.size());
  set.fingerprint = sha256_hex(set.corpus_sha256 + tokenizer.fingerprint() + describe(options));
  return set;
}

Result<std::string> read_corpus(const std::string& path) {
  if (path != "-") return read_text_file(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

}  // namespace assay
