// `assay compare`: the tournament of sensitivity scores.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "assay/base/text.h"
#include "assay/file/json_text.h"
#include "assay/report/figure.h"
#include "assay/score/name_scores.h"
#include "assay/score/published_truth.h"
#include "cli/command.h"
#include "cli/csv.h"
#include "cli/results.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  CompareOptions compare;
  std::string given, measured, published, map;
  std::string scores = "default", types = "Q2_K,Q3_K,Q4_K,Q6_K", truth = "damage", sizes = "3.5,4.5,5.5", results;
  bool quick = false;
};

constexpr CompareTruth kTruths[] = {CompareTruth::kDamage, CompareTruth::kRemoval, CompareTruth::kJoint, CompareTruth::kPlan};

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }
Json statistic_json(const RankStatistic& statistic) {
  return {{"value", optional_json(statistic.value)},
          {"ci95_blocks", statistic.over_blocks ? interval_json(*statistic.over_blocks) : Json()},
          {"ci95_documents", statistic.over_documents ? interval_json(*statistic.over_documents) : Json()}};
}
Json agreement_json(const RankAgreement& agreement) {
  return {{"spearman", statistic_json(agreement.spearman)},
          {"kendall_tau_b", optional_json(agreement.kendall)},
          {"top_overlap", optional_json(agreement.top_overlap)}};
}
Json judgement_json(const ScoreJudgement& one) {
  return {{"score", one.name},
          {"verdict", assay::name_of(one.verdict)},
          {"items", one.items},
          {"tensors", one.tensors},
          {"blocks", one.blocks},
          {"types", one.types},
          {"overall", agreement_json(one.overall)},
          {"within_type", agreement_json(one.within_type)},
          {"within_role", agreement_json(one.within_role)},
          {"within_tensor", agreement_json(one.within_tensor)},
          {"given_size", statistic_json(one.given_size)},
          {"calibration",
           {{"slope", optional_json(one.calibration.slope)},
            {"ratio", optional_json(one.calibration.ratio)},
            {"log_slope", optional_json(one.calibration.log_slope)},
            {"log_r_squared", optional_json(one.calibration.log_r_squared)}}},
          {"p", one.p},
          {"p_holm", one.p_holm},
          {"p_given_size", one.p_given_size},
          {"p_given_size_holm", one.p_given_size_holm},
          {"smallest_detectable", one.smallest_detectable}};
}

std::string rho_text(const RankStatistic& statistic) {
  if (!statistic.value) return "";
  std::string text = fmt::format("{:.2f}", *statistic.value);
  if (statistic.over_blocks) text += fmt::format(" [{:.2f}, {:.2f}]", statistic.over_blocks->low, statistic.over_blocks->high);
  return text;
}

const Scored* find_scored(const CompareResult& result, const std::string& name) {
  for (const Scored& one : result.scores.scores)
    if (one.info.name == name) return &one;
  return nullptr;
}

// Best first: by the within-type rho.
std::vector<const ScoreJudgement*> ordered(const TruthReport& report) {
  std::vector<const ScoreJudgement*> order;
  for (const ScoreJudgement& one : report.judgements) order.push_back(&one);
  std::stable_sort(order.begin(), order.end(), [](const ScoreJudgement* a, const ScoreJudgement* b) {
    return a->within_type.spearman.value.value_or(-2) > b->within_type.spearman.value.value_or(-2);
  });
  return order;
}

std::string truth_text(const CompareResult& result, const TruthReport& report) {
  Table table({"score", "within type", "within role", "all", "given size", "ratio", "p (Holm)", "passes", "seconds", "verdict"});
  for (const ScoreJudgement* const one : ordered(report)) {
    const Scored* scored = find_scored(result, one->name);
    const auto rho = [](const std::optional<double>& value) { return value ? fmt::format("{:.2f}", *value) : ""; };
    table.add({one->name, rho_text(one->within_type.spearman), rho(one->within_role.spearman.value), rho(one->overall.spearman.value),
               rho(one->given_size.value), one->calibration.ratio ? fmt::format("{:.2f}", *one->calibration.ratio) : "",
               fmt::format("{:.2g}", one->p_holm), scored ? fmt::format("{:g}", scored->table.forward_equivalents) : "",
               scored ? fmt::format("{:.1f}", scored->table.seconds) : "", std::string(assay::name_of(one->verdict))});
  }
  double detectable = 0;
  for (const ScoreJudgement& one : report.judgements) detectable = std::max(detectable, one.smallest_detectable);
  return fmt::format("truth: {} ({} items, {} below the noise floor, {:.0f} s)\n{}smallest rho that would be found: {:.2f}\n\n",
                     name_of(report.truth), report.items, report.below_floor, report.seconds, table.text(), detectable);
}

std::string plan_text(const CompareResult& result) {
  if (result.plans.empty()) return "";
  std::vector<double> sizes;
  std::vector<std::string> scores;
  for (const PlannedRecipe& one : result.plans) {
    if (std::find(sizes.begin(), sizes.end(), one.bpw) == sizes.end()) sizes.push_back(one.bpw);
    if (std::find(scores.begin(), scores.end(), one.score) == scores.end()) scores.push_back(one.score);
  }
  std::vector<std::string> header = {"recipe solved from"};
  for (const double size : sizes) header.push_back(fmt::format("regret at {:g} bits (KL)", size));
  Table table(header);
  for (const std::string& score : scores) {
    std::vector<std::string> row = {score};
    for (const double size : sizes)
      for (const PlannedRecipe& one : result.plans)
        if (one.score == score && one.bpw == size)
          row.push_back(fmt::format("{:+.0f} % [{:+.0f}, {:+.0f}] ({:.4g})", 100 * one.regret.value, 100 * one.regret.low,
                                    100 * one.regret.high, one.kl.value));
    row.resize(header.size());
    table.add(std::move(row));
  }
  return "truth: plan (KL of the recipe over that of the best one known, less 1)\n" + table.text() + "\n";
}

// What a score costs, in words; scores of one kind share their passes.
std::string_view cost_class(const Scored* scored) {
  if (scored == nullptr || (!scored->info.needs_text && !scored->info.needs_gradients)) return "weights alone";
  return scored->info.needs_gradients ? "a backward pass" : "a forward pass";
}

// Accuracy by score, best first, coloured by cost; those that nothing cheaper or as cheap beats are marked.
Figure figure_of(const CompareResult& result, const TruthReport& report, const std::string& subtitle) {
  constexpr std::string_view kClasses[] = {"weights alone", "a forward pass", "a backward pass"};
  Figure figure;
  figure.title = fmt::format("Which scores predict {}", name_of(report.truth));
  figure.subtitle = subtitle;
  figure.x = {"Spearman within types"};
  figure.x.reach = {0, 1};
  figure.y.scale = AxisScale::kCategories;
  Points series[std::size(kClasses)];
  double best[std::size(kClasses)];
  std::fill(std::begin(best), std::end(best), -2);
  const auto class_of = [&](const ScoreJudgement& one) {
    return static_cast<size_t>(std::find(std::begin(kClasses), std::end(kClasses), cost_class(find_scored(result, one.name))) -
                               std::begin(kClasses));
  };
  const std::vector<const ScoreJudgement*> order = ordered(report);
  for (const ScoreJudgement* const one : order)
    if (const auto& value = one->within_type.spearman.value)
      for (size_t c = class_of(*one); c < std::size(kClasses); ++c) best[c] = std::max(best[c], *value);
  for (const ScoreJudgement* const one : order) {
    const RankStatistic& rho = one->within_type.spearman;
    if (!rho.value) continue;
    const size_t c = class_of(*one);
    Point point{*rho.value, static_cast<double>(figure.y.categories.size()), {}, {}, *rho.value >= best[c] ? "front" : ""};
    if (rho.over_blocks) point.x_interval = {rho.over_blocks->low, rho.over_blocks->high};
    figure.y.categories.push_back(one->name);
    series[c].name = kClasses[c];
    series[c].points.push_back(std::move(point));
  }
  for (Points& one : series)
    if (!one.points.empty()) figure.series.emplace_back(std::move(one));
  figure.references.push_back({ReferenceKind::kVertical, 0, "no relation"});
  figure.footnote = "Bars are 95 % intervals over layers. Front: nothing that costs as little predicts better.";
  figure.height = 120 + 18.0 * static_cast<double>(figure.y.categories.size());
  return figure;
}

Json result_json(const CompareResult& result) {
  Json truths = Json::array(), plans = Json::array(), scores = Json::array();
  for (const Scored& one : result.scores.scores)
    scores.push_back({{"name", one.info.name},
                      {"estimates", assay::name_of(one.info.estimand)},
                      {"unit", one.info.unit},
                      {"by_type", one.info.by_type},
                      {"needs_text", one.info.needs_text},
                      {"needs_gradients", one.info.needs_gradients},
                      {"source", one.info.source},
                      {"forward_equivalents", one.table.forward_equivalents},
                      {"notes", one.table.notes}});
  for (const TruthReport& report : result.truths) {
    if (report.truth == CompareTruth::kPlan) continue;
    Json judgements = Json::array();
    for (const ScoreJudgement& one : report.judgements) judgements.push_back(judgement_json(one));
    truths.push_back({{"truth", name_of(report.truth)},
                      {"items", report.items},
                      {"below_floor", report.below_floor},
                      {"judgements", std::move(judgements)}});
  }
  for (const PlannedRecipe& one : result.plans)
    plans.push_back({{"score", one.score},
                     {"bpw", one.bpw},
                     {"bytes", one.bytes},
                     {"mean_kl", one.kl.value},
                     {"mean_kl_ci95", interval_json(one.kl)},
                     {"regret", one.regret.value},
                     {"regret_ci95", interval_json(one.regret)}});
  return {{"scores", std::move(scores)},      {"truths", std::move(truths)},
          {"plans", std::move(plans)},        {"tokens_scored", result.scores.tokens_scored},
          {"windows", result.scores.windows}, {"documents", result.scores.documents},
          {"interval", result.interval_unit}, {"notes", result.notes}};
}

// {score: {tensor or group: number}}
Result<std::vector<GivenScore>> read_given(const std::string& path) {
  std::vector<GivenScore> scores;
  if (path.empty()) return scores;
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  // Checked first, depth and all; read again in the order of its scores.
  if (const auto checked = parse_json(text, path, RepeatedKeys::kLastWins); !checked) return fail(checked.error());
  const Json json = Json::parse(text, nullptr, false);
  const std::string needed = "{\"score\": {\"blk.0.ffn_up.weight\": 1.5, ...}, ...}";
  if (!json.is_object()) return fail(ErrorCode::kBadInput, {path, "is no JSON object", needed, ""});
  for (const auto& [name, values] : json.items()) {
    GivenScore score{name, {}};
    if (!values.is_object()) return fail(ErrorCode::kBadInput, {path, "score " + printable(name) + " is no object", needed, ""});
    for (const auto& [tensor, value] : values.items()) {
      if (!value.is_number())
        return fail(ErrorCode::kBadInput, {path, "score " + printable(name) + ", " + printable(tensor) + ": is no number", needed, ""});
      score.values[tensor] = value.get<double>();
    }
    scores.push_back(std::move(score));
  }
  return scores;
}

// Scores of names and sizes alone against numbers that others published: no model is needed.
Result<CompareResult> compare_published(const Options& options) {
  CompareResult result;
  ASSAY_ASSIGN(const auto table_file, open_file(options.published));
  ASSAY_ASSIGN(const PublishedTable table, read_published_table(*table_file));
  ASSAY_ASSIGN(const auto map_file, open_file(options.map));
  ASSAY_ASSIGN(const std::vector<MappedTensor> map, read_tensor_map(*map_file));
  ASSAY_ASSIGN(const PublishedTruth published, published_truth(table, map));
  const TournamentTruth truth = tournament_truth(published);
  std::vector<TournamentScore> scores;
  for (const NameScore& score : name_scores()) {
    scores.push_back(tournament_score(published, score));
    result.scores.scores.push_back(
        {{.name = score.name, .what = score.what, .source = score.source}, {std::string(score.name), {}, 0, 0, {}}});
  }
  TruthReport report;
  report.items = truth.items.size();
  ASSAY_ASSIGN(report.judgements, judge_scores(truth, scores, options.compare.tournament));
  result.truths.push_back(std::move(report));
  for (const std::string& tensor : published.not_run)
    result.notes.push_back(tensor + " is left out: a block whose values are all alike was never run");
  return result;
}

Status prepare(Options& options, const TextOptions& text, Context& context) {
  CompareOptions& compare = options.compare;
  ASSAY_ASSIGN(compare.given, read_given(options.given));
  ASSAY_ASSIGN(compare.score.types, parse_types(options.types));
  if (!options.measured.empty()) {
    ASSAY_ASSIGN(const std::string table, read_text_file(options.measured));
    ASSAY_ASSIGN(compare.measured, damage_table_from_json(table));
  }
  compare.score.force = context.common.force;
  compare.score.scores = split(options.scores, ',');
  compare.score.text = {text.path, text.windows};
  compare.truths.clear();
  for (const std::string& word : split(options.truth, ',')) {
    const auto found = std::find_if(std::begin(kTruths), std::end(kTruths), [&](CompareTruth truth) { return name_of(truth) == word; });
    if (found == std::end(kTruths))
      return fail(ErrorCode::kUsage, {"--truth", "is " + printable(word), "some of damage, removal, joint, plan", ""});
    compare.truths.push_back(*found);
  }
  compare.sizes.clear();
  for (const std::string& word : split(options.sizes, ',')) {
    char* end = nullptr;
    compare.sizes.push_back(std::strtod(word.c_str(), &end));
    if (*end != 0 || !(compare.sizes.back() > 0))
      return fail(ErrorCode::kUsage, {"--sizes", "is " + printable(options.sizes), "bits per weight, e.g. 3.5,4.5", ""});
  }
  compare.tournament.seed = context.common.seed;
  if (!options.quick) return {};
  if (compare.score.text.windows.chunks == 0) compare.score.text.windows.chunks = 4;
  compare.recipes = std::min<uint32_t>(compare.recipes, 60);
  return {};
}

Result<Outcome> report(const CompareResult& made, const Options& options, const std::vector<std::string>& inputs,
                       const ResultsDirectory& results) {
  Outcome outcome;
  outcome.inputs = inputs;
  if (made.noise_floor > 0) outcome.noise_floor = made.noise_floor;
  outcome.result = result_json(made);
  Json seconds = Json::object(), measured = Json::object();
  for (const Scored& one : made.scores.scores) seconds[std::string(one.info.name)] = one.table.seconds;
  for (const TruthReport& truth : made.truths) measured[std::string(name_of(truth.truth))] = truth.seconds;
  outcome.run_facts = {{"score_seconds", std::move(seconds)}, {"truth_seconds", std::move(measured)}};
  add_units(made.scores.units, outcome);
  for (const TruthReport& truth : made.truths)
    if (truth.truth != CompareTruth::kPlan) outcome.text += truth_text(made, truth);
  outcome.text += plan_text(made);
  const bool published = made.scores.windows == 0;
  if (!published)
    outcome.text += fmt::format("{} windows, {} tokens scored, {} documents; noise floor {:.2g}\n", made.scores.windows,
                                group_digits(made.scores.tokens_scored), made.scores.documents, made.noise_floor);
  for (const std::string& note : made.notes) outcome.text += "note: " + note + "\n";
  if (!results.wanted()) return outcome;
  const auto base = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  const std::string subtitle = published ? base(options.published)
                                         : fmt::format("{}, {} tokens of {}", base(options.compare.score.model),
                                                       group_digits(made.scores.tokens_scored), base(options.compare.score.text.path));
  std::vector<NamedFigure> figures;
  for (const TruthReport& truth : made.truths)
    if (!truth.judgements.empty()) figures.emplace_back(name_of(truth.truth), figure_of(made, truth, subtitle));
  ASSAY_TRY(write_figures(results.path(), figures, results.output()));
  ASSAY_TRY(write_text_file(results.file("report.txt"), outcome.text, results.output()));
  ASSAY_TRY(write_text_file(results.file("scores.csv"), csv_of({{"result", outcome.result}}), results.output()));
  outcome.report_file = results.file("report.json");
  outcome.text += "report and figures in " + results.path() + "\n";
  return outcome;
}

}  // namespace

Run declare_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->compare.score.model, kModelHelp);
  app.add_option("--given", options->given, "JSON file of further scores: {score: {tensor or group: number}}, larger is worse");
  app.add_option("--measured", options->measured,
                 "damage table of this model that was measured before (assay sweep --json): the truth `damage` is taken from it");
  app.add_option("--budget", options->compare.score.budget,
                 "forwards of one window that measured scores and those with passes of their own may take together; the rest is left out")
      ->check(CLI::Range(1.0, 1e15));
  CLI::Option* published = app.add_option("--published", options->published,
                                          "one-at-a-time table that others measured (kld_results.csv), in place of a model and a text: "
                                          "judges the scores that need only names and sizes");
  app.add_option("--map", options->map, "with --published: its tensors.*.map")->needs(published);
  published->needs(app.get_option("--map"));
  app.add_option("--truth", options->truth,
                 "what scores are judged by, comma-separated: damage (each matrix at each type), removal (each block, attention and "
                 "feed-forward left out), joint (random recipes), plan (the recipe solved from each score)")
      ->capture_default_str();
  app.add_option("--scores", options->scores, "names, comma-separated; \"default\" or \"all\" among them (assay score --list)")
      ->capture_default_str();
  app.add_option("--types", options->types, "ggml types, comma-separated")->capture_default_str();
  app.add_option("--imatrix", options->compare.score.imatrix, "importance matrix for the encoders");
  app.add_option("--recipes", options->compare.recipes, "joint: random recipes")->capture_default_str()->check(CLI::Range(8, 100'000));
  app.add_option("--sizes", options->sizes, "joint, plan: bits per weight")->capture_default_str();
  app.add_flag("--quick", options->quick, "4 windows and 60 recipes, unless told otherwise");
  app.add_option("--results", options->results,
                 "directory, made if need be, for the report (report.json, report.txt, scores.csv) and figures");
  auto text = add_text_options(app, false);
  app.add_option("--text,-f", text->path, kTextHelp);
  return [=](Context& context) -> Result<Outcome> {
    CompareOptions& compare = options->compare;
    const ResultsDirectory results(options->results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "scores.csv"}));
    if (!options->published.empty()) {
      compare.tournament.seed = context.common.seed;
      ASSAY_ASSIGN(const CompareResult made, compare_published(*options));
      return report(made, *options, {options->published, options->map}, results);
    }
    if (compare.score.model.empty() || text->path.empty())
      return fail(ErrorCode::kUsage,
                  {"compare", "needs a model and a text", "assay compare MODEL --text FILE, or --published FILE --map FILE", ""});
    ASSAY_TRY(locate_model(compare.score.model, context));
    ASSAY_TRY(locate_text(text->path, context));
    ASSAY_TRY(prepare(*options, *text, context));
    ASSAY_TRY(context.begin({compare.score.model, text->path, compare.score.imatrix}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const CompareResult made, engine->compare_scores(compare, context.settings, context.progress));
    return report(made, *options, {compare.score.model, text->path, compare.score.imatrix, options->given, options->measured}, results);
  };
}

}  // namespace assay::cli
