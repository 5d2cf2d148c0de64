#include "assay/text/prompts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kMostStrata = 100, kMostPrompts = 10'000, kLongestPrompt = size_t{1} << 20, kLongestName = 200;
constexpr int64_t kMostRepeats = 10'000;
constexpr std::string_view kBos = "{bos}";

Result<std::string> prompt_text(const json& node, const JsonPlace& place) {
  if (!node.is_string()) return place.refuse(found_in(node), "a text");
  std::string text = node.get<std::string>();
  if (text.empty() || text.size() > kLongestPrompt)
    return place.refuse("has " + group_digits(text.size()) + " bytes", "1 to " + group_digits(kLongestPrompt));
  return text;
}

Result<Prompt> parse_prompt(const json& node, const JsonPlace& place) {
  Prompt prompt;
  if (!node.is_object()) {
    ASSAY_ASSIGN(prompt.text, prompt_text(node, place));
    return prompt;
  }
  constexpr std::string_view kKeys[] = {"text", "repeat"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  const json* text = object.find("text");
  if (text == nullptr) return place.refuse("has no key \"text\"", "one");
  ASSAY_ASSIGN(prompt.text, prompt_text(*text, object.place("text")));
  if (object.has("repeat")) {
    ASSAY_ASSIGN(const int64_t repeat, object.integer("repeat", 1, kMostRepeats));
    prompt.repeat = static_cast<uint32_t>(repeat);
  }
  if (prompt.text.size() * prompt.repeat > kLongestPrompt)
    return place.refuse("is longer than " + group_digits(kLongestPrompt) + " bytes when repeated", "less");
  return prompt;
}

Result<std::vector<PromptStratum>> parse(const json& tree, const std::string& who) {
  const JsonPlace root{who, ""};
  if (!tree.is_object() || tree.empty()) return root.refuse(tree.is_object() ? "is empty" : found_in(tree), "{stratum: [prompt, ...]}");
  if (tree.size() > kMostStrata) return root.refuse("has " + std::to_string(tree.size()) + " strata", "at most 100");
  std::vector<PromptStratum> strata;  // a JSON object's keys are in alphabetical order
  for (const auto& [name, list] : tree.items()) {
    if (name.empty() || name.size() > kLongestName) return root.refuse("has a stratum without a name, or with a very long one", "a name");
    const JsonPlace place = root.key(name);
    ASSAY_TRY(json_list(list, place, 1, kMostPrompts));
    PromptStratum stratum{name, {}};
    for (size_t i = 0; i < list.size(); ++i) {
      ASSAY_ASSIGN(Prompt prompt, parse_prompt(list[i], place.item(i)));
      stratum.prompts.push_back(std::move(prompt));
    }
    strata.push_back(std::move(stratum));
  }
  return strata;
}

std::string written_out(const Prompt& prompt, const std::string& bos) {
  std::string text = prompt.text;
  for (size_t at = text.find(kBos); at != std::string::npos; at = text.find(kBos, at + bos.size())) text.replace(at, kBos.size(), bos);
  const std::string once = text;
  for (uint32_t i = 1; i < prompt.repeat; ++i) text += ' ' + once;
  return text;
}

}  // namespace

Result<std::vector<PromptStratum>> parse_prompts(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<std::vector<PromptStratum>> read_prompts(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_prompts(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

Result<PromptWindows> make_prompt_windows(std::span<const PromptStratum> strata, const Tokenizer& tokenizer, uint64_t max_tokens,
                                          uint64_t per_stratum) {
  std::vector<const PromptStratum*> sorted;
  for (const PromptStratum& stratum : strata) sorted.push_back(&stratum);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  const std::string bos = tokenizer.bos() ? std::string(tokenizer.token_text(*tokenizer.bos())) : "";
  PromptWindows made;
  for (const PromptStratum* stratum : sorted) {
    const auto place = static_cast<uint32_t>(made.strata.size());
    made.strata.push_back(stratum->name);
    const size_t count = per_stratum == 0 ? stratum->prompts.size() : std::min<size_t>(per_stratum, stratum->prompts.size());
    for (size_t i = 0; i < count; ++i) {
      Window window;
      window.tokens = tokenizer.encode(written_out(stratum->prompts[i], bos), {.add_special = true, .parse_special = true});
      if (max_tokens > 0 && window.tokens.size() > max_tokens) window.tokens.resize(max_tokens);
      if (window.tokens.size() < 2)
        return fail(ErrorCode::kBadInput, {"prompt " + std::to_string(i) + " of '" + printable(stratum->name) + "'",
                                           "has " + std::to_string(window.tokens.size()) + " tokens", "at least 2", ""});
      window.labels.assign(window.tokens.begin() + 1, window.tokens.end());
      window.score_end = static_cast<uint32_t>(window.labels.size());
      window.document = static_cast<uint32_t>(made.windows.size());
      made.tokens_scored += window.scored();
      made.stratum.push_back(place);
      made.windows.push_back(std::move(window));
    }
  }
  return made;
}

}  // namespace assay
