#include "assay/tasks/task_file.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kEndings = 4;  // of an item of llama.cpp's text

std::string place_of(const std::string& who, uint64_t line) { return who + ": line " + group_digits(line); }

// A text of an item: any string, of at least one byte where it is scored.
Result<std::string> text_of(const json& node, const JsonPlace& place, bool may_be_empty) {
  if (!node.is_string()) return place.refuse(found_in(node), "a string");
  std::string text = node.get<std::string>();
  if (text.empty() && !may_be_empty) return place.refuse("is empty", "a text to score");
  return text;
}

Result<std::vector<std::string>> texts_of(const json& node, const JsonPlace& place, uint64_t most, bool may_be_empty) {
  ASSAY_TRY(json_list(node, place, 2, most));
  std::vector<std::string> texts;
  for (size_t i = 0; i < node.size(); ++i) {
    ASSAY_ASSIGN(std::string text, text_of(node[i], place.item(i), may_be_empty));
    texts.push_back(std::move(text));
  }
  return texts;
}

const json* find(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

Result<std::pair<TaskForm, TaskItem>> parse_object(const json& object, const JsonPlace& place, uint64_t most) {
  if (!object.is_object()) return place.refuse(found_in(object), "an object");
  TaskItem item;
  const json* const query = find(object, "query");
  const json* const choices = find(object, "choices");
  const json* const contexts = find(object, "context_options");
  const json* const continuation = find(object, "continuation");
  const json* const gold = find(object, "gold");
  if (query != nullptr && contexts != nullptr) return place.refuse("has both query and context_options", "one of the two forms");
  if ((query == nullptr || choices == nullptr) && (contexts == nullptr || continuation == nullptr))
    return place.refuse("has neither query and choices nor context_options and continuation", "one of the two forms");
  if (gold == nullptr) return place.refuse("has no gold", "the index of the right option");
  const TaskForm form = query != nullptr ? TaskForm::kChoices : TaskForm::kPartial;
  if (form == TaskForm::kChoices) {
    ASSAY_ASSIGN(std::string context, text_of(*query, place.key("query"), true));
    item.contexts = {std::move(context)};
    ASSAY_ASSIGN(item.continuations, texts_of(*choices, place.key("choices"), most, false));
  } else {
    ASSAY_ASSIGN(item.contexts, texts_of(*contexts, place.key("context_options"), most, true));
    ASSAY_ASSIGN(std::string scored, text_of(*continuation, place.key("continuation"), false));
    item.continuations = {std::move(scored)};
  }
  ASSAY_ASSIGN(const int64_t index, json_integer(*gold, place.key("gold"), 0, static_cast<int64_t>(item.options()) - 1));
  item.gold = static_cast<size_t>(index);
  return std::pair(form, std::move(item));
}

// Lines one after another, without their ends, numbered from 1.
class Lines {
 public:
  Lines(std::string_view text, const std::string& who, const TaskLimits& limits) : rest_(text), who_(who), limits_(limits) {}
  uint64_t number() const { return number_; }

  // nullopt: the end of the text.
  Result<std::optional<std::string_view>> next() {
    if (rest_.empty()) return std::optional<std::string_view>();
    ++number_;
    const size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (line.size() > limits_.line_bytes)
      return fail(ErrorCode::kBadInput, {place_of(who_, number_), "has " + group_digits(line.size()) + " bytes",
                                         "at most " + group_digits(limits_.line_bytes), "no file of items?"});
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!is_valid_utf8(line)) return fail(ErrorCode::kBadInput, {place_of(who_, number_), "is no UTF-8", "", ""});
    return std::optional(line);
  }

  // The next line that holds more than white space.
  Result<std::optional<std::string_view>> next_filled() {
    while (true) {
      ASSAY_ASSIGN(const std::optional<std::string_view> line, next());
      if (!line || line->find_first_not_of(" \t") != std::string_view::npos) return line;
    }
  }

 private:
  std::string_view rest_;
  std::string who_;
  TaskLimits limits_;
  uint64_t number_ = 0;
};

Status parse_json_lines(Lines& lines, const std::string& who, const TaskLimits& limits, TaskFile& file) {
  while (true) {
    ASSAY_ASSIGN(const std::optional<std::string_view> line, lines.next_filled());
    if (!line) return {};
    const std::string place = place_of(who, lines.number());
    ASSAY_ASSIGN(const json tree, parse_json(*line, place, RepeatedKeys::kRefuse));
    ASSAY_ASSIGN(auto parsed, parse_object(tree, JsonPlace{place, ""}, limits.options));
    if (!file.items.empty() && parsed.first != file.form)
      return fail(ErrorCode::kBadInput, {place, "has the form " + std::string(name_of(parsed.first)),
                                         std::string(name_of(file.form)) + ", as the lines before it", ""});
    file.form = parsed.first;
    parsed.second.line = lines.number();
    file.items.push_back(std::move(parsed.second));
    if (file.items.size() > limits.items)
      return fail(ErrorCode::kBadInput, {who, "has more than " + group_digits(limits.items) + " items", "", ""});
  }
}

Status parse_hellaswag(Lines& lines, const std::string& who, const TaskLimits& limits, TaskFile& file) {
  file.form = TaskForm::kHellaSwagText;
  while (true) {
    ASSAY_ASSIGN(const std::optional<std::string_view> context, lines.next_filled());
    if (!context) return {};
    TaskItem item;
    item.line = lines.number();
    item.contexts = {std::string(*context)};
    ASSAY_ASSIGN(const std::optional<std::string_view> gold, lines.next());
    const std::string place = place_of(who, lines.number());
    if (!gold || gold->size() != 1 || (*gold)[0] < '0' || (*gold)[0] > '3')
      return fail(ErrorCode::kBadInput,
                  {place, gold ? "is \"" + printable(*gold) + "\"" : "is missing",
                   "the right ending, 0 to 3 (the second of an item's six lines)", "neither JSON lines nor llama.cpp's HellaSwag text?"});
    item.gold = static_cast<size_t>((*gold)[0] - '0');
    for (size_t i = 0; i < kEndings; ++i) {
      ASSAY_ASSIGN(const std::optional<std::string_view> ending, lines.next());
      if (!ending || ending->empty())
        return fail(ErrorCode::kBadInput,
                    {place_of(who, lines.number() + (ending ? 0 : 1)), ending ? "is empty" : "is missing",
                     "ending " + std::to_string(i) + " of the item of line " + group_digits(item.line), "six lines per item"});
      item.continuations.emplace_back(*ending);
    }
    file.items.push_back(std::move(item));
    if (file.items.size() > limits.items)
      return fail(ErrorCode::kBadInput, {who, "has more than " + group_digits(limits.items) + " items", "", ""});
  }
}

}  // namespace

std::string_view name_of(TaskForm form) {
  constexpr std::string_view kNames[] = {"query and choices", "context options and continuation", "llama.cpp's HellaSwag text"};
  return kNames[static_cast<size_t>(form)];
}

Result<TaskFile> parse_tasks(std::string_view text, const std::string& who, const TaskLimits& limits) {
  TaskFile file;
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  file.sha256 = sha256_hex(text);
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return fail(ErrorCode::kBadInput, {who, "holds no item", "", "an empty file?"});
  Lines lines(text, who, limits);
  ASSAY_TRY(text[first] == '{' ? parse_json_lines(lines, who, limits, file) : parse_hellaswag(lines, who, limits, file));
  return file;
}

Result<TaskFile> read_tasks(const std::string& path, const TaskLimits& limits) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path, limits.file_bytes));
  ASSAY_ASSIGN(TaskFile file, parse_tasks(text, path, limits));
  file.name = std::filesystem::path(path).stem().string();
  return file;
}

std::vector<uint32_t> clusters_of(const std::vector<TaskItem>& items) {
  std::map<std::string, uint32_t> known;
  std::vector<uint32_t> clusters;
  for (const TaskItem& item : items) {
    std::string key;
    for (const std::string& context : item.contexts) key += context.substr(0, context.find('\n')) + '\n';
    clusters.push_back(known.try_emplace(std::move(key), static_cast<uint32_t>(known.size())).first->second);
  }
  return clusters;
}

}  // namespace assay
