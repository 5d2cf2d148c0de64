#include "assay/hub/choose_files.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr std::string_view kDelimiters = "-._/";

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "x-00002-of-00003" -> stem "x", part 2 of 3; anything else is part 1 of 1.
struct PartName {
  std::string stem;
  uint64_t number = 1, count = 1;
};

PartName part_name(const std::string& name) {
  constexpr size_t kSuffix = 15;  // "-00001-of-00003"
  const auto digits = [&](size_t at) -> std::optional<uint64_t> {
    const std::string text = name.substr(at, 5);
    if (text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    return std::stoull(text);
  };
  if (name.size() <= kSuffix) return {name};
  const size_t at = name.size() - kSuffix;
  const auto number = digits(at + 1), count = digits(at + 10);
  if (name[at] != '-' || name.compare(at + 6, 4, "-of-") != 0 || !number || !count) return {name};
  return {name.substr(0, at), *number, *count};
}

// A model in one GGUF file or several.
struct GgufModel {
  std::string stem;  // path without part and extension
  std::map<uint64_t, RepositoryFile> parts;
  uint64_t count = 1;

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& [number, file] : parts) sum += file.size;
    return sum;
  }
};

// Projectors of vision models and importance matrices are GGUF files too, but no language models.
bool is_model_name(const std::string& path) {
  const std::string name = lower_ascii(base_name(path));
  return name.ends_with(".gguf") && !name.starts_with("mmproj") && name.find("imatrix") == std::string::npos;
}

std::vector<GgufModel> gguf_models(std::span<const RepositoryFile> files) {
  std::map<std::pair<std::string, uint64_t>, GgufModel> models;
  for (const RepositoryFile& file : files) {
    if (!is_model_name(file.path)) continue;
    const PartName part = part_name(file.path.substr(0, file.path.size() - 5));
    GgufModel& model = models[{part.stem, part.count}];
    model.stem = part.stem;
    model.count = part.count;
    model.parts.emplace(part.number, file);
  }
  std::vector<GgufModel> all;
  for (auto& [key, model] : models) all.push_back(std::move(model));
  return all;
}

// What names each model in a message and after the colon: the ends of their names beyond what all begin with; whole names if that is
// unclear.
std::string choices(const std::vector<GgufModel>& models) {
  std::string common = base_name(models[0].stem);
  for (const GgufModel& model : models) {
    const std::string name = base_name(model.stem);
    const auto differs = std::mismatch(common.begin(), common.end(), name.begin(), name.end());
    common.erase(differs.first, common.end());
  }
  const size_t cut = models.size() == 1 ? 0 : common.find_last_of(kDelimiters) + 1;
  std::vector<std::string> labels, lines;
  for (const GgufModel& model : models) labels.push_back(base_name(model.stem).substr(cut));
  std::vector<std::string> sorted = labels;
  std::sort(sorted.begin(), sorted.end());
  const bool unclear = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() || sorted[0].empty();
  for (size_t i = 0; i < models.size(); ++i)
    lines.push_back(fmt::format("{} ({})", printable(unclear ? models[i].stem : labels[i]), format_bytes(models[i].bytes())));
  return join(lines, ", ");
}

using Rule = std::function<bool(const GgufModel&)>;

bool delimited(const std::string& text, size_t at, size_t length, bool at_end) {
  const bool before = at == 0 || kDelimiters.find(text[at - 1]) != std::string_view::npos;
  const bool after = at + length == text.size() || (!at_end && kDelimiters.find(text[at + length]) != std::string_view::npos);
  return before && after;
}

bool holds(const std::string& text, const std::string& word, bool at_end) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    if (delimited(text, at, word.size(), at_end)) return true;
  }
  return false;
}

std::vector<GgufModel> models_of_type(const std::vector<GgufModel>& models, const std::string& type) {
  std::string wanted = lower_ascii(type);
  if (wanted.ends_with(".gguf")) wanted.resize(wanted.size() - 5);
  const std::string wanted_stem = part_name(wanted).stem;
  const Rule rules[] = {
      [&](const GgufModel& m) { return lower_ascii(m.stem) == wanted_stem || lower_ascii(base_name(m.stem)) == wanted_stem; },
      [&](const GgufModel& m) { return holds(lower_ascii(base_name(m.stem)), wanted, true); },
      [&](const GgufModel& m) { return holds(lower_ascii(base_name(m.stem)), wanted, false); },
      [&](const GgufModel& m) { return holds(lower_ascii(m.stem), wanted, false); },
  };
  for (const Rule& rule : rules) {
    std::vector<GgufModel> found;
    std::copy_if(models.begin(), models.end(), std::back_inserter(found), rule);
    if (!found.empty()) return found;
  }
  return {};
}

Result<ChosenFiles> all_parts(const GgufModel& model, const std::string& who) {
  ChosenFiles chosen;
  for (uint64_t number = 1; number <= model.count; ++number) {
    const auto part = model.parts.find(number);
    if (part == model.parts.end())
      return fail(ErrorCode::kNotFound, {who + ": " + printable(model.stem), fmt::format("has {} parts", model.count),
                                         fmt::format("part {} is not there", number), "an incomplete upload or download?"});
    chosen.files.push_back(part->second);
  }
  chosen.entry = chosen.files.front().path;
  return chosen;
}

const RepositoryFile* find_file(std::span<const RepositoryFile> files, std::string_view path) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const RepositoryFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

bool has_checkpoint(std::span<const RepositoryFile> files) {
  return find_file(files, "config.json") != nullptr &&
         (find_file(files, "model.safetensors") != nullptr || find_file(files, "model.safetensors.index.json") != nullptr);
}

// What model/hf_import and text/hf_tokenizer read, and no other copy of the weights.
Result<ChosenFiles> checkpoint_files(std::span<const RepositoryFile> files, const std::string& who) {
  constexpr const char* kBeside[] = {
      "config.json", "generation_config.json", "tokenizer.json",    "tokenizer_config.json",   "vocab.json",
      "merges.txt",  "tokenizer.model",        "added_tokens.json", "special_tokens_map.json", "chat_template.jinja"};
  ChosenFiles chosen;
  for (const char* name : kBeside) {
    if (const RepositoryFile* file = find_file(files, name)) chosen.files.push_back(*file);
  }
  if (const RepositoryFile* whole = find_file(files, "model.safetensors")) {
    chosen.files.push_back(*whole);
    return chosen;
  }
  chosen.files.push_back(*find_file(files, "model.safetensors.index.json"));
  std::map<uint64_t, RepositoryFile> shards;
  uint64_t count = 0;
  for (const RepositoryFile& file : files) {
    if (!file.path.starts_with("model-") || !file.path.ends_with(".safetensors")) continue;
    const PartName part = part_name(file.path.substr(0, file.path.size() - 12));
    if (part.stem != "model") continue;
    count = std::max(count, part.count);
    shards.emplace(part.number, file);
  }
  for (uint64_t number = 1; number <= std::max<uint64_t>(count, 1); ++number) {
    const auto shard = shards.find(number);
    if (shard == shards.end())
      return fail(ErrorCode::kNotFound, {who, fmt::format("has no model-{:05d}-of-{:05d}.safetensors", number, count),
                                         "model.safetensors.index.json asks for every shard", "an incomplete upload or download?"});
    chosen.files.push_back(shard->second);
  }
  return chosen;
}

}  // namespace

Result<ChosenFiles> choose_model_files(std::span<const RepositoryFile> files, const std::string& type, const std::string& who) {
  if (type.empty() && has_checkpoint(files)) return checkpoint_files(files, who);
  const std::vector<GgufModel> models = gguf_models(files);
  if (models.empty()) {
    return fail(ErrorCode::kNotFound,
                {who, type.empty() ? "has neither config.json with model.safetensors nor a GGUF file" : "has no GGUF file", "",
                 type.empty() ? "weights in another format?" : "the unquantized checkpoint? leave ':TYPE' away"});
  }
  const std::vector<GgufModel> fitting = type.empty() ? models : models_of_type(models, type);
  if (fitting.empty())
    return fail(ErrorCode::kNotFound, {who, "has no GGUF of type '" + printable(type) + "'", "there are: " + choices(models), ""});
  if (fitting.size() > 1) {
    return fail(ErrorCode::kUsage, {who, type.empty() ? "has several GGUF models" : "has several GGUF models for '" + printable(type) + "'",
                                    "name one of these after a colon: " + choices(fitting), ""});
  }
  return all_parts(fitting[0], who);
}

Result<ChosenFiles> choose_named_files(std::span<const RepositoryFile> files, const std::vector<std::string>& patterns,
                                       const std::string& who) {
  std::vector<bool> taken(files.size(), false);
  for (const std::string& pattern : patterns) {
    bool found = false;
    for (size_t i = 0; i < files.size(); ++i) {
      if (files[i].path != pattern && ::fnmatch(pattern.c_str(), files[i].path.c_str(), 0) != 0) continue;
      found = taken[i] = true;
    }
    if (found) continue;
    std::vector<std::string> names;
    for (const RepositoryFile& file : files) names.push_back(file.path);
    const std::string near = nearest_name(pattern, names);
    return fail(ErrorCode::kNotFound,
                {who, "has no file '" + printable(pattern) + "'",
                 near.empty() ? "`assay download OWNER/NAME '*' --dry-run` lists its files" : "did you mean " + printable(near) + "?", ""});
  }
  ChosenFiles chosen;
  for (size_t i = 0; i < files.size(); ++i) {
    if (taken[i]) chosen.files.push_back(files[i]);
  }
  if (chosen.files.size() == 1) chosen.entry = chosen.files[0].path;
  return chosen;
}

}  // namespace assay
