// What --json writes fits docs/schema/result.schema.json, for every command, and docs/json.md names every field of the schema.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "tests/hub/local_hub.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSchema = ASSAY_SOURCE_DIR "/docs/schema/result.schema.json";

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void collect_properties(const json& node, std::set<std::string>& names) {
  if (node.is_object()) {
    if (const auto found = node.find("properties"); found != node.end() && found->is_object())
      for (const auto& [name, schema] : found->items()) names.insert(name);
    for (const auto& [name, child] : node.items()) collect_properties(child, names);
  } else if (node.is_array()) {
    for (const json& child : node) collect_properties(child, names);
  }
}

TEST(Schema, EveryFieldIsDocumented) {
  std::set<std::string> names;
  collect_properties(json::parse(read(kSchema)), names);
  EXPECT_GT(names.size(), 60u);
  const std::string text = read(ASSAY_SOURCE_DIR "/docs/json.md");
  for (const std::string& name : names) {
    const std::regex word("(^|[^A-Za-z0-9_])" + name + "($|[^A-Za-z0-9_])");
    EXPECT_TRUE(std::regex_search(text, word)) << "docs/json.md does not name '" << name << "'";
  }
}

TEST(Schema, EveryCommandsResultFits) {
  const fs::path scratch = fs::path(testing::TempDir()) / "assay-schema";
  fs::remove_all(scratch);
  fs::create_directories(scratch);
  const std::string model = ASSAY_SOURCE_DIR "/demo/reference-9m";
  const std::string calibration = ASSAY_SOURCE_DIR "/demo/calibration.txt", evaluation = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  fs::create_directories(scratch / "served/models/owner/model");
  std::ofstream(scratch / "served/models/owner/model/README.md") << "# a model\n";
  const hub_test::LocalHub hub(scratch / "served", scratch / "log", {});
  ::setenv("HF_ENDPOINT", hub.endpoint().c_str(), 1);
  ::setenv("HF_HOME", (scratch / "hub").c_str(), 1);
  // In an order in which each finds what it needs.
  const std::pair<const char*, std::string> runs[] = {
      {"inspect", model},
      {"inspect", model + " --metadata --tensors"},
      {"tokenize", model + " --prompt hello"},
      {"tokenize", model + " --decode 5,6"},
      {"convert", model + " -o reference.gguf"},
      {"imatrix", model + " --text " + calibration + " --chunks 2 --show-statistics -o imatrix.gguf"},
      {"quantize", model + " --type Q4_K_M --imatrix imatrix.gguf -o q4.gguf"},
      {"quantize", model + " --type Q4_K_M --dry-run -o q5.gguf"},
      {"eval", model + " --text " + evaluation + " --chunks 2"},
      {"eval", "q4.gguf --base " + model + " --text " + evaluation + " --chunks 2"},
      {"eval", "q4.gguf --base " + model + " --tasks items.jsonl hellaswag.txt"},
      {"probe", model + " --variants " ASSAY_SOURCE_DIR "/demo/variants.yaml --text " + evaluation + " --chunks 1"},
      {"probe", model + " --variants " ASSAY_SOURCE_DIR "/demo/variants.yaml --name \"block 3 at Q2_K\" --write edited.gguf"},
      {"study", "qpsa q4.gguf --text " + evaluation + " --max-tokens 64 --samples-per-matrix 1 --layers 0-3 --k 1 --quick"},
      {"study", "pqi " + model + " --text " + evaluation +
                    " --ctx 32 --chunks 2 --types Q2_K --layers 0-1 --intervals 2 --rules midpoint --results pqi"},
      {"study", "attention " + model + " --text " + evaluation + " --ctx 32 --chunks 2 --quick --ranks 4 --sets together,alone,heads"},
      {"study", "outliers " + model + " --config outliers.yaml --layers 0-1 --quick --results outliers"},
      {"study", "proxies " + model + " --text " + evaluation + " --ctx 32 --chunks 1 --tasks items.jsonl --quick --layers 0-1"},
      {"quantize", model + " --method awq --type Q4_0 --calibration " + calibration + " --ctx 64 --chunks 2 -o awq.gguf"},
      {"study", "awq " + model + " --text " + evaluation + " --calibration " + calibration + " --ctx 32 --chunks 2 --quick --results awq"},
      {"study", "rfic " + model + " --text " + evaluation + " --calibration " + calibration +
                    " --ctx 32 --chunks 2 --quick --config rfic.yaml --results rfic"},
      {"sweep", model + " --text " + evaluation + " --chunks 1 --types Q2_K --by layer"},
      {"score", model + " --text " + calibration + " --ctx 64 --chunks 1 --types Q4_K,Q6_K --json table.json"},
      {"score", model + " --scores zd,kurt_boost --by layer"},
      {"score", model + " --scores zd,weight_norm --weights weights"},
      {"score", "--list"},
      {"compare", model + " --text " + evaluation +
                      " --chunks 1 --ctx 128 --types Q4_K --scores random,size,curvature --truth damage,removal,joint,plan"
                      " --recipes 9 --sizes 4.6"},
      {"download", "owner/model README.md"},
      {"plan", model + " --table table.json --bpw 5.5"},
      {"plan", model + " --published kld_results.csv --group0 group0.csv --bpw 5"},
      {"plan", model + " --table table.json --frontier"},
      {"plan", model + " --table table.json --vram 64MiB --context 512 --device-size ffn_=6MiB"},
      {"recipe", "convert q4.gguf recipe.yaml --to yaml --model " + model},
      {"recipe", "show recipe.yaml --model " + model},
      {"recipe", "diff q4.gguf reference.gguf --table table.json --model " + model},
      {"optimize", model + " --like Q4_K_M --calibration " + calibration + " --evaluation " + evaluation +
                       " --ctx 64 --chunks 2 --types Q3_K,Q4_K,Q6_K --codes feedback --guard " + calibration + " -o best.gguf"},
      {"optimize", model + " --like Q3_K_M --calibration " + calibration + " --evaluation " + evaluation +
                       " --ctx 64 --chunks 4 --types Q2_K,Q4_K,Q6_K --codes nearest --refine 12 --guard-margin 0 --guard " + calibration +
                       " -o refined.gguf"},
      {"optimize", model + " --like Q3_K_M --calibration " + calibration + " --evaluation " + evaluation +
                       " --ctx 64 --chunks 1 --types Q2_K,Q4_K,Q6_K --codes nearest --solver evopress --generations 1 --offspring 4" +
                       " -o searched.gguf"},
      {"report", "table.json -o page.html --figures figures"},
      {"eval", model + " --text " + evaluation + " --chunks 2 --store store"},
      {"status", "--store store --prune 30d"},
      {"export", "--store store"},
  };
  std::ofstream(scratch / "kld_results.csv") << "QTYPE,blk.0.attn_q.weight,blk.3.ffn_up.weight\nq3_K,0.01,0.02\nq6_K,0.002,0.005\n";
  std::ofstream(scratch / "items.jsonl")
      << "{\"context_options\": [\"She ran so she\", \"She ran so he\"], \"continuation\": \"won.\", \"gold\": 0}\n";
  std::ofstream(scratch / "hellaswag.txt") << "Running: She ran.\n1\nShe slept.\nShe won.\nIt rained.\nNobody came.\n";
  std::ofstream(scratch / "group0.csv") << "QTYPE,group0\nq3_K,0.3\nq6_K,0.05\n";
  std::ofstream(scratch / "rfic.yaml") << "layers: 2-5\nroles: [ffn_down, ffn_up]\ngroup: 32\nrules: v0,A,B,C\nruleset: v0,A,B,C\n";
  std::ofstream(scratch / "outliers.yaml") << "{strata: [chat, math], max_tokens: 16, robust: 3, walk: 4, controls: 1, strongest: 1, "
                                              "scales: [2], sets: [2], share_types: [Q4_K], share_k: [1, 100]}";
  std::vector<std::string> arguments = {kSchema};
  std::set<std::string> covered;
  int number = 0;
  const bool has_page = fs::exists(fs::path(ASSAY_PROGRAM).parent_path() / "share/report.html");  // not where built without node
  for (const auto& [command, options] : runs) {
    if (command == std::string("report") && !has_page) {
      covered.insert(command);
      continue;
    }
    const std::string output = (scratch / (std::to_string(number++) + ".json")).string();
    // A table that a later run reads keeps its name; it is checked too.
    const bool named = options.find("--json") != std::string::npos, stored = options.find("--store") != std::string::npos;
    const auto run = interop::run_shell("cd " + interop::shell_quoted(scratch.string()) + " && " + interop::shell_quoted(ASSAY_PROGRAM) +
                                        " " + command + " " + options + (named ? "" : " --json " + interop::shell_quoted(output)) +
                                        " --quiet" + (stored ? "" : " --store none"));
    EXPECT_EQ(run.exit_code, 0) << command << " " << options << "\n" << run.output;
    arguments.push_back(named ? (scratch / "table.json").string() : output);
    covered.insert(command);
  }
  const json schema = json::parse(read(kSchema));
  for (const json& command : schema["properties"]["command"]["enum"])
    EXPECT_TRUE(covered.contains(command)) << command << " is not checked";
  const auto checked = interop::run_python({"jsonschema"}, "check_schema.py", arguments);
  EXPECT_EQ(checked.exit_code, 0) << checked.output;

  // The check itself can fail: an unknown field, a missing one, a wrong type.
  json broken = json::parse(read(arguments[1]));
  broken["result"]["surprise"] = 1;
  broken["run"].erase("host");
  broken["result"]["parameters"] = "many";
  std::ofstream(scratch / "broken.json") << broken;
  const auto refused = interop::run_python({"jsonschema"}, "check_schema.py", {kSchema, (scratch / "broken.json").string()});
  EXPECT_EQ(refused.exit_code, 1);
  for (const char* word : {"surprise", "host", "many"}) EXPECT_NE(refused.output.find(word), std::string::npos) << refused.output;
  fs::remove_all(scratch);
}

}  // namespace
}  // namespace assay
