#include "assay/file/lm_eval.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"

namespace assay {
namespace {

using Json = nlohmann::json;

constexpr double kLargest = std::numeric_limits<double>::max();
constexpr size_t kLongestName = 512;
constexpr size_t kMostTasks = 100'000;
constexpr std::string_view kErrorSuffix = "_stderr";

// Beside the metrics of a task.
bool is_no_metric(std::string_view key) {
  return key.empty() || key == " " || key == "alias" || key == "name" || key == "samples" || key == "sample_len" || key == "sample_count";
}

// The member of an object that is an object itself; null: none.
const Json* part(const Json& root, const char* name) {
  const auto found = root.find(name);
  return found != root.end() && found->is_object() ? &*found : nullptr;
}

std::string model_of(const Json& root) {
  const auto text = [](const Json* object, const char* name) {
    if (object == nullptr) return std::string();
    const auto found = object->find(name);
    return found != object->end() && found->is_string() ? found->get<std::string>().substr(0, kLongestName) : std::string();
  };
  if (const std::string name = text(&root, "model_name"); !name.empty()) return name;
  const std::string arguments = text(part(root, "config"), "model_args");
  constexpr std::string_view kKey = "pretrained=";
  if (const size_t at = arguments.find(kKey); at != std::string::npos) {
    const size_t begin = at + kKey.size();
    return arguments.substr(begin, arguments.find(',', begin) - begin);
  }
  return arguments.empty() ? text(part(root, "config"), "model") : arguments;
}

// "acc_stderr,none" -> {"acc_stderr", "none"}.
std::pair<std::string, std::string> split_key(const std::string& key) {
  const size_t comma = key.find(',');
  return comma == std::string::npos ? std::pair(key, std::string()) : std::pair(key.substr(0, comma), key.substr(comma + 1));
}

// What other parts of the file say of a task.
struct TaskFacts {
  std::optional<uint64_t> samples, shots;
  std::string version;
};

Result<TaskFacts> facts_of(const Json& root, const std::string& task, const JsonPlace& file) {
  constexpr uint64_t kMost = uint64_t{1} << 53;
  TaskFacts facts;
  if (const Json* const counts = part(root, "n-samples"); counts != nullptr && counts->contains(task)) {
    const JsonPlace place = file.key("n-samples").key(printable(task));
    const Json& node = (*counts)[task];
    if (!node.is_object()) return place.refuse(found_in(node), "original and effective counts are needed");
    if (const auto effective = node.find("effective"); effective != node.end()) {
      ASSAY_ASSIGN(facts.samples, json_unsigned(*effective, place.key("effective"), kMost));
    }
  }
  if (const Json* const shots = part(root, "n-shot"); shots != nullptr && shots->contains(task)) {
    ASSAY_ASSIGN(facts.shots, json_unsigned((*shots)[task], file.key("n-shot").key(printable(task)), kMost));
  }
  if (const Json* const versions = part(root, "versions"); versions != nullptr && versions->contains(task)) {
    const Json& node = (*versions)[task];
    facts.version = node.is_string() ? node.get<std::string>().substr(0, kLongestName) : node.is_number() ? node.dump() : "";
  }
  return facts;
}

Status add_task(const std::string& task, const Json& node, const TaskFacts& facts, const JsonPlace& place,
                std::vector<LmEvalScore>& scores) {
  if (!node.is_object()) return place.refuse(found_in(node), "metrics and their values are needed");
  for (const auto& [key, value] : node.items()) {
    if (is_no_metric(key)) continue;
    const auto [name, filter] = split_key(key);
    if (name.ends_with(kErrorSuffix)) continue;
    const JsonPlace at = place.key(printable(key));
    LmEvalScore score{task, name, filter, 0, std::nullopt, facts.samples, facts.shots, facts.version};
    ASSAY_ASSIGN(score.value, json_real(value, at, -kLargest, kLargest));
    const std::string error_key = name + std::string(kErrorSuffix) + (filter.empty() ? "" : "," + filter);
    if (const auto error = node.find(error_key); error != node.end() && !error->is_null() && *error != "N/A") {
      ASSAY_ASSIGN(score.standard_error, json_real(*error, place.key(printable(error_key)), 0, kLargest));
    }
    scores.push_back(std::move(score));
  }
  return {};
}

}  // namespace

Result<LmEvalResults> parse_lm_eval(std::string_view text, const std::string& who) {
  ASSAY_ASSIGN(const Json root, parse_json(text, who, RepeatedKeys::kRefuse));
  const JsonPlace file{who, ""};
  const auto tasks = root.is_object() ? root.find("results") : root.end();
  if (!root.is_object() || tasks == root.end())
    return file.refuse(root.is_object() ? "has no \"results\"" : found_in(root), "the results of lm-evaluation-harness are needed",
                       "its file of samples?");
  const JsonPlace place = file.key("results");
  if (!tasks->is_object() || tasks->empty() || tasks->size() > kMostTasks)
    return place.refuse(tasks->is_object() ? "has " + group_digits(tasks->size()) + " tasks" : found_in(*tasks), "tasks are needed");
  LmEvalResults results;
  results.model = model_of(root);
  for (const auto& [task, node] : tasks->items()) {
    if (task.empty() || task.size() > kLongestName)
      return place.refuse("has a name of " + group_digits(task.size()) + " bytes", "1 to " + group_digits(kLongestName) + " are needed");
    ASSAY_ASSIGN(const TaskFacts facts, facts_of(root, task, file));
    ASSAY_TRY(add_task(task, node, facts, place.key(printable(task)), results.scores));
  }
  if (results.scores.empty()) return place.refuse("has no metric", "at least one is needed");
  return results;
}

}  // namespace assay
