// Multiple-choice items from a file; which form it has is seen in its content:
//   JSONL {"query": .., "choices": [..], "gold": i}: the option is the continuation of one context;
//   JSONL {"context_options": [..], "continuation": .., "gold": i}: the option ends the context, what is scored is what follows
//   (WinoGrande's partial evaluation); llama.cpp's HellaSwag text: six lines per item - context, gold, four endings.
// A file is untrusted: every error is kBadInput and names the line. Other keys of an object are passed over. Torch-free.
// Non-goals: making prompts (a file holds them), few-shot examples, tokens (encode_items.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

enum class TaskForm : uint8_t { kChoices, kPartial, kHellaSwagText };
std::string_view name_of(TaskForm form);  // "query and choices", ...

struct TaskItem {
  std::vector<std::string> contexts;       // one, or in partial evaluation one per option
  std::vector<std::string> continuations;  // one per option, or in partial evaluation one
  size_t gold = 0;
  uint64_t line = 0;  // where the item begins, from 1
  size_t options() const { return contexts.size() > 1 ? contexts.size() : continuations.size(); }
  const std::string& context(size_t option) const { return contexts[contexts.size() > 1 ? option : 0]; }
  const std::string& continuation(size_t option) const { return continuations[continuations.size() > 1 ? option : 0]; }
};

struct TaskFile {
  std::string name;  // the file's, without directory and ending: "piqa"
  TaskForm form = TaskForm::kChoices;
  std::vector<TaskItem> items;  // at least one
  std::string sha256;           // of the file's bytes
};

struct TaskLimits {
  uint64_t file_bytes = uint64_t{1} << 30;
  uint64_t line_bytes = uint64_t{4} << 20;
  uint64_t items = 10'000'000;
  uint64_t options = 64;
};

Result<TaskFile> parse_tasks(std::string_view text, const std::string& who, const TaskLimits& limits = {});
Result<TaskFile> read_tasks(const std::string& path, const TaskLimits& limits = {});

// Items whose contexts begin with the same line ask about the same thing (a passage, a pair of sentences): one number for each such group,
// from 0 in the order of the items.
std::vector<uint32_t> clusters_of(const std::vector<TaskItem>& items);

}  // namespace assay
