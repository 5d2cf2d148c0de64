// One result of every kind that the report page has a view for, small and made up, with the fields that docs/json.md names.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/report/example_studies.h"

namespace assay::examples {

inline Json envelope(const std::string& command, Json result) {
  return {{"assay", "0.1.0"},
          {"command", command},
          {"inputs", Json::array({{{"path", "demo/model.gguf"}, {"sha256", std::string(64, 'a')}}})},
          {"options", {{"text", "demo/evaluation.txt"}, {"chunks", "4"}}},
          {"noise_floor", 1e-9},
          {"result", std::move(result)},
          {"run", {{"seconds", 12.5}, {"peak_memory_bytes", 1 << 30}, {"host", "here"}, {"threads", 2}}}};
}

inline std::vector<std::string> tensor_names(int layers) {
  std::vector<std::string> names = {"token_embd.weight"};
  for (int layer = 0; layer < layers; ++layer)
    for (const char* role : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      names.push_back("blk." + std::to_string(layer) + "." + role + ".weight");
  return names;
}

// Damage that falls with the type's place and varies over tensors.
inline Json damage_table(int layers, const std::vector<std::string>& types) {
  Json rows = Json::array();
  double phase = 0;
  for (const std::string& name : tensor_names(layers)) {
    Json cells = Json::array();
    double size = 0.05 * (1.5 + std::sin(phase += 0.7));
    for (const std::string& type : types) {
      cells.push_back({{"type", type}, {"damage", size}, {"standard_error", size / 20}, {"below_floor", size < 1e-6}});
      size *= 0.2 + 0.1 * std::sin(phase * static_cast<double>(cells.size() + 1));
    }
    rows.push_back({{"name", name}, {"tensors", {name}}, {"cells", std::move(cells)}});
  }
  return {{"model_sha256", std::string(64, 'b')}, {"estimator", "measured"}, {"noise_floor", 1e-9}, {"rows", std::move(rows)}};
}

inline Json recipe(int layers) {
  Json types = Json::object();
  size_t i = 0;
  for (const std::string& name : tensor_names(layers)) types[name] = std::vector{"Q3_K", "Q4_K", "Q6_K"}[i++ % 3];
  return types;
}

inline Json score_result() {
  Json rows = Json::array();
  double value = 1;
  for (const std::string& name : tensor_names(3))
    rows.push_back({{"name", name},
                    {"tensors", {name}},
                    {"elements", 4096},
                    {"cells", Json::array({{{"type", nullptr}, {"value", value *= -1.3}, {"standard_error", 0}}})}});
  return {{"scores", Json::array({{{"name", "weight_norm"},
                                   {"what", "norm of the weights"},
                                   {"estimates", "quantization"},
                                   {"unit", "1"},
                                   {"higher_is_worse", true},
                                   {"finest", "tensor"},
                                   {"pooling", "sum"},
                                   {"needs_text", false},
                                   {"needs_gradients", false},
                                   {"source", "control"},
                                   {"forward_equivalents", 0.0},
                                   {"notes", {"a note"}},
                                   {"rows", std::move(rows)}}})},
          {"tokens_scored", 0},
          {"windows", 0},
          {"documents", 0},
          {"interval", ""}};
}

inline Json optimize_result() {
  const auto file = [](const char* name, double kl) {
    return Json{{"name", name}, {"bytes", 6258368}, {"bpw", 5.2}, {"measured_kl", kl}, {"measured_kl_ci95", {kl * 0.97, kl * 1.03}},
                {"ppl", 91.4}};
  };
  return {{"bytes", 6258368},
          {"bpw", 5.2},
          {"recipe", recipe(3)},
          {"predicted_kl", 0.0015},
          {"measured_kl", 0.0019},
          {"measured_kl_ci95", {0.0018, 0.0020}},
          {"ppl", 91.1},
          {"base_ppl", 90.9},
          {"preset", file("Q4_K_M", 0.0066)},
          {"larger_preset", file("Q4_1", 0.0088)},
          {"preset_codes", nullptr},
          {"change", -0.71},
          {"change_ci95", {-0.72, -0.70}},
          {"budget_bytes", 6258368},
          {"bound", 0.0015},
          {"gap", 0.0},
          {"guards", Json::array()},
          {"accepted", true},
          {"tokens_scored", 23970},
          {"windows", 94},
          {"documents", 94},
          {"interval", "95 % bootstrap over documents"},
          {"warnings", {"a warning"}}};
}

inline Json compare_result() {
  const auto agreement = [](double rho) {
    return Json{{"spearman", {{"value", rho}, {"ci95_blocks", {rho - 0.2, rho + 0.1}}, {"ci95_documents", {rho - 0.1, rho + 0.05}}}},
                {"kendall_tau_b", rho},
                {"top_overlap", 0.5}};
  };
  Json judgements = Json::array();
  for (const auto& [name, rho] : {std::pair{"random", -0.05}, {"curvature", 0.8}, {"size", 0.2}})
    judgements.push_back({{"score", name},
                          {"verdict", rho > 0.5 ? "informative" : "noise"},
                          {"items", 84},
                          {"overall", agreement(rho)},
                          {"within_type", agreement(rho)},
                          {"given_size", agreement(rho)["spearman"]},
                          {"p_holm", 0.01},
                          {"p_given_size_holm", 0.02},
                          {"smallest_detectable", 0.3}});
  return {{"scores", Json::array({{{"name", "random"}, {"estimates", "control"}, {"unit", "1"}}})},
          {"truths", Json::array({{{"truth", "damage"}, {"items", 84}, {"below_floor", 0}, {"judgements", std::move(judgements)}}})},
          {"plans", Json::array({{{"score", "curvature"},
                                  {"bpw", 4.5},
                                  {"bytes", 5000000},
                                  {"mean_kl", 0.01},
                                  {"mean_kl_ci95", {0.009, 0.011}},
                                  {"regret", 0.1},
                                  {"regret_ci95", {0.0, 0.2}}}})},
          {"tokens_scored", 1020},
          {"notes", Json::array()}};
}

inline Json frontier_result() {
  Json points = Json::array();
  for (int i = 0; i < 30; ++i)
    points.push_back({{"bytes", 4000000 + 100000 * i},
                      {"bpw", 3 + 0.1 * i},
                      {"damage", 0.1 * std::exp(-0.2 * i)},
                      {"upgrade", {{"row", "blk.0.ffn_up.weight"}, {"from", "Q3_K"}, {"to", "Q4_K"}, {"bytes", 100000}, {"saved", 0.01}}}});
  return {{"frontier", std::move(points)}};
}

inline Json plan_result() {
  return {{"recipe", recipe(3)},
          {"bytes", 5000000},
          {"budget_bytes", 5100000},
          {"bpw", 4.4},
          {"solver", "exact"},
          {"predicted_kl", 0.004},
          {"bound", 0.004},
          {"gap", 0.0},
          {"exact", true},
          {"per_mib", 0.0007},
          {"next", Json::array({{{"row", "blk.1.attn_v.weight"}, {"from", "Q3_K"}, {"to", "Q4_K"}, {"bytes", 8192}, {"saved", 1e-4}}})},
          {"limits", Json::array()}};
}

inline Json probe_result() {
  Json variants = Json::array();
  for (int i = 0; i < 40; ++i)
    variants.push_back({{"name", "block " + std::to_string(i) + " at Q2_K"},
                        {"hash", std::string(64, 'c')},
                        {"mean_kl", 0.1 / (i + 1)},
                        {"mean_kl_ci95", {0.09 / (i + 1), 0.11 / (i + 1)}},
                        {"ln_ppl_ratio", 0.01 - 0.001 * i},
                        {"ln_ppl_ratio_ci95", {0.0, 0.02}},
                        {"flip_rate", 0.02},
                        {"flip_rate_ci95", {0.01, 0.03}},
                        {"below_floor", false},
                        {"place", i + 1},
                        {"windows", 8}});
  return {{"variants", std::move(variants)}, {"groups", Json::array()}, {"notes", Json::array()}, {"base_nll", 4.5}};
}

inline Json study_result() {
  return {{"study", "something new"},
          {"statistics", Json::array({{{"name", "share"}, {"value", 0.79}, {"ci95", {0.71, 0.86}}}})},
          {"verdicts", Json::array({{{"name", "large enough"},
                                     {"statistic", "share"},
                                     {"at_least", 0.8},
                                     {"outcome", "inconclusive"},
                                     {"value", 0.79},
                                     {"ci95", {0.71, 0.86}}},
                                    {{"name", "small enough"},
                                     {"statistic", "share"},
                                     {"below", 1.2},
                                     {"outcome", "passed"},
                                     {"value", 0.79},
                                     {"ci95", nullptr}}})},
          {"outcome", "inconclusive"},
          {"criteria_sha256", std::string(64, 'd')},
          {"post_hoc", false},
          {"notes", Json::array()},
          {"table", Json::array({{{"layer", 0}, {"effect", 0.5}, {"effect_ci95", {0.4, 0.6}}},
                                 {{"layer", 1}, {"effect", 0.2}, {"effect_ci95", {0.1, 0.3}}}})}};
}

inline Json eval_result() {
  return {{"ppl", 91.1},         {"ppl_ci95", {90.0, 92.0}},
          {"nll", 4.5},          {"tokens_scored", 1020},
          {"base_ppl", 90.9},    {"ln_ppl_ratio", 0.002},
          {"mean_kl", 0.0019},   {"mean_kl_ci95", {0.0018, 0.0020}},
          {"flip_rate", 0.0123}, {"percentiles", {{"kl", {{"0", 0.0}, {"50", 0.001}, {"100", 0.3}}}}}};
}

// Name of a page -> its result.
inline std::vector<std::pair<std::string, Json>> all_results() {
  std::vector<std::pair<std::string, Json>> results = {
      {"sweep", envelope("sweep", {{"table", damage_table(6, {"Q2_K", "Q4_K", "Q8_0"})}, {"tokens_scored", 510}, {"windows", 2}})},
      {"score", envelope("score", score_result())},
      {"optimize", envelope("optimize", optimize_result())},
      {"compare", envelope("compare", compare_result())},
      {"frontier", envelope("plan", frontier_result())},
      {"plan", envelope("plan", plan_result())},
      {"probe", envelope("probe", probe_result())},
      {"study", envelope("study", study_result())},
      {"eval", envelope("eval", eval_result())},
      {"moves",
       envelope(
           "recipe",
           {{"first", {{"tensor_bytes", 6000000}, {"bpw", 5.2}, {"types", {{"Q4_K", {{"tensors", 2}, {"weights", 10}, {"bytes", 5}}}}}}},
            {"second", {{"tensor_bytes", 5000000}, {"bpw", 4.4}, {"types", {{"Q3_K", {{"tensors", 2}, {"weights", 10}, {"bytes", 4}}}}}}},
            {"bytes", -1000000},
            {"changes", Json::array({{{"tensor", "blk.0.attn_q.weight"}, {"from", "Q4_K"}, {"to", "Q3_K"}, {"bytes", -100}}})},
            {"moves", Json::array({{{"role", "attn_q"}, {"layer", 0}, {"tensors", 1}, {"bytes", -100}, {"damage", 0.01}},
                                   {{"role", "output"}, {"layer", -1}, {"tensors", 1}, {"bytes", 50}, {"damage", -0.001}}})},
            {"damage", 0.009}})},
      {"unknown", envelope("inspect", {{"architecture", "llama"},
                                       {"tensors", Json::array({{{"name", "a"}, {"shape", {2, 3}}}, {{"name", "b"}, {"shape", {4}}}})},
                                       {"types", {{"Q4_K", {{"weights", 10}, {"bytes", 5}}}}}})}};
  for (auto& [name, result] : study_results()) results.emplace_back(name, envelope("study", std::move(result)));
  return results;
}

}  // namespace assay::examples
