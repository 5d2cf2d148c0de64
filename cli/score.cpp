// `assay score`: sensitivity scores of every matrix or layer.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/damage_table.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  ScoreModelOptions score;
  std::string scores = "default", types = "Q2_K,Q3_K,Q4_K,Q5_K,Q6_K,IQ4_XS,Q8_0";
  Grouping by = Grouping::kTensor;
  bool list = false;
  std::string as_table, table_output;  // score whose values become the damage table; file for it
};

std::string_view name_of(Grouping grouping) {
  constexpr std::string_view kNames[] = {"tensor", "group", "layer"};
  return kNames[static_cast<size_t>(grouping)];
}

// A damage, so that `plan` can take it.
bool is_damage(const ScoreInfo& info) { return info.by_type && info.unit == "nats per token"; }

DamageTable damage_table_of(const Scored& scored, const std::string& model_sha256) {
  DamageTable table;
  table.model_sha256 = model_sha256;
  table.unit = scored.info.unit;
  table.estimator = scored.info.name == "curvature" ? "curvature:centred" : std::string(scored.info.name);
  for (const ScoreRow& row : scored.table.rows) {
    DamageRow damage{row.name, row.tensors, {}};
    for (const ScoreCell& cell : row.cells)
      damage.cells.push_back({cell.type.value_or(GgmlType::kF32), cell.value, cell.standard_error, false});
    table.rows.push_back(std::move(damage));
  }
  return table;
}

Json score_json(const Scored& scored, const std::vector<ScoreRow>& rows) {
  const ScoreInfo& info = scored.info;
  Json out = {{"name", info.name},
              {"what", info.what},
              {"estimates", assay::name_of(info.estimand)},
              {"unit", info.unit},
              {"higher_is_worse", info.higher_is_worse},
              {"finest", name_of(info.finest)},
              {"pooling", info.pooling == Pooling::kSum ? "sum" : "mean"},
              {"needs_text", info.needs_text},
              {"needs_gradients", info.needs_gradients},
              {"source", info.source},
              {"forward_equivalents", scored.table.forward_equivalents},
              {"notes", scored.table.notes}};
  Json list = Json::array();
  for (const ScoreRow& row : rows) {
    Json cells = Json::array();
    for (const ScoreCell& cell : row.cells)
      cells.push_back({{"type", cell.type ? Json(find_type(*cell.type)->name) : Json()},
                       {"value", cell.value},
                       {"standard_error", cell.standard_error}});
    list.push_back({{"name", row.name}, {"tensors", row.tensors}, {"elements", row.elements}, {"cells", std::move(cells)}});
  }
  out["rows"] = std::move(list);
  return out;
}

std::string value_text(const ScoreCell* cell) {
  if (cell == nullptr) return "";
  return cell->standard_error > 0 ? fmt::format("{:.3g} +- {:.1g}", cell->value, cell->standard_error) : fmt::format("{:.4g}", cell->value);
}

// One score: every row, a column per type.
std::string whole_table(const Scored& scored, const std::vector<ScoreRow>& rows, const std::vector<GgmlType>& types) {
  std::vector<std::string> header = {fmt::format("{} ({})", scored.info.name, scored.info.unit)};
  std::vector<std::optional<GgmlType>> columns;
  if (scored.info.by_type)
    for (const GgmlType type : types) columns.emplace_back(type), header.emplace_back(find_type(type)->name);
  else
    columns.emplace_back(std::nullopt), header.emplace_back("value");
  Table table(header);
  for (const ScoreRow& row : rows) {
    std::vector<std::string> line = {row.name};
    for (const std::optional<GgmlType>& type : columns) line.push_back(value_text(find_cell(row, type)));
    table.add(std::move(line));
  }
  return table.text();
}

// The rows that a score calls most sensitive, at the first type.
std::string first_rows(const Scored& scored, const std::vector<ScoreRow>& rows, const std::vector<GgmlType>& types, size_t count) {
  std::vector<std::pair<double, std::string>> order;
  const std::optional<GgmlType> type = scored.info.by_type && !types.empty() ? std::optional(types[0]) : std::nullopt;
  for (const ScoreRow& row : rows)
    if (const ScoreCell* cell = find_cell(row, type))
      order.emplace_back(scored.info.higher_is_worse ? -cell->value : cell->value, row.name);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(count, order.size()); ++i) {
    std::string name = order[i].second;
    if (name.starts_with("blk.")) name = name.substr(4);
    if (name.ends_with(".weight")) name.resize(name.size() - 7);
    names.push_back(std::move(name));
  }
  return join(names, ", ");
}

// What the files of --weights hold, and how few weights hold most of it.
Json weights_json(const ScoreModelResult& made) {
  Json files = Json::array();
  for (const WeightFile& file : made.weight_files) {
    Json shares = Json::array();
    for (const auto& [part, share] : file.shares) shares.push_back({{"part", part}, {"share", share}});
    files.push_back({{"score", file.score},
                     {"type", file.type ? Json(find_type(*file.type)->name) : Json()},
                     {"path", file.path},
                     {"tensors", file.tensors},
                     {"elements", file.elements},
                     {"bytes", file.bytes},
                     {"top_shares", std::move(shares)}});
  }
  return {{"files", std::move(files)}, {"without", made.without_weights}};
}

std::string weights_text(const ScoreModelResult& made) {
  std::vector<std::string> header = {"weights of", "type", "file", "bytes"};
  if (!made.weight_files.empty())
    for (const auto& [part, share] : made.weight_files[0].shares) header.push_back(fmt::format("in top {:.4g} %", 100 * part));
  Table table(header);
  for (const WeightFile& file : made.weight_files) {
    std::vector<std::string> line = {file.score, file.type ? find_type(*file.type)->name : "", file.path, group_digits(file.bytes)};
    for (const auto& [part, share] : file.shares) line.push_back(fmt::format("{:.2f} %", 100 * share));
    table.add(std::move(line));
  }
  std::string text = table.text();
  if (!made.without_weights.empty()) text += "no values of single weights: " + join(made.without_weights, ", ") + "\n";
  return text;
}

// The score that --as-table names; or curvature if it is there, else the first that is a damage; null: none.
Result<const Scored*> table_score(const ScoreModelResult& made, const std::string& wanted) {
  const Scored* chosen = nullptr;
  for (const Scored& scored : made.scores) {
    if (!wanted.empty() ? scored.info.name == wanted
                        : is_damage(scored.info) && !scored.table.rows.empty() && (chosen == nullptr || scored.info.name == "curvature"))
      chosen = &scored;
  }
  if (wanted.empty()) return chosen;
  const std::string who = "--as-table " + printable(wanted);
  if (chosen == nullptr) return fail(ErrorCode::kUsage, {who, "is not among --scores", "one of those that are computed", ""});
  if (!chosen->info.by_type || !chosen->info.higher_is_worse || chosen->info.pooling != Pooling::kSum)
    return fail(ErrorCode::kUsage, {who, "cannot stand for damages", "a loss with a value per type is needed", "assay score --list"});
  if (chosen->table.rows.empty()) return fail(ErrorCode::kUsage, {who, "has no values", "", join(chosen->table.notes, "; ")});
  return chosen;
}

Result<Outcome> outcome_of(const ScoreModelResult& made, const Options& options) {
  Outcome outcome;
  outcome.inputs = {options.score.model, options.score.text.path, options.score.imatrix};
  outcome.result = Json::object();
  Json scores = Json::array(), seconds = Json::object();
  Table summary({"score", "unit", "passes", "seconds", "most sensitive first"});
  std::string whole;
  for (const Scored& scored : made.scores) {
    const std::vector<ScoreRow> rows = pooled(scored.table.rows, options.by, scored.info.pooling);
    scores.push_back(score_json(scored, rows));
    seconds[std::string(scored.info.name)] = scored.table.seconds;
    summary.add({std::string(scored.info.name), std::string(scored.info.unit), fmt::format("{:g}", scored.table.forward_equivalents),
                 fmt::format("{:.2f}", scored.table.seconds), first_rows(scored, rows, options.score.types, 4)});
    if (made.scores.size() == 1) whole = whole_table(scored, rows, options.score.types);
  }
  ASSAY_ASSIGN(const Scored* const chosen, table_score(made, options.as_table));
  if (chosen != nullptr) {
    const std::string table = to_json(damage_table_of(*chosen, made.model_sha256));
    outcome.result["table"] = Json::parse(table);
    if (!options.table_output.empty())
      ASSAY_TRY(write_text_file(options.table_output, table + "\n", {options.score.force, outcome.inputs, 0}));
  } else if (!options.table_output.empty()) {
    return fail(ErrorCode::kUsage, {"--table-output", "has no table to write", "a score of damages, or --as-table", ""});
  }
  outcome.result["scores"] = std::move(scores);
  outcome.result["tokens_scored"] = made.tokens_scored;
  outcome.result["windows"] = made.windows;
  outcome.result["documents"] = made.documents;
  outcome.result["interval"] = "windows";
  outcome.run_facts = {{"score_seconds", std::move(seconds)},
                       {"forward_seconds", made.forward_seconds},
                       {"gradient_seconds", made.gradient_seconds},
                       {"decoding_seconds", made.decode_seconds},
                       {"encoding_seconds", made.encode_seconds}};
  add_units(made.units, outcome);
  outcome.text = whole.empty() ? summary.text() : whole;
  if (!options.score.weights.empty()) {
    outcome.result["weights"] = weights_json(made);
    outcome.text += weights_text(made);
  }
  if (!made.terms.path.empty()) {
    outcome.result["terms"] = {
        {"path", made.terms.path}, {"cells", made.terms.cells}, {"terms", made.terms.terms}, {"bytes", made.terms.bytes}};
    outcome.text += fmt::format("{}: {} terms of each of {} cells, {}\n", made.terms.path, group_digits(made.terms.terms),
                                group_digits(made.terms.cells), format_bytes(made.terms.bytes));
  }
  for (const Scored& scored : made.scores)
    for (const std::string& note : scored.table.notes) outcome.text += fmt::format("{}: {}\n", scored.info.name, note);
  if (made.windows > 0) outcome.text += fmt::format("{} windows, {} tokens scored; ", made.windows, group_digits(made.tokens_scored));
  outcome.text += fmt::format("shared: forward {:.1f} s, gradients {:.1f} s, decoding {:.1f} s, encoding {:.1f} s\n", made.forward_seconds,
                              made.gradient_seconds, made.decode_seconds, made.encode_seconds);
  return outcome;
}

Outcome listed(const std::vector<ScoreInfo>& infos) {
  Outcome outcome;
  Table table({"score", "estimates", "of", "unit", "needs", "what"});
  Json scores = Json::array();
  for (const ScoreInfo& info : infos) {
    std::vector<std::string> needs;
    if (info.needs_text) needs.emplace_back("text");
    if (info.needs_gradients) needs.emplace_back("gradients");
    if (info.by_type) needs.emplace_back("types");
    table.add({std::string(info.name), std::string(assay::name_of(info.estimand)), std::string(name_of(info.finest)),
               std::string(info.unit), needs.empty() ? "weights" : join(needs, ", "), std::string(info.what)});
    scores.push_back({{"name", info.name},
                      {"what", info.what},
                      {"estimates", assay::name_of(info.estimand)},
                      {"unit", info.unit},
                      {"source", info.source}});
  }
  outcome.result = {{"known", std::move(scores)}};
  outcome.text = table.text();
  return outcome;
}

}  // namespace

Run declare_score(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->score.model, kModelHelp);
  app.add_flag("--list", options->list, "say which scores there are");
  app.add_option("--scores", options->scores, "names, comma-separated; \"default\" or \"all\" among them")->capture_default_str();
  app.add_option("--types", options->types, "ggml types, comma-separated, for the scores that have a value per type")
      ->capture_default_str();
  app.add_option("--imatrix", options->score.imatrix, "importance matrix for the encoders");
  app.add_option_function<std::string>(
         "--by",
         [options](const std::string& by) {
           options->by = by == "layer" ? Grouping::kLayer : by == "group" ? Grouping::kGroup : Grouping::kTensor;
         },
         "tensor, group (a layer's attention, a layer's feed-forward), or layer; scores of whole layers stay so")
      ->check(CLI::IsMember({"tensor", "layer", "group"}));
  app.add_option("--token-fraction", options->score.token_fraction, "curvature: share of tokens in the per-type products")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--samples", options->score.samples, "curvature: draws of residuals (backward passes) per window")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--budget", options->score.budget,
                 "forwards of one window that measured scores and those with passes of their own may take together; the rest is left out")
      ->check(CLI::Range(1.0, 1e15));
  app.add_option("--weights", options->score.weights,
                 "directory for values of single weights, one safetensors file per score and type, of the scores that are sums of such");
  app.add_option("--terms", options->score.terms,
                 "safetensors file for curvature's first-order terms, with which plan counts interactions (--interactions)");
  app.add_option("--as-table", options->as_table,
                 "the score whose values `plan --table` is to plan by; without it curvature, else the first in nats per token");
  app.add_option("--table-output", options->table_output, "write that table alone to a file");
  auto text = add_text_options(app, false);
  app.add_option("--text,-f", text->path, std::string(kTextHelp) + "; not needed by scores of the weights alone");
  return [=](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(Engine * engine, context.engine());
    if (options->list) return listed(engine->score_infos());
    if (options->score.model.empty()) return fail(ErrorCode::kUsage, {"score", "no model is named", "assay score MODEL", ""});
    ASSAY_TRY(locate_model(options->score.model, context));
    if (!text->path.empty()) ASSAY_TRY(locate_text(text->path, context));
    ASSAY_ASSIGN(options->score.types, parse_types(options->types));
    options->score.scores = split(options->scores, ',');
    options->score.text = {text->path, text->windows};
    options->score.force = context.common.force;
    ASSAY_TRY(context.begin({options->score.model, text->path, options->score.imatrix}));
    ASSAY_ASSIGN(const ScoreModelResult made, engine->score_model(options->score, context.settings, context.progress));
    return outcome_of(made, *options);
  };
}

}  // namespace assay::cli
