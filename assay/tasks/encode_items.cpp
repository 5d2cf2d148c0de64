#include "assay/tasks/encode_items.h"

#include <algorithm>

#include "assay/base/text.h"

namespace assay {
namespace {

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Python's white space (str.isspace) as UTF-8.
bool is_space(std::string_view character) {
  constexpr std::string_view kOneByte = "\t\n\v\f\r\x1c\x1d\x1e\x1f ";
  constexpr std::string_view kLonger[] = {"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
                                          "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  if (character.size() == 1) return kOneByte.find(character[0]) != std::string_view::npos;
  return std::ranges::find(kLonger, character) != std::end(kLonger);
}

// The tokens of a text, with BOS before them where it is wanted.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, BosRule rule) : tokenizer_(tokenizer) {
    adds_bos_ = tokenizer.bos() && (rule == BosRule::kAlways || (rule == BosRule::kTokenizer && tokenizer.adds_bos()));
  }

  std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> tokens = tokenizer_.encode(text);
    if (adds_bos_ && (tokens.empty() || tokens[0] != *tokenizer_.bos())) tokens.insert(tokens.begin(), *tokenizer_.bos());
    return tokens;
  }

  // What stands in for an empty context.
  std::optional<TokenId> prefix() const { return tokenizer_.bos() ? tokenizer_.bos() : tokenizer_.eos(); }
  std::vector<TokenId> encode_bare(std::string_view text) const { return tokenizer_.encode(text); }

 private:
  const Tokenizer& tokenizer_;
  bool adds_bos_ = false;
};

// All tokens, and how many of them are the context's.
struct Pair {
  std::vector<TokenId> tokens;
  size_t context = 0;
};

Result<Pair> encode_pair(const Encoder& encoder, std::string_view context, std::string continuation) {
  const size_t end = end_without_space(context);
  continuation = std::string(context.substr(end)) + continuation;
  context = context.substr(0, end);
  Pair pair;
  if (context.empty()) {
    if (!encoder.prefix()) return fail(ErrorCode::kUnsupported, "tasks: a context is empty, and the vocabulary has neither BOS nor EOS");
    pair.tokens = encoder.encode_bare(continuation);
    if (pair.tokens.empty() || pair.tokens[0] != *encoder.prefix()) pair.tokens.insert(pair.tokens.begin(), *encoder.prefix());
    pair.context = 1;
    return pair;
  }
  pair.tokens = encoder.encode(std::string(context) + continuation);
  pair.context = encoder.encode(context).size();
  return pair;
}

size_t shared_tokens(const std::vector<EncodedOption>& options) {
  size_t shared = options[0].tokens.size() - 1;  // what is fed
  for (const EncodedOption& option : options) {
    const auto& first = options[0].tokens;
    shared = std::min(shared, option.tokens.size() - 1);
    shared = static_cast<size_t>(std::mismatch(first.begin(), first.begin() + static_cast<ptrdiff_t>(shared), option.tokens.begin()).first -
                                 first.begin());
  }
  return shared;
}

}  // namespace

bool EncodedItem::truncated() const {
  return std::any_of(options.begin(), options.end(), [](const EncodedOption& option) { return option.cut > 0; });
}

size_t end_without_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && continues_character(text[begin])) --begin;
    if (!is_space(text.substr(begin, end - begin))) break;
    end = begin;
  }
  return end;
}

size_t characters_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !continues_character(byte); }));
}

Result<std::vector<EncodedItem>> encode_items(std::span<const TaskItem> items, const Tokenizer& tokenizer, const std::string& who,
                                              const EncodeItemsOptions& options) {
  if (options.bos == BosRule::kAlways && !tokenizer.bos())
    return fail(ErrorCode::kUsage, {"--bos always", "the model's vocabulary has no BOS", "", ""});
  const Encoder encoder(tokenizer, options.bos);
  std::vector<EncodedItem> encoded;
  for (const TaskItem& item : items) {
    EncodedItem made;
    for (size_t i = 0; i < item.options(); ++i) {
      ASSAY_ASSIGN(Pair pair, encode_pair(encoder, item.context(i), options.delimiter + item.continuation(i)));
      const std::string place = who + ": line " + group_digits(item.line) + ": option " + std::to_string(i);
      if (pair.tokens.size() <= pair.context)
        return fail(ErrorCode::kBadInput, {place, "has no token of its own", "", "merged with the context's last token?"});
      EncodedOption option;
      const size_t fed = pair.tokens.size() - 1;
      if (fed > options.context) option.cut = fed - options.context;
      if (pair.context <= option.cut)
        return fail(ErrorCode::kBadInput, {place, "has " + group_digits(pair.tokens.size() - pair.context) + " tokens",
                                           "at most the model's context of " + group_digits(options.context), ""});
      option.tokens.assign(pair.tokens.begin() + static_cast<ptrdiff_t>(option.cut), pair.tokens.end());
      option.scored_begin = pair.context - option.cut;
      made.options.push_back(std::move(option));
    }
    made.shared = shared_tokens(made.options);
    encoded.push_back(std::move(made));
  }
  return encoded;
}

}  // namespace assay
