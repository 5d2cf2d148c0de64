// Hugging Face tokenizer files -> tokenizer.ggml.* keys, as llama.cpp's converter writes them.
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "assay/base/text.h"
#include "assay/text/byte_map.h"
#include "assay/text/tokenizer.h"
#include "assay/text/tokenizer_impl.h"

namespace assay {
namespace {

using nlohmann::json;

struct Vocabulary {
  std::map<uint64_t, std::string> tokens;
  std::map<uint64_t, TokenKind> kinds;  // of added tokens
  StringList merges;
  std::string pre;
  bool byte_fallback = false;
  bool adds_bos = false;
  bool space_prefix = true;  // SentencePiece: a space is put before the text
};

tl::unexpected<Error> bad(const std::string& file, std::string found, std::string needed) {
  return fail(ErrorCode::kBadInput, {file, std::move(found), std::move(needed), "damaged or unusual tokenizer file"});
}

Result<json> parse(const std::string& text, const std::string& file) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) return bad(file, "is not a JSON object", "");
  return value;
}

std::string content_of(const json& config, const char* field) {
  const auto found = config.find(field);
  if (found == config.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() ? found->value("content", "") : std::string();
}

Status read_vocab(const json& vocab, const std::string& file, Vocabulary& out) {
  if (!vocab.is_object()) return bad(file + ": field 'vocab'", "is not an object", "token -> id is needed");
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned()) return bad(file + ": token '" + printable(token) + "'", "has no whole number as id", "");
    if (!out.tokens.emplace(id.get<uint64_t>(), token).second) return bad(file + ": id " + id.dump(), "is given twice", "ids are unique");
  }
  return {};
}

// The steps of a component that may be null, one step, or a Sequence of them.
std::vector<json> steps_of(const json& component, const char* list) {
  if (!component.is_object()) return {};
  if (component.value("type", "") != "Sequence") return {component};
  return component.value(list, json::array()).get<std::vector<json>>();
}

// The pre-tokenizer by its structure: which regular expressions split the text, and whether it is composed (NFC) before.
Result<std::string> recognise(const json& pre, bool composes) {
  if (pre.is_null()) return std::string();
  std::vector<std::string> steps;
  for (const json& step : steps_of(pre, "pretokenizers")) {
    const std::string type = step.value("type", "");
    if (type == "ByteLevel") {
      if (step.value("use_regex", true)) steps.push_back("gpt2");
    } else if (type == "Digits") {
      steps.push_back(step.value("individual_digits", false) ? "digit" : "digits");
    } else if (type == "Split") {
      const json pattern = step.value("pattern", json::object());
      steps.push_back(pattern.value("Regex", pattern.value("String", "")));
    } else {
      steps.push_back(type);
    }
  }
  std::string name;
  if (steps == std::vector<std::string>{"gpt2"}) name = "gpt-2";
  if (steps == std::vector<std::string>{"digit", "gpt2"}) name = "smollm";
  const std::string joined = join(steps, "\n");
  // The published patterns are spelled in one of two ways: case-insensitive group, or both cases of each letter.
  const bool contractions = joined.starts_with("(?i:'s|'t|'re|'ve|'m|'ll|'d)|") || joined.starts_with("(?:'[sS]|");
  if (contractions && joined.find("\\p{N}{1,3}|") != std::string::npos) name = "llama-bpe";
  if (contractions && joined.find("|\\p{N}|") != std::string::npos) name = composes ? "qwen2" : "deepseek-r1-qwen";
  if (steps.size() >= 5 && steps[0] == "[\r\n]" && steps[1] == "\\s?\\p{L}+") name = "deepseek-coder";
  if (composes && !name.empty() && name != "qwen2")
    return fail(ErrorCode::kUnsupported,
                {"tokenizer.json: field 'normalizer'", "is NFC before pre-tokenizer '" + name + "'", "GGUF has no name for this pair", ""});
  if (!name.empty()) return name;
  return fail(ErrorCode::kUnsupported, {"tokenizer.json: field 'pre_tokenizer'", "splits by " + printable(joined, 120),
                                        "known: gpt-2, llama-bpe, qwen2, smollm, deepseek-coder", ""});
}

// Normalizers that ids can be given for: none; NFC of byte-level BPE; SentencePiece's space rules.
Result<bool> read_normalizer(const json& normalizer, Vocabulary& out) {
  bool composes = false;
  out.space_prefix = false;
  for (const json& step : steps_of(normalizer, "normalizers")) {
    const std::string type = step.value("type", "");
    if (type == "NFC" && !out.byte_fallback) {
      composes = true;
    } else if (type == "Prepend" && out.byte_fallback) {
      out.space_prefix = true;
    } else if (type != "Replace" || !out.byte_fallback) {
      return fail(ErrorCode::kUnsupported, {"tokenizer.json: normalizer '" + printable(type) + "'", "is not supported",
                                            "NFC, or Prepend and Replace of SentencePiece", ""});
    }
  }
  return composes;
}

Status read_tokenizer_json(const std::string& text, Vocabulary& out) {
  const std::string file = "tokenizer.json";
  ASSAY_ASSIGN(const json root, parse(text, file));
  const json model = root.value("model", json::object());
  if (model.value("type", "BPE") != "BPE")
    return fail(ErrorCode::kUnsupported, {file + ": model type '" + model.value("type", "") + "'", "is not supported", "BPE", ""});
  ASSAY_TRY(read_vocab(model.value("vocab", json()), file, out));
  out.byte_fallback = model.value("byte_fallback", false);
  for (const json& merge : model.value("merges", json::array())) {
    if (merge.is_string()) {
      out.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2) {
      out.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    } else {
      return bad(file + ": a merge", "is " + merge.dump().substr(0, 40), "two tokens are needed");
    }
  }
  for (const json& added : root.value("added_tokens", json::array())) {
    if (!added.contains("id") || !added["id"].is_number_unsigned()) return bad(file + ": an added token", "has no id", "");
    const auto id = added["id"].get<uint64_t>();
    out.tokens[id] = added.value("content", "");
    out.kinds[id] = added.value("special", false) ? TokenKind::kControl : TokenKind::kUserDefined;
  }
  const json post = root.value("post_processor", json());
  if (post.is_object() && post.dump().find("\"SpecialToken\"") != std::string::npos) {
    const json single = post.value("single", json::array());
    out.adds_bos = single.is_array() && !single.empty() && single[0].contains("SpecialToken");
  }
  const json pre = root.value("pre_tokenizer", json());
  ASSAY_ASSIGN(const bool composes, read_normalizer(root.value("normalizer", json()), out));
  if (out.byte_fallback) {
    // Newer files put the space with Metaspace instead of a normalizer.
    for (const json& step : steps_of(pre, "pretokenizers"))
      if (step.value("type", "") == "Metaspace") out.space_prefix = step.value("prepend_scheme", "always") != "never";
    return {};
  }
  ASSAY_ASSIGN(out.pre, recognise(pre, composes));
  return {};
}

Status read_vocab_and_merges(const HfDirectory& directory, const json& config, Vocabulary& out) {
  ASSAY_ASSIGN(const json vocab, parse(directory.vocab_json, "vocab.json"));
  ASSAY_TRY(read_vocab(vocab, "vocab.json", out));
  for (const std::string& line : split(directory.merges_txt, '\n'))
    if (!line.empty() && !line.starts_with("#version"))
      out.merges.push_back(line.back() == '\r' ? std::string_view(line).substr(0, line.size() - 1) : line);
  const json added = config.value("added_tokens_decoder", json::object());
  for (const auto& [id, token] : added.items()) {
    const uint64_t index = std::strtoull(id.c_str(), nullptr, 10);
    out.tokens[index] = token.value("content", "");
    out.kinds[index] = token.value("special", false) ? TokenKind::kControl : TokenKind::kUserDefined;
  }
  out.pre = config.value("tokenizer_class", "").find("Qwen2") != std::string::npos ? "qwen2" : "gpt-2";
  // Tokens with a role are special tokens. GPT-2's own files name none: its class does.
  std::set<std::string> special;
  for (const char* field : {"bos_token", "eos_token", "pad_token", "unk_token"}) special.insert(content_of(config, field));
  if (out.pre == "gpt-2") special.insert("<|endoftext|>");
  for (const auto& [id, token] : out.tokens)
    if (!token.empty() && special.contains(token)) out.kinds.emplace(id, TokenKind::kControl);
  return {};
}

// Scores that make score-driven merging follow the merge list: the earlier a merge, the higher its result.
std::vector<float> scores_from_merges(const Vocabulary& vocabulary, uint64_t size) {
  std::map<std::string, uint64_t, std::less<>> ids;
  for (const auto& [id, token] : vocabulary.tokens) ids.emplace(token, id);
  std::vector<float> scores(size, -1e9f);
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    std::string line(vocabulary.merges[rank]);
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos) continue;
    line.erase(space, 1);
    const auto found = ids.find(line);
    if (found != ids.end() && found->second < size && scores[found->second] == -1e9f) scores[found->second] = -static_cast<float>(rank);
  }
  return scores;
}

}  // namespace

Result<Metadata> tokenizer_metadata(const HfDirectory& directory, uint64_t vocab_size) {
  json config = json::object();
  if (!directory.tokenizer_config_json.empty()) {
    ASSAY_ASSIGN(config, parse(directory.tokenizer_config_json, "tokenizer_config.json"));
  }
  Vocabulary vocabulary;
  if (!directory.tokenizer_json.empty()) {
    ASSAY_TRY(read_tokenizer_json(directory.tokenizer_json, vocabulary));
  } else if (!directory.vocab_json.empty() && !directory.merges_txt.empty()) {
    ASSAY_TRY(read_vocab_and_merges(directory, config, vocabulary));
  } else {
    return fail(ErrorCode::kNotFound,
                {directory.path, "has no tokenizer.json, and no vocab.json with merges.txt", "one of them is needed", ""});
  }
  if (vocabulary.tokens.empty()) return bad("tokenizer", "has no tokens", "");
  const uint64_t size = std::max(vocab_size, vocabulary.tokens.rbegin()->first + 1);
  constexpr uint64_t kLargestVocabulary = 1 << 24;
  if (size > kLargestVocabulary)
    return bad("tokenizer", "has ids up to " + group_digits(size), "at most " + group_digits(kLargestVocabulary));

  StringList tokens;
  std::vector<int32_t> types;
  std::map<std::string, uint64_t> id_of;
  for (uint64_t id = 0; id < size; ++id) {
    const auto found = vocabulary.tokens.find(id);
    const std::string text = found != vocabulary.tokens.end() ? found->second : "[PAD" + std::to_string(id) + "]";
    auto kind = found == vocabulary.tokens.end() ? TokenKind::kUnused : TokenKind::kNormal;
    if (const auto added = vocabulary.kinds.find(id); added != vocabulary.kinds.end()) kind = added->second;
    if (vocabulary.byte_fallback && text.size() == 6 && text.starts_with("<0x")) kind = TokenKind::kByte;
    if (vocabulary.byte_fallback && text == "<unk>") kind = TokenKind::kUnknown;
    tokens.push_back(text);
    types.push_back(static_cast<int32_t>(kind));
    id_of.emplace(text, id);
  }
  Metadata metadata;
  metadata.set("tokenizer.ggml.model", MetaValue::string(vocabulary.byte_fallback ? "llama" : "gpt2"));
  metadata.set("tokenizer.ggml.pre", MetaValue::string(vocabulary.byte_fallback ? "default" : vocabulary.pre));
  metadata.set("tokenizer.ggml.tokens", MetaValue::strings(std::move(tokens)));
  if (vocabulary.byte_fallback) metadata.set("tokenizer.ggml.scores", MetaValue::f32s(scores_from_merges(vocabulary, size)));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s(std::move(types)));
  if (!vocabulary.byte_fallback) metadata.set("tokenizer.ggml.merges", MetaValue::strings(vocabulary.merges));
  const std::pair<const char*, const char*> specials[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                          {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                          {"pad_token", "tokenizer.ggml.padding_token_id"},
                                                          {"unk_token", "tokenizer.ggml.unknown_token_id"}};
  for (const auto& [field, key] : specials) {
    const auto found = id_of.find(content_of(config, field));
    if (found != id_of.end()) metadata.set(key, MetaValue::u32(static_cast<uint32_t>(found->second)));
  }
  if (directory.tokenizer_json.empty() && vocabulary.pre == "gpt-2" && id_of.contains("<|endoftext|>")) {
    for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"})  // the defaults of GPT-2's class
      if (!metadata.contains(key)) metadata.set(key, MetaValue::u32(static_cast<uint32_t>(id_of["<|endoftext|>"])));
  }
  if (vocabulary.byte_fallback && !vocabulary.space_prefix) metadata.set("tokenizer.ggml.add_space_prefix", MetaValue::boolean(false));
  const auto flag = config.find("add_bos_token");
  const bool add_bos = flag != config.end() && flag->is_boolean() ? flag->get<bool>() : vocabulary.adds_bos;
  metadata.set("tokenizer.ggml.add_bos_token", MetaValue::boolean(add_bos && metadata.contains("tokenizer.ggml.bos_token_id")));
  if (const auto eos = config.find("add_eos_token"); eos != config.end() && eos->is_boolean())
    metadata.set("tokenizer.ggml.add_eos_token", MetaValue::boolean(eos->get<bool>()));
  std::string chat = directory.chat_template;
  if (chat.empty() && config.contains("chat_template") && config["chat_template"].is_string())
    chat = config["chat_template"].get<std::string>();
  if (!chat.empty()) metadata.set("tokenizer.chat_template", MetaValue::string(std::move(chat)));
  return metadata;
}

}  // namespace assay
