#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "assay/study/estimate_json.h"
#include "assay/study/outlier_result.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json behaviour_json(const Behaviour& one) {
  return {{"tokens", one.tokens},
          {"mean_kl", one.kl},
          {"tail_kl", one.tail_kl},
          {"flip_rate", one.flip_rate},
          {"margin_change", one.margin_change},
          {"ppl_base", one.ppl_base},
          {"ppl", one.ppl},
          {"relative_ppl_change", one.ppl_change()}};
}

Json row_json(const OutlierRow& row, const std::vector<std::string>& strata) {
  Json by_stratum = Json::object(), layers = Json::array();
  for (size_t s = 0; s < row.strata.size(); ++s) by_stratum[strata[s]] = behaviour_json(row.strata[s]);
  for (const TrackedLayer& one : row.tracked)
    layers.push_back({{"layer", one.layer},
                      {"norm", one.norm},
                      {"token_norm", one.token_norm},
                      {"stability", one.centred},
                      {"stability_uncentred", one.uncentred},
                      {"by_position", one.at}});
  Json json = {{"kind", name_of(row.kind)},
               {"source", row.source},
               {"under", row.under},
               {"listed", row.listed},
               {"tensor", row.place.tensor},
               {"row", row.place.at.row},
               {"column", row.place.at.column},
               {"role", row.role},
               {"layer", row.layer},
               {"weight", row.weight},
               {"robust_score", row.robust_score},
               {"row_norm", row.row_norm},
               {"column_norm", row.column_norm},
               {"activation", row.activation},
               {"target", or_null(row.target)},
               {"match_distance", row.match_distance}};
  put(json, "mean_kl", row.kl);
  json["below_floor"] = row.below_floor;
  json["all"] = behaviour_json(row.all);
  json["strata"] = std::move(by_stratum);
  json["interaction"] = row.interaction ? Json(row.interaction->value) : Json();
  json["interaction_ci95"] = row.interaction ? Json::array({row.interaction->low, row.interaction->high}) : Json();
  json["partner"] = or_null(row.partner);
  json["perturbation"] = std::move(layers);
  json["max_stability"] = or_null(row.max_stability);
  json["max_stability_uncentred"] = or_null(row.max_stability_uncentred);
  json["label"] = name_of(row.label);
  return json;
}

Json counts_json(const std::vector<TaxonomySensitivity>& rows) {
  Json list = Json::array();
  for (const TaxonomySensitivity& row : rows) {
    Json counts = Json::object();
    for (size_t l = 0; l < kOutlierLabels; ++l) counts[std::string(name_of(static_cast<OutlierLabel>(l)))] = row.counts[l];
    list.push_back({{"thresholds", row.threshold}, {"counts", std::move(counts)}});
  }
  return list;
}

Json further_json(const OutlierResult& result) {
  Json sets = Json::array(), doses = Json::array(), edits = Json::array(), patches = Json::array(), overshoots = Json::array();
  for (const OutlierSet& one : result.sets) {
    Json json = {{"of", one.of}, {"size", one.size}};
    put(json, "mean_kl", one.kl);
    put(json, "interaction", one.interaction);
    sets.push_back(std::move(json));
  }
  for (const OutlierDose& one : result.doses) {
    Json json = {{"weight", one.row}, {"scale", one.scale}};
    put(json, "mean_kl", one.kl);
    json["tail_kl"] = one.tail_kl;
    json["flip_rate"] = one.flip_rate;
    json["nll_difference"] = one.nll_difference;
    doses.push_back(std::move(json));
  }
  for (const OutlierEdit& one : result.edits) {
    Json json = {{"weight", one.row}, {"form", one.form}};
    put(json, "mean_kl", one.kl);
    put(json, "recovery", one.recovery);
    json["recovered"] = one.recovered;
    edits.push_back(std::move(json));
  }
  for (const OutlierPatch& one : result.patches) {
    Json json = {{"weight", one.row}, {"form", one.form}, {"layer", one.layer}, {"rank", one.rank}};
    put(json, "mean_kl", one.kl);
    put(json, "recovery", one.recovery);
    patches.push_back(std::move(json));
  }
  for (const OutlierOvershoot& one : result.overshoots) {
    Json layers = Json::array();
    for (const auto& [layer, part] : one.layers) layers.push_back({{"layer", layer}, {"added_again", part}});
    overshoots.push_back({{"weight", one.row}, {"layers", std::move(layers)}});
  }
  return {{"sets", std::move(sets)},
          {"doses", std::move(doses)},
          {"edits", std::move(edits)},
          {"patches", std::move(patches)},
          {"overshoot", std::move(overshoots)}};
}

Json shares_json(const OutlierResult& result) {
  Json damages = Json::array(), shares = Json::array(), excesses = Json::array();
  for (const OutlierDamage& one : result.damages) {
    Json json = {{"type", one.type}, {"elements", one.elements}};
    put(json, "mean_kl", one.kl);
    json["nll_difference"] = one.nll_difference;
    damages.push_back(std::move(json));
  }
  for (const OutlierShare& one : result.shares) {
    Json json = {{"type", one.type}, {"selection", one.selection}, {"k", one.k}, {"draw", one.draw}};
    put(json, "mean_kl", one.kl);
    put(json, "share", one.share);
    json["nll_share"] = one.nll_share;
    shares.push_back(std::move(json));
  }
  for (const OutlierExcess& one : result.excesses) {
    Json json = {{"type", one.type}, {"k", one.k}};
    put(json, "excess", one.excess);
    excesses.push_back(std::move(json));
  }
  return {{"damages", std::move(damages)}, {"shares", std::move(shares)}, {"excesses", std::move(excesses)}};
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string made = "\"";
  for (const char c : text) made += c == '"' ? std::string("\"\"") : std::string(1, c);
  return made + "\"";
}

std::string number(double value) { return fmt::format("{:.9g}", value); }

void add_behaviour(const Behaviour& one, std::string& line) {
  for (const double value : {static_cast<double>(one.tokens), one.kl, one.tail_kl, one.flip_rate, one.margin_change, one.ppl_base, one.ppl,
                             one.ppl - one.ppl_base, one.ppl_change()})
    line += "," + number(value);
}

}  // namespace

std::string_view name_of(OutlierRow::Kind kind) {
  constexpr std::string_view kNames[] = {"super", "robust", "control"};
  return kNames[static_cast<size_t>(kind)];
}

Json to_json(const OutlierResult& result) {
  Json rows = Json::array();
  for (const OutlierRow& row : result.rows) rows.push_back(row_json(row, result.strata));
  Json json = {{"study", "outliers"},
               {"prompts", result.prompts},
               {"tokens_scored", result.tokens},
               {"share_prompts", result.share_prompts},
               {"share_tokens", result.share_tokens},
               {"tracked_tokens", result.tracked_tokens},
               {"strata", result.strata},
               {"position_bins", result.position_bins},
               {"interval", result.interval},
               {"tail", result.tail},
               {"noise_floor", result.noise_floor},
               {"detector_grade", result.detector_grade},
               {"variants", result.variants},
               {"weights", std::move(rows)},
               {"strongest", result.strongest},
               {"further", further_json(result)},
               {"labels", {{"candidates", counts_json(result.candidates)}, {"controls", counts_json(result.controls)}}},
               {"quantization", shares_json(result)}};
  put(json, result);
  return json;
}

std::string to_csv(const OutlierResult& result) {
  constexpr const char* kMetrics[] = {"n_tokens",    "mean_kl",     "tail_cvar_kl", "top_token_flip_rate", "mean_logit_margin_change",
                                      "teacher_ppl", "student_ppl", "delta_ppl",    "relative_ppl_change"};
  std::string csv =
      "index,kind,source,under,listed,label,tensor,layer,role,row,column,weight,robust_score,row_norm,column_norm,activation,target,"
      "match_distance,mean_kl_low,mean_kl_high,below_floor,joint_interaction,joint_interaction_low,joint_interaction_high,partner,"
      "max_stability,max_stability_uncentred";
  for (const char* metric : kMetrics) csv += std::string(",") + metric;
  for (const std::string& stratum : result.strata)
    for (const char* metric : kMetrics) csv += "," + quoted(stratum + "_" + metric);
  csv += '\n';
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const OutlierRow& row = result.rows[i];
    const auto optional_number = [](const std::optional<double>& value) { return value ? number(*value) : std::string(); };
    std::string line =
        fmt::format("{},{},{},{},{},{},{},{},{},{},{}", i, name_of(row.kind), row.source, row.under, row.listed, name_of(row.label),
                    quoted(row.place.tensor), row.layer, row.role, row.place.at.row, row.place.at.column);
    for (const double value : {row.weight, row.robust_score, row.row_norm, row.column_norm, row.activation}) line += "," + number(value);
    line += "," + (row.target ? std::to_string(*row.target) : "") + "," + number(row.match_distance) + "," + number(row.kl.low) + "," +
            number(row.kl.high) + (row.below_floor ? ",true" : ",false");
    line += row.interaction ? fmt::format(",{},{},{},{}", number(row.interaction->value), number(row.interaction->low),
                                          number(row.interaction->high), row.partner.value_or(0))
                            : ",,,,";
    line += "," + optional_number(row.max_stability) + "," + optional_number(row.max_stability_uncentred);
    add_behaviour(row.all, line);
    for (const Behaviour& one : row.strata) add_behaviour(one, line);
    csv += line + '\n';
  }
  return csv;
}

}  // namespace assay
