// `.recipe` files of the GGUF tool suite: lines `regex=type` with ik_llama.cpp's types (their case counts there), '#' comments. What
// comments of theirs say by fixed words is read and written: model, command, SHA-256 of inputs; ours add hashes of the model and the
// prediction.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/recipe_format.h"
#include "assay/plan/recipe_size.h"

namespace assay {
namespace {

constexpr std::string_view kModel = "# Model name: ";
constexpr std::string_view kHash = " SHA-256: ";
constexpr std::string_view kCommand = "# - Command used:";
constexpr std::string_view kTool = "# - Tool: ";
constexpr std::string_view kDamage = "# - Predicted damage: ";
constexpr std::string_view kInterval = "# - Interval: ";
constexpr std::string_view kError = "# - Standard error: ";
constexpr std::string_view kBound = "# - Bound: ";
constexpr std::string_view kTensorBytes = "# - Tensor bytes: ";
constexpr std::string_view kFileBytes = "# - File bytes: ";
constexpr std::string_view kOurModel = "Model", kOurStructure = "Structure";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// Comments, and every other line a rule.
bool recognises(std::string_view text) {
  bool comment = false, rule = false;
  for (const std::string_view line : lines_of(text)) {
    if (line.empty()) continue;
    if (line[0] == '#') {
      comment = true;
    } else if (line.find('=') != std::string_view::npos) {
      rule = true;
    } else {
      return false;
    }
  }
  return comment && rule;
}

// A number that is all of the text; NaN otherwise.
double real_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : std::nan("");
}

Status read_real(std::string_view text, const std::string& who, std::optional<double>& value) {
  const double number = real_of(text);
  if (!(number >= 0) || std::isinf(number)) return fail(ErrorCode::kBadInput, {who, "predicts no number", "0 or more is needed", ""});
  value = number;
  return {};
}

Status read_count(std::string_view text, const std::string& who, std::optional<uint64_t>& value) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(ErrorCode::kBadInput, {who, "is '" + printable(text) + "'", "a whole number is needed", ""});
  value = number;
  return {};
}

bool is_hash(std::string_view text) { return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

// A comment is one line: what would end it becomes a space.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

// One comment's facts. `continues`: the line before was of a command.
Status read_comment(std::string_view line, const std::string& who, bool& continues, RecipeDocument& document, size_t& ignored) {
  RecipeProvenance& from = document.provenance;
  if (continues && line.starts_with("# ") && !line.starts_with("# - ")) {
    std::string_view part = line.substr(2);
    if (part.ends_with('\\')) part.remove_suffix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    from.command += (from.command.empty() ? "" : " ") + std::string(part);
    return {};
  }
  continues = line == kCommand;
  if (continues) return {};
  const size_t hash = line.find(kHash);
  if (line.starts_with(kModel)) {
    from.model = line.substr(kModel.size());
  } else if (line.starts_with(kTool)) {
    from.tool = line.substr(kTool.size());
  } else if (line.starts_with("# - ") && hash != std::string_view::npos && is_hash(line.substr(hash + kHash.size()))) {
    const std::string name(line.substr(4, hash - 4)), value(line.substr(hash + kHash.size()));
    (name == kOurModel ? from.model_sha256 : name == kOurStructure ? from.structure_sha256 : from.inputs[name]) = value;
  } else if (line.starts_with(kDamage)) {
    return read_real(line.substr(kDamage.size()), who, document.prediction.damage);
  } else if (line.starts_with(kError)) {
    return read_real(line.substr(kError.size()), who, document.prediction.standard_error);
  } else if (line.starts_with(kBound)) {
    return read_real(line.substr(kBound.size()), who, document.prediction.bound);
  } else if (line.starts_with(kInterval)) {
    const std::string_view ends = line.substr(kInterval.size());
    const size_t to = ends.find(" to ");
    const double low = real_of(ends.substr(0, to)), high = to == std::string_view::npos ? low : real_of(ends.substr(to + 4));
    if (!(low <= high) || std::isinf(low) || std::isinf(high))
      return fail(ErrorCode::kBadInput, {who, "has no interval", "two ascending numbers are needed", ""});
    document.prediction.interval = {low, high};
  } else if (line.starts_with(kTensorBytes)) {
    return read_count(line.substr(kTensorBytes.size()), who, document.prediction.tensor_bytes);
  } else if (line.starts_with(kFileBytes)) {
    return read_count(line.substr(kFileBytes.size()), who, document.prediction.file_bytes);
  } else {
    ++ignored;
  }
  return {};
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  TypeRules rules(options.who, PatternCase::kKept);
  ReadRecipe result;
  bool continues = false, summary = false;
  size_t ignored = 0;
  const auto lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    const std::string where = "line " + std::to_string(i + 1);
    if (line.empty()) {
      continues = false;
    } else if (line.starts_with("##")) {
      summary = line.find("Summary") != std::string_view::npos;  // sizes follow from the types
    } else if (line[0] == '#' && (!summary || line.starts_with("# - ") || continues)) {
      ASSAY_TRY(read_comment(line, options.who + ": " + where, continues, result.document, ignored));
    } else if (line[0] != '#') {
      const size_t equals = line.find('=');
      if (equals == std::string_view::npos)
        return fail(ErrorCode::kBadInput,
                    {options.who + ": " + where + ": '" + printable(line) + "'", "has no '='", "regex=type is needed", "truncated?"});
      ASSAY_TRY(rules.add(line.substr(0, equals), line.substr(equals + 1), where));
    }
  }
  ASSAY_ASSIGN(ResolvedTypes resolved, rules.resolve(options.tensors, options.overlap));
  result.losses = resolved.losses();
  result.document.types = std::move(resolved.types);
  if (ignored > 0) result.losses.push_back(group_digits(ignored) + " comments");
  return result;
}

struct Section {
  std::string_view title;
  bool (*holds)(std::string_view role);  // the name without "blk.N."
};
const std::array<Section, 4> kSections = {{
    {"Routed experts", [](std::string_view name) { return name.find("_exps.") != std::string_view::npos; }},
    {"Shared experts", [](std::string_view name) { return name.find("_shexp.") != std::string_view::npos; }},
    {"Attention and state space", [](std::string_view name) { return name.starts_with("attn_") || name.starts_with("ssm_"); }},
    {"Other tensors of the blocks", [](std::string_view) { return true; }},
}};

// Its place among the headings; 0: outside the blocks.
size_t section_of(std::string_view name) {
  if (!name.starts_with("blk.")) return 0;
  const size_t dot = name.find('.', 4);
  const std::string_view role = dot == std::string_view::npos ? name : name.substr(dot + 1);
  size_t place = 0;
  while (!kSections[place].holds(role)) ++place;
  return place + 1;
}

std::string footer(const RecipeDocument& document) {
  const RecipeProvenance& from = document.provenance;
  const RecipePrediction& prediction = document.prediction;
  std::string text;
  if (!from.tool.empty()) text += fmt::format("{}{}\n", kTool, one_line(from.tool));
  if (!from.model_sha256.empty()) text += fmt::format("# - {}{}{}\n", kOurModel, kHash, from.model_sha256);
  if (!from.structure_sha256.empty()) text += fmt::format("# - {}{}{}\n", kOurStructure, kHash, from.structure_sha256);
  for (const auto& [file, hash] : from.inputs) text += fmt::format("# - {}{}{}\n", one_line(file), kHash, one_line(hash));
  if (prediction.damage) text += fmt::format("{}{}\n", kDamage, *prediction.damage);
  if (prediction.interval) text += fmt::format("{}{} to {}\n", kInterval, prediction.interval->first, prediction.interval->second);
  if (prediction.standard_error) text += fmt::format("{}{}\n", kError, *prediction.standard_error);
  if (prediction.bound) text += fmt::format("{}{}\n", kBound, *prediction.bound);
  if (prediction.tensor_bytes) text += fmt::format("{}{}\n", kTensorBytes, *prediction.tensor_bytes);
  if (prediction.file_bytes) text += fmt::format("{}{}\n", kFileBytes, *prediction.file_bytes);
  if (!from.command.empty()) text += fmt::format("{}\n# {}\n", kCommand, one_line(from.command));
  return text;
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo> tensors) {
  std::array<std::string, kSections.size() + 1> sections;
  for (const auto& [name, type] : document.types)
    sections[section_of(name)] += anchored_pattern(name, PatternCase::kKept) + "=" + type + "\n";
  std::string text = "## Quant mix recipe\n";
  if (!document.provenance.model.empty()) text += fmt::format("{}{}\n", kModel, one_line(document.provenance.model));
  for (size_t i = 0; i < sections.size(); ++i)
    if (!sections[i].empty()) text += fmt::format("\n## {}\n{}", i == 0 ? "Model head & embeddings" : kSections[i - 1].title, sections[i]);
  if (!tensors.empty()) {
    ASSAY_ASSIGN(const RecipeSize size, recipe_size(document, tensors));
    text += "\n## Summary of tensor counts and bpw per qtype\n# QTYPE\tCount\tBPW\tAssigned GiB\n";
    for (const auto& [type, share] : size.by_type)
      text += fmt::format("# {}\t{}\t{}\t{:.3f} GiB\n", type, share.tensors, find_type_size(type)->bits_per_weight(),
                          static_cast<double>(share.bytes) / (1 << 30));
    text += fmt::format("# -Average BPW: {:.4f}\n", size.bpw());
  }
  text += "\n## Where it comes from\n" + footer(document) + "\n## THE END!\n";
  return WrittenRecipe{std::move(text), {}};
}

}  // namespace

const RecipeFormat kThireusFormat = {"thireus", ".recipe of the GGUF tool suite", recognises, read, write, true};

}  // namespace assay
