#include <algorithm>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/text/byte_map.h"
#include "assay/text/tokenizer_impl.h"

namespace assay {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, the llama vocabulary's space

std::string key(std::string_view name) { return "tokenizer.ggml." + std::string(name); }

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (size_t at = 0;;) {
    const size_t found = text.find(from, at);
    result += text.substr(at, found - at);
    if (found == std::string_view::npos) return result;
    result += to;
    at = found + from.size();
  }
}

// "<0x0A>" -> 10; -1 otherwise.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  const int high = digit(token[3]), low = digit(token[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

}  // namespace

Status Tokenizer::Impl::read(const Metadata& metadata) {
  ASSAY_ASSIGN(const auto model_name, metadata.get_string(key("model")));
  if (!model_name)
    return fail(ErrorCode::kNotFound, {"tokenizer: metadata key 'tokenizer.ggml.model'", "is missing", "the file holds no tokenizer", ""});
  model = *model_name;
  if (model != "gpt2" && model != "llama") {
    return fail(ErrorCode::kUnsupported, {"tokenizer: model '" + printable(model) + "'", "is not supported",
                                          "gpt2 (byte-level BPE) or llama (SentencePiece BPE)", ""});
  }
  ASSAY_TRY(read_vocabulary(metadata));
  ASSAY_TRY(model == "gpt2" ? read_bpe(metadata) : read_llama(metadata));
  ASSAY_TRY(read_specials(metadata));
  Sha256 hash;
  hash.add("assay tokenizer 2");
  for (const Metadata::Entry& entry : metadata.entries()) {
    if (!entry.key.starts_with("tokenizer.ggml.")) continue;
    hash.add(entry.key);
    hash.add(sha256_hex(to_text(entry.value, SIZE_MAX)));
  }
  fingerprint = hash.hex();
  return {};
}

Status Tokenizer::Impl::read_vocabulary(const Metadata& metadata) {
  ASSAY_ASSIGN(const StringList* list, metadata.get_strings(key("tokens")));
  if (list == nullptr || list->size() == 0)
    return fail(ErrorCode::kNotFound, {"tokenizer: metadata key 'tokenizer.ggml.tokens'", "is missing or empty", "", ""});
  tokens = *list;
  const auto check_length = [&](const char* name, size_t size) -> Status {
    if (size == tokens.size()) return {};
    return fail(ErrorCode::kBadInput, {"tokenizer: metadata key '" + key(name) + "'", "has " + group_digits(size) + " entries",
                                       "the vocabulary has " + group_digits(tokens.size()), "corrupt metadata"});
  };
  kinds.assign(tokens.size(), TokenKind::kNormal);
  ASSAY_ASSIGN(const auto types, metadata.get_i64s(key("token_type")));
  if (types) {
    ASSAY_TRY(check_length("token_type", types->size()));
    for (size_t i = 0; i < types->size(); ++i)
      if ((*types)[i] >= 1 && (*types)[i] <= 6) kinds[i] = static_cast<TokenKind>((*types)[i]);
  }
  ASSAY_ASSIGN(const auto values, metadata.get_f64s(key("scores")));
  if (values) {
    ASSAY_TRY(check_length("scores", values->size()));
    for (const double value : *values) scores.push_back(static_cast<float>(value));
  }
  const auto read_id = [&](const char* name, std::optional<TokenId>& id) -> Status {
    ASSAY_ASSIGN(const auto value, metadata.get_u64(key(name)));
    if (!value) return {};
    if (*value >= tokens.size()) {
      return fail(ErrorCode::kBadInput, {"tokenizer: metadata key '" + key(name) + "'", "is " + group_digits(*value),
                                         "the vocabulary has " + group_digits(tokens.size()) + " tokens", "corrupt metadata"});
    }
    id = static_cast<TokenId>(*value);
    return {};
  };
  ASSAY_TRY(read_id("bos_token_id", bos));
  ASSAY_TRY(read_id("eos_token_id", eos));
  ASSAY_TRY(read_id("unknown_token_id", unknown));
  ASSAY_ASSIGN(const auto bos_flag, metadata.get_bool(key("add_bos_token")));
  ASSAY_ASSIGN(const auto eos_flag, metadata.get_bool(key("add_eos_token")));
  ASSAY_ASSIGN(const auto prefix_flag, metadata.get_bool(key("add_space_prefix")));
  add_eos = eos_flag.value_or(false);
  add_space_prefix = model == "llama" && prefix_flag.value_or(true);
  ASSAY_ASSIGN(const auto pre_name, metadata.get_string(key("pre")));
  pre = pre_name.value_or("default");
  if (model == "llama") {
    add_bos = bos_flag.value_or(true);
    if (!bos) bos = 1;
    if (!eos) eos = 2;
    return {};
  }
  const PreTokenizerSpec* spec = find_pre_tokenizer(pre);
  if (spec == nullptr) {
    std::vector<std::string> names;
    for (const PreTokenizerSpec& known : all_pre_tokenizers()) names.emplace_back(known.name);
    return fail(ErrorCode::kUnsupported,
                {"tokenizer: pre-tokenizer '" + printable(pre) + "'", "is not supported", "known: " + join(names, ", "), ""});
  }
  ASSAY_ASSIGN(pre_tokenizer, PreTokenizer::compile(*spec));
  whole_words = spec->whole_words;
  composes = spec->composes;
  add_bos = bos_flag.value_or(spec->adds_bos);
  return {};
}

Status Tokenizer::Impl::read_bpe(const Metadata& metadata) {
  byte_tokens.fill(-1);
  bytes.resize(tokens.size());
  id_of_bytes.reserve(tokens.size() * 2);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool normal = kinds[i] == TokenKind::kNormal;
    auto decoded = normal ? bytes_of_token(tokens[i]) : std::nullopt;
    bytes[i] = decoded.value_or(std::string(tokens[i]));
    if (!decoded) continue;
    id_of_bytes.try_emplace(bytes[i], static_cast<TokenId>(i));
    if (decoded->size() == 1) byte_tokens[static_cast<unsigned char>(decoded->front())] = static_cast<TokenId>(i);
  }
  ASSAY_ASSIGN(const StringList* list, metadata.get_strings(key("merges")));
  if (list == nullptr)
    return fail(ErrorCode::kNotFound, {"tokenizer: metadata key 'tokenizer.ggml.merges'", "is missing", "byte-level BPE needs it", ""});
  merges.reserve(list->size());
  for (size_t rank = 0; rank < list->size(); ++rank) {
    const std::string_view line = (*list)[rank];
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos) continue;
    const auto left = bytes_of_token(line.substr(0, space)), right = bytes_of_token(line.substr(space + 1));
    if (!left || !right) continue;
    // Merges that name unknown tokens can never apply.
    const auto a = id_of_bytes.find(*left), b = id_of_bytes.find(*right), joined = id_of_bytes.find(*left + *right);
    if (a == id_of_bytes.end() || b == id_of_bytes.end() || joined == id_of_bytes.end()) continue;
    merges.add(a->second, b->second, {static_cast<float>(rank), joined->second});
  }
  return {};
}

Status Tokenizer::Impl::read_llama(const Metadata&) {
  if (scores.empty())
    return fail(ErrorCode::kNotFound,
                {"tokenizer: metadata key 'tokenizer.ggml.scores'", "is missing", "SentencePiece merging needs it", ""});
  byte_tokens.fill(-1);
  bytes.resize(tokens.size());
  id_of_bytes.reserve(tokens.size() * 2);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int byte = kinds[i] == TokenKind::kByte ? byte_of(tokens[i]) : -1;
    if (byte >= 0) {
      byte_tokens[static_cast<size_t>(byte)] = static_cast<TokenId>(i);
      bytes[i] = std::string(1, static_cast<char>(byte));
    } else {
      bytes[i] = replace_all(tokens[i], kSpace, " ");
    }
    id_of_bytes.try_emplace(std::string(tokens[i]), static_cast<TokenId>(i));
  }
  // Any two tokens whose joined text is a token merge, the highest score first.
  merges.reserve(4 * tokens.size());
  splits_at_spaces = true;
  for (const auto& [text, id] : id_of_bytes) {
    const std::string_view whole = text;
    const size_t space = whole.find(kSpace, whole.find_first_not_of(kSpace));
    splits_at_spaces = splits_at_spaces && (whole.find_first_not_of(kSpace) == std::string_view::npos || space == std::string_view::npos);
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      const auto left = id_of_bytes.find(whole.substr(0, cut)), right = id_of_bytes.find(whole.substr(cut));
      if (left == id_of_bytes.end() || right == id_of_bytes.end()) continue;
      merges.add(left->second, right->second, {-scores[static_cast<size_t>(id)], id});
    }
  }
  return {};
}

// Tokens that end a turn or a text are control tokens whatever a file says: llama.cpp overrides them too.
constexpr std::string_view kEndings[] = {"</s>",          "<|eot_id|>",    "<|im_end|>", "<|end|>",
                                         "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>"};

Status Tokenizer::Impl::read_specials(const Metadata& metadata) {
  ASSAY_ASSIGN(const auto name, metadata.get_string("general.name"));
  const std::string lower = lower_ascii(name.value_or("") + " " + pre);
  const bool phi3 = lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (kinds[i] == TokenKind::kUserDefined && std::find(std::begin(kEndings), std::end(kEndings), tokens[i]) != std::end(kEndings))
      kinds[i] = TokenKind::kControl;
    const TokenKind kind = kinds[i];
    if ((kind != TokenKind::kControl && kind != TokenKind::kUserDefined && kind != TokenKind::kUnknown) || tokens[i].empty()) continue;
    SpecialToken special{std::string(tokens[i]), static_cast<TokenId>(i), kind == TokenKind::kUserDefined, false};
    special.strips_right = phi3 && special.text != "<unk>" && special.text != "<s>" && special.text != "<|endoftext|>";
    specials.push_back(std::move(special));
  }
  std::stable_sort(specials.begin(), specials.end(),
                   [](const SpecialToken& a, const SpecialToken& b) { return a.text.size() > b.text.size(); });
  return {};
}

}  // namespace assay
