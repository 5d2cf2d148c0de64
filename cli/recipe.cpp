// `assay recipe`: shows recipes of any format, converts between formats, and says what separates two of them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/plan/recipe_diff.h"
#include "assay/plan/recipe_file.h"
#include "assay/report/figure.h"
#include "assay/score/name_scores.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  std::string action, first, second, model, from, to, table, figure, overlap = "refuse";
};

// 0, 1, 2, 5 -> "0-2, 5".
std::string ranges(const std::vector<int>& layers) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < layers.size();) {
    size_t end = i + 1;
    while (end < layers.size() && layers[end] == layers[end - 1] + 1) ++end;
    parts.push_back(end - i == 1 ? std::to_string(layers[i]) : fmt::format("{}-{}", layers[i], layers[end - 1]));
    i = end;
  }
  return join(parts, ", ");
}

std::string signed_digits(int64_t number) {
  return (number < 0 ? "-" : number > 0 ? "+" : "") + group_digits(static_cast<uint64_t>(number < 0 ? -number : number));
}

std::string signed_number(double number) { return fmt::format("{:+.4g}", number); }

struct Inputs {
  std::optional<ModelTensors> model;
  RecipeFileOptions read;
};

Result<Inputs> open_inputs(Options& options, Context& context, Outcome& outcome) {
  Inputs inputs;
  inputs.read.from = options.from;
  inputs.read.force = context.common.force;
  inputs.read.overlap = options.overlap == "first" ? Overlap::kFirst : Overlap::kRefuse;
  outcome.inputs = {options.first};
  if (options.model.empty()) return inputs;
  ASSAY_TRY(locate_model(options.model, context));
  ASSAY_ASSIGN(inputs.model, open_model_tensors(options.model));
  outcome.inputs.push_back(options.model);
  return inputs;
}

Result<RecipeFile> read_recipe(const std::string& path, Inputs& inputs) {
  inputs.read.model = inputs.model ? &*inputs.model : nullptr;
  return read_recipe_file(path, inputs.read);
}

std::string losses_text(const std::string& what, const std::vector<std::string>& losses) {
  std::string text;
  for (const std::string& loss : losses) text += what + ": " + loss + "\n";
  return text;
}

Json facts_json(const RecipeDocument& document) {
  const RecipeProvenance& from = document.provenance;
  const RecipePrediction& prediction = document.prediction;
  Json json = Json::object();
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  text("model", from.model);
  text("model_sha256", from.model_sha256);
  text("structure_sha256", from.structure_sha256);
  text("tool", from.tool);
  text("command", from.command);
  if (!from.inputs.empty()) json["inputs"] = from.inputs;
  if (prediction.damage) json["damage"] = *prediction.damage;
  if (prediction.interval) json["interval"] = {prediction.interval->first, prediction.interval->second};
  if (prediction.standard_error) json["standard_error"] = *prediction.standard_error;
  if (prediction.bound) json["bound"] = *prediction.bound;
  if (prediction.tensor_bytes) json["tensor_bytes"] = *prediction.tensor_bytes;
  if (prediction.file_bytes) json["file_bytes"] = *prediction.file_bytes;
  return json;
}

Json size_json(const RecipeSize& size) {
  Json types = Json::object();
  for (const auto& [type, share] : size.by_type)
    types[type] = {{"tensors", share.tensors}, {"weights", share.elements}, {"bytes", share.bytes}};
  return {{"tensor_bytes", size.tensor_bytes}, {"padded_bytes", size.padded_bytes}, {"bpw", size.bpw()}, {"types", std::move(types)}};
}

// Which blocks have which type, role by role.
std::string roles_text(const RecipeDocument& document) {
  std::map<std::string, std::map<std::string, std::vector<int>>> roles;
  for (const auto& [name, type] : document.types) {
    const NamedTensor named = named_tensor(name, 0);
    roles[named.role][type].push_back(named.layer);
  }
  Table table({"role", "type", "tensors", "blocks"});
  for (auto& [role, types] : roles)
    for (auto& [type, layers] : types) {
      std::sort(layers.begin(), layers.end());
      const size_t count = layers.size();
      std::erase(layers, -1);
      table.add({role, type, group_digits(count), ranges(layers)});
    }
  return table.text();
}

Result<Outcome> show(Options& options, Context& context) {
  Outcome outcome;
  ASSAY_ASSIGN(Inputs inputs, open_inputs(options, context, outcome));
  ASSAY_ASSIGN(const RecipeFile file, read_recipe(options.first, inputs));
  const RecipeDocument& document = file.document;
  outcome.result = {{"format", file.format}, {"recipe", document.types}, {"about", facts_json(document)}};
  outcome.text = roles_text(document) + "\n";
  if (inputs.model) {
    ASSAY_ASSIGN(const RecipeSize size, recipe_size(document, inputs.model->tensors));
    outcome.result["size"] = size_json(size);
    Table table({"type", "tensors", "weights", "bytes", "% of bytes"});
    for (const auto& [type, share] : size.by_type)
      table.add({type, group_digits(share.tensors), group_digits(share.elements), group_digits(share.bytes),
                 fmt::format("{:.1f}", 100 * static_cast<double>(share.bytes) / static_cast<double>(size.tensor_bytes))});
    outcome.text += table.text();
    outcome.text += fmt::format("{} bytes of tensors, {} with padding, {:.4f} bits per weight; {} of {} tensors are named\n",
                                group_digits(size.tensor_bytes), group_digits(size.padded_bytes), size.bpw(),
                                group_digits(document.types.size()), group_digits(inputs.model->tensors.size()));
  }
  Table facts({"", ""});
  const Json about = facts_json(document);
  for (const auto& [key, value] : about.items())
    facts.add({key, value.is_string() ? printable(value.get<std::string>(), 200) : value.dump()});
  if (!about.empty()) outcome.text += facts.text();
  outcome.text += losses_text("not read", file.losses);
  outcome.result["not_read"] = file.losses;
  return outcome;
}

Result<Outcome> convert(Options& options, Context& context) {
  if (options.second.empty() || options.to.empty())
    return fail(ErrorCode::kUsage, {"recipe convert", "needs a file to write and --to FORMAT", "convert IN OUT --to FORMAT", ""});
  Outcome outcome;
  ASSAY_ASSIGN(const RecipeFormat* const to, find_recipe_format(options.to));
  ASSAY_ASSIGN(Inputs inputs, open_inputs(options, context, outcome));
  ASSAY_ASSIGN(RecipeFile file, read_recipe(options.first, inputs));
  RecipeDocument& document = file.document;
  // What the source does not say, and the target has room for.
  if (to->keeps_provenance) {
    RecipeProvenance& from = document.provenance;
    if (from.tool.empty()) from.tool = "assay " ASSAY_VERSION;
    if (from.inputs.empty() && file.format != "gguf") {
      ASSAY_ASSIGN(from.inputs[options.first], sha256_of_file(options.first));
    }
    if (inputs.model) {
      // A recipe that was made for another model stays so, even where --force takes it.
      if (from.model_sha256.empty() && from.structure_sha256.empty()) ASSAY_TRY(record_model(*inputs.model, from));
      ASSAY_ASSIGN(const RecipeSize size, recipe_size(document, inputs.model->tensors));
      document.prediction.tensor_bytes = size.tensor_bytes;
    }
  }
  const std::span<const TensorInfo> tensors =
      inputs.model ? std::span<const TensorInfo>(inputs.model->tensors) : std::span<const TensorInfo>();
  ASSAY_ASSIGN(const WrittenRecipe written, to->write(document, tensors));
  ASSAY_TRY(write_text_file(options.second, written.text, {context.common.force, {options.first}, 0}));
  outcome.result = {{"from", file.format},
                    {"to", to->name},
                    {"tensors", document.types.size()},
                    {"not_read", file.losses},
                    {"not_written", written.losses}};
  outcome.text = fmt::format("{} ({}) to {} ({}): {} tensors\n", options.first, file.format, options.second, to->name,
                             group_digits(document.types.size())) +
                 losses_text("not read", file.losses) + losses_text("not written", written.losses);
  return outcome;
}

// A damage table of ours, or a published one.
Result<TypeDamage> read_table(const std::string& path, const ModelTensors& model, bool force, std::string& warning) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  if (!text.starts_with("QTYPE")) {
    ASSAY_ASSIGN(const DamageTable table, damage_table_from_json(text));
    if (model.checkpoint) {
      ASSAY_ASSIGN(warning, check_same_model(table, *model.checkpoint, model.path, force));
    }
    return type_damage(table);
  }
  ASSAY_ASSIGN(const auto source, open_file(path));
  ASSAY_ASSIGN(const PublishedTable table, read_published_table(*source));
  std::vector<MappedTensor> map;
  for (const TensorInfo& tensor : model.tensors) map.push_back(mapped_tensor(tensor));
  return type_damage(table, map);
}

std::string place_of(int layer) { return layer < 0 ? "none" : std::to_string(layer); }

// Role by block: strips of what moved.
Chart heat_of(const RecipeDiff& diff, const Options& options) {
  Chart chart;
  chart.title = "What separates two recipes";
  chart.subtitle = options.first + " to " + options.second;
  chart.columns = 1;
  chart.footnote =
      "-: tensors outside the blocks." + std::string(diff.has_damage ? " Damage is summed as if changes did not interact." : "");
  std::vector<std::string> places = {"-"}, roles;
  for (int layer = 0; layer < diff.layers; ++layer) places.push_back(std::to_string(layer));
  for (const RecipeMove& move : diff.by_role()) roles.push_back(move.role);
  chart.panel_width = 640;
  chart.panel_height = std::max(120.0, 30 + 20 * static_cast<double>(roles.size()));  // pixels
  Cells bytes{"MiB", {}}, damage{"nats per token", {}};
  for (const RecipeMove& move : diff.moves) {
    const size_t x = static_cast<size_t>(move.layer + 1);
    const size_t y = static_cast<size_t>(std::find(roles.begin(), roles.end(), move.role) - roles.begin());
    if (move.changed > 0) bytes.cells.push_back({x, y, static_cast<double>(move.bytes) / (1 << 20)});
    if (diff.has_damage && move.damage != 0) damage.cells.push_back({x, y, move.damage});
  }
  const auto panel = [&](const std::string& title, Cells cells) {
    Figure figure;
    figure.title = title;
    figure.x = {"block", "", AxisScale::kCategories, places};
    figure.y = {"", "", AxisScale::kCategories, roles};
    figure.series.emplace_back(std::move(cells));
    chart.panels.push_back(std::move(figure));
  };
  panel("bytes moved", std::move(bytes));
  if (!damage.cells.empty()) panel("predicted damage moved", std::move(damage));
  return chart;
}

Json moves_json(const std::vector<RecipeMove>& moves, bool has_damage) {
  Json list = Json::array();
  for (const RecipeMove& move : moves) {
    Json one = {{"role", move.role}, {"layer", move.layer}, {"tensors", move.changed}, {"bytes", move.bytes}};
    if (has_damage) one["damage"] = move.damage;
    list.push_back(std::move(one));
  }
  return list;
}

std::string moves_text(const char* what, const std::vector<RecipeMove>& moves, bool by_layer, bool has_damage) {
  std::vector<std::string> header = {what, "tensors", "bytes moved"};
  if (has_damage) header.emplace_back("damage moved");
  Table table(header);
  for (const RecipeMove& move : moves) {
    std::vector<std::string> row = {by_layer ? place_of(move.layer) : move.role, group_digits(move.changed), signed_digits(move.bytes)};
    if (has_damage) row.push_back(signed_number(move.damage));
    table.add(row);
  }
  return table.text() + "\n";
}

Result<Outcome> diff(Options& options, Context& context) {
  if (options.second.empty() || options.model.empty())
    return fail(ErrorCode::kUsage, {"recipe diff", "needs two recipes and --model M", "diff A B --model M", ""});
  Outcome outcome;
  ASSAY_ASSIGN(Inputs inputs, open_inputs(options, context, outcome));
  ASSAY_ASSIGN(const RecipeFile first, read_recipe(options.first, inputs));
  ASSAY_ASSIGN(const RecipeFile second, read_recipe(options.second, inputs));
  outcome.inputs.push_back(options.second);
  std::optional<TypeDamage> damage;
  std::string warning;
  if (!options.table.empty()) {
    ASSAY_ASSIGN(damage, read_table(options.table, *inputs.model, context.common.force, warning));
    outcome.inputs.push_back(options.table);
  }
  ASSAY_ASSIGN(const RecipeDiff moved, recipe_diff(first.document, second.document, inputs.model->tensors, damage ? &*damage : nullptr));
  const bool with = moved.has_damage;
  Json changes = Json::array();
  for (const TensorChange& change : moved.changes)
    changes.push_back({{"tensor", change.tensor}, {"from", change.from}, {"to", change.to}, {"bytes", change.bytes}});
  const int64_t bytes = static_cast<int64_t>(moved.second.tensor_bytes) - static_cast<int64_t>(moved.first.tensor_bytes);
  outcome.result = {{"first", size_json(moved.first)},
                    {"second", size_json(moved.second)},
                    {"bytes", bytes},
                    {"changes", std::move(changes)},
                    {"moves", moves_json(moved.moves, with)}};
  outcome.text = moves_text("role", moved.by_role(), false, with) + moves_text("block", moved.by_layer(), true, with);
  outcome.text += fmt::format("{} of {} tensors change; {} bytes ({:.4f} to {:.4f} bits per weight)", group_digits(moved.changes.size()),
                              group_digits(inputs.model->tensors.size()), signed_digits(bytes), moved.first.bpw(), moved.second.bpw());
  if (with) {
    outcome.result["damage"] = moved.damage;
    outcome.result["unknown"] = moved.unknown;
    outcome.text += fmt::format("; predicted damage {} nats per token", signed_number(moved.damage));
    if (!moved.unknown.empty())
      outcome.text += fmt::format(
          "\nthe table says nothing of {} changes: {}{}", group_digits(moved.unknown.size()),
          join({moved.unknown.begin(), moved.unknown.begin() + static_cast<ptrdiff_t>(std::min<size_t>(5, moved.unknown.size()))}, ", "),
          moved.unknown.size() > 5 ? ", ..." : "");
  }
  outcome.text += "\n";
  if (!warning.empty()) outcome.text += "warning: " + warning + "\n";
  if (!options.figure.empty() && moved.moves.empty()) {
    outcome.text += "no figure: nothing moved\n";
  } else if (!options.figure.empty()) {
    OutputOptions output;
    output.force = context.common.force;
    ASSAY_TRY(write_figure(options.figure, heat_of(moved, options), output));
  }
  return outcome;
}

}  // namespace

Run declare_recipe(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("action", options->action, "show, convert or diff")->required()->check(CLI::IsMember({"show", "convert", "diff"}));
  app.add_option("recipe", options->first, "a recipe of any format, or a model's file, which is the recipe of its types")->required();
  app.add_option("second", options->second, "convert: the file to write; diff: the other recipe");
  app.add_option("--model", options->model, "GGUF file, Hugging Face directory, or a tensor map (tensors.*.map)");
  app.add_option("--from", options->from, "the recipe's format, instead of by its content");
  app.add_option("--to", options->to, "the format to write: tensor-types, custom-q, thireus, evopress, ramp or yaml");
  app.add_option("--overlap", options->overlap, "two rules that give a tensor different types: refuse, or the first decides")
      ->check(CLI::IsMember({"refuse", "first"}));
  app.add_option("--table", options->table, "diff: damage by tensor and type, JSON of sweep or score, or a kld_results.csv");
  app.add_option("--figure", options->figure, "diff: bytes and damage moved block by block, .svg or .png");
  return [options](Context& context) -> Result<Outcome> {
    if (options->action == "show") return show(*options, context);
    if (options->action == "convert") return convert(*options, context);
    return diff(*options, context);
  };
}

}  // namespace assay::cli
