// Our own recipes, YAML (or the same as JSON): what a document holds, nothing lost.
//   assay_recipe: 1
//   provenance: {model, model_sha256, structure_sha256, tool, command, inputs: {file: sha256}}
//   prediction: {damage, interval: [low, high], standard_error, bound, tensor_bytes, file_bytes}
//   types: {tensor: type}
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/yaml_text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/recipe_format.h"

namespace assay {
namespace {

using Json = nlohmann::json;
constexpr size_t kLongestText = 1 << 16;
constexpr size_t kLongestName = 256;
constexpr double kLargest = std::numeric_limits<double>::max();

bool recognises(std::string_view text) {
  constexpr std::string_view kKey = "assay_recipe";
  for (size_t at = text.find(kKey); at != std::string_view::npos; at = text.find(kKey, at + 1)) {
    if (at == 0 || text[at - 1] == '\n' || text.substr(0, at).find_first_not_of("{\" \t\r\n") == std::string_view::npos) return true;
  }
  return false;
}

Status read_text(const JsonObject& object, std::string_view key, std::string& value) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(value, object.text(key, kLongestText));
  return {};
}

Status read_hash(const JsonObject& object, std::string_view key, std::string& value) {
  ASSAY_TRY(read_text(object, key, value));
  if (!value.empty() && (value.size() != 64 || value.find_first_not_of("0123456789abcdef") != std::string::npos))
    return object.place(key).refuse("is \"" + printable(value) + "\"", "64 lower-case hexadecimal digits are needed");
  return {};
}

Result<RecipeProvenance> read_provenance(const Json& node, const JsonPlace& place) {
  static constexpr std::string_view kKnown[] = {"model", "model_sha256", "structure_sha256", "tool", "command", "inputs"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKnown));
  RecipeProvenance provenance;
  ASSAY_TRY(read_text(object, "model", provenance.model));
  ASSAY_TRY(read_hash(object, "model_sha256", provenance.model_sha256));
  ASSAY_TRY(read_hash(object, "structure_sha256", provenance.structure_sha256));
  ASSAY_TRY(read_text(object, "tool", provenance.tool));
  ASSAY_TRY(read_text(object, "command", provenance.command));
  if (const Json* const inputs = object.find("inputs")) {
    if (!inputs->is_object()) return object.place("inputs").refuse(found_in(*inputs), "files and their SHA-256 are needed");
    for (const auto& [file, hash] : inputs->items()) {
      ASSAY_ASSIGN(provenance.inputs[file], json_string(hash, object.place("inputs").key(file), 64));
    }
  }
  return provenance;
}

Result<RecipePrediction> read_prediction(const Json& node, const JsonPlace& place) {
  static constexpr std::string_view kKnown[] = {"damage", "interval", "standard_error", "bound", "tensor_bytes", "file_bytes"};
  constexpr uint64_t kMostBytes = uint64_t{1} << 62;
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKnown));
  RecipePrediction prediction;
  if (object.has("damage")) {
    ASSAY_ASSIGN(prediction.damage, object.real("damage", 0, kLargest));
  }
  if (object.has("interval")) {
    ASSAY_ASSIGN(const Json* const ends, object.list("interval", 2, 2));
    ASSAY_ASSIGN(const double low, json_real((*ends)[0], object.place("interval").item(0), -kLargest, kLargest));
    ASSAY_ASSIGN(const double high, json_real((*ends)[1], object.place("interval").item(1), low, kLargest));
    prediction.interval = {low, high};
  }
  if (object.has("standard_error")) {
    ASSAY_ASSIGN(prediction.standard_error, object.real("standard_error", 0, kLargest));
  }
  if (object.has("bound")) {
    ASSAY_ASSIGN(prediction.bound, object.real("bound", 0, kLargest));
  }
  if (object.has("tensor_bytes")) {
    ASSAY_ASSIGN(prediction.tensor_bytes, object.number("tensor_bytes", kMostBytes));
  }
  if (object.has("file_bytes")) {
    ASSAY_ASSIGN(prediction.file_bytes, object.number("file_bytes", kMostBytes));
  }
  return prediction;
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  static constexpr std::string_view kKnown[] = {"assay_recipe", "provenance", "prediction", "types"};
  ASSAY_ASSIGN(const Json root, parse_yaml(text, options.who));
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(root, {options.who, ""}, kKnown));
  ASSAY_TRY(object.integer("assay_recipe", 1, 1));
  ReadRecipe result;
  if (const Json* const node = object.find("provenance")) {
    ASSAY_ASSIGN(result.document.provenance, read_provenance(*node, object.place("provenance")));
  }
  if (const Json* const node = object.find("prediction")) {
    ASSAY_ASSIGN(result.document.prediction, read_prediction(*node, object.place("prediction")));
  }
  const Json* const types = object.find("types");
  if (types == nullptr || !types->is_object() || types->empty())
    return object.place("types").refuse(types == nullptr ? "is missing" : found_in(*types), "tensors and their types are needed");
  for (const auto& [name, node] : types->items()) {
    const JsonPlace place = object.place("types").key(printable(name));
    if (name.empty() || name.size() > kLongestName)
      return place.refuse("is a name of " + group_digits(name.size()) + " bytes", "1 to " + group_digits(kLongestName) + " are needed");
    ASSAY_ASSIGN(const std::string type_name, json_string(node, place, kLongestName));
    const TypeSize* const type = find_type_size(type_name);
    if (type == nullptr) return unknown_type(options.who + ": " + place.path, type_name);
    result.document.types[name] = type->name;
  }
  return result;
}

// As a quoted scalar that YAML and JSON read alike.
std::string scalar_of(std::string_view text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

// Names of tensors need no quotes, as a rule.
std::string key_of(const std::string& name) {
  const bool plain = name.find('.') != std::string::npos && name[0] >= 'a' && name[0] <= 'z' &&
                     name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._") == std::string::npos;
  return plain ? name : scalar_of(name);
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo>) {
  std::string text = "assay_recipe: 1\n";
  const RecipeProvenance& from = document.provenance;
  const auto field = [&](const char* key, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {}: {}\n", key, scalar_of(value));
  };
  if (from != RecipeProvenance{}) {
    text += "provenance:\n";
    field("model", from.model);
    field("model_sha256", from.model_sha256);
    field("structure_sha256", from.structure_sha256);
    field("tool", from.tool);
    field("command", from.command);
    if (!from.inputs.empty()) text += "  inputs:\n";
    for (const auto& [file, hash] : from.inputs) text += fmt::format("    {}: {}\n", scalar_of(file), scalar_of(hash));
  }
  const RecipePrediction& prediction = document.prediction;
  if (prediction != RecipePrediction{}) {
    text += "prediction:\n";
    if (prediction.damage) text += fmt::format("  damage: {}\n", *prediction.damage);
    if (prediction.interval) text += fmt::format("  interval: [{}, {}]\n", prediction.interval->first, prediction.interval->second);
    if (prediction.standard_error) text += fmt::format("  standard_error: {}\n", *prediction.standard_error);
    if (prediction.bound) text += fmt::format("  bound: {}\n", *prediction.bound);
    if (prediction.tensor_bytes) text += fmt::format("  tensor_bytes: {}\n", *prediction.tensor_bytes);
    if (prediction.file_bytes) text += fmt::format("  file_bytes: {}\n", *prediction.file_bytes);
  }
  text += "types:\n";
  for (const auto& [name, type] : document.types) text += fmt::format("  {}: {}\n", key_of(name), type);
  return WrittenRecipe{std::move(text), {}};
}

}  // namespace

const RecipeFormat kYamlFormat = {"yaml", "assay's own: types, provenance, prediction", recognises, read, write, true};

}  // namespace assay
