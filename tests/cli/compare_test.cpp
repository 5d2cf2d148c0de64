// assay compare and assay score: what a user asks for and gets refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/cli/program.h"

namespace assay {
namespace {

using cli_test::run;
using nlohmann::json;

// A table of one-at-a-time damages of twelve layers as others publish them: ffn_down is worse than attn_q everywhere, early layers worse.
std::filesystem::path published() {
  const auto dir = cli_test::scratch("compare");
  std::ofstream table(dir / "kld_results.csv"), map(dir / "tensors.bf16.map");
  std::string header = "QTYPE", values = "q4_K";
  for (int layer = 0; layer < 12; ++layer) {
    const std::string block = "blk." + std::to_string(layer);
    const std::pair<std::string, int> tensors[] = {{block + ".attn_q.weight", 1}, {block + ".ffn_down.weight", 4}};
    for (const auto& [tensor, size] : tensors) {
      header += "," + tensor;
      values += "," + std::to_string(0.001 * size * (20 - layer));
      map << "f.gguf:" << std::string(64, 'a') << ":" << tensor << ":shape=(256, " << 256 * size << "):dtype=bf16:elements=" << 65536 * size
          << ":bytes=" << 131072 * size << "\n";
    }
  }
  table << header << "\n" << values << "\n";
  return dir;
}

TEST(CompareCommand, JudgesNamesBySomebodyElsesNumbers) {
  const auto dir = published();
  const std::string files = "--published " + (dir / "kld_results.csv").string() + " --map " + (dir / "tensors.bf16.map").string();
  const json result = cli_test::result("compare " + files + " --results " + (dir / "results").string());
  ASSERT_EQ(result["truths"].size(), 1u);
  EXPECT_EQ(result["truths"][0]["items"], 24);
  for (const json& one : result["truths"][0]["judgements"]) {
    if (one["score"] == "size") {
      EXPECT_GT(one["within_type"]["spearman"]["value"], 0.8);
    }
    if (one["score"] == "early") {
      EXPECT_DOUBLE_EQ(one["within_role"]["spearman"]["value"].get<double>(), 1);
    }
  }
  for (const char* name : {"report.json", "report.txt", "damage.svg", "damage.png"})
    EXPECT_TRUE(std::filesystem::exists(dir / "results" / name));
  // The results of an earlier run are not overwritten, and that is said before any work.
  const auto again = run("compare " + files + " --results " + (dir / "results").string());
  EXPECT_EQ(again.exit_code, 64);
  EXPECT_NE(again.output.find("report.json exists"), std::string::npos) << again.output;
}

TEST(CompareCommand, RefusesWhatItCannotDo) {
  const auto dir = cli_test::scratch("compare-refused");
  std::ofstream(dir / "list.json") << "[1, 2]";
  std::ofstream(dir / "other.json") << R"({"mine": {"model.layers.0.mlp": 3}})";
  const std::string small = "compare demo/reference-9m --text demo/evaluation.txt --chunks 1 --ctx 64 --types Q4_K --store none";
  const std::tuple<std::string, int, std::string> cases[] = {
      {"compare", 64, "needs a model and a text"},
      {"compare demo/reference-9m", 64, "needs a model and a text"},
      {"compare --published x.csv", 64, "--map"},
      {small + " --truth damage,fame", 64, "some of damage, removal, joint, plan"},
      {small + " --sizes 4,x", 64, "bits per weight"},
      {small + " --scores sizes", 64, "none named sizes"},
      {small + " --given " + (dir / "list.json").string(), 65, "is no JSON object"},
      {small + " --given " + (dir / "other.json").string(), 65, "names no tensor of this model"},
      {"score demo/reference-9m --scores bi", 64, "score bi needs a text"},
      {"score demo/reference-9m --scores zd --types Q9_K", 64, "type 'Q9_K'"},
      {"score", 64, "no model is named"},
  };
  for (const auto& [command, code, words] : cases) {
    const auto done = run(command);
    EXPECT_EQ(done.exit_code, code) << command << "\n" << done.output;
    EXPECT_NE(done.output.find(words), std::string::npos) << command << "\n" << done.output;
  }
}

// A perfect score handed in from outside wins; its name and values are the user's.
TEST(CompareCommand, JudgesAGivenScore) {
  const auto dir = cli_test::scratch("compare-given");
  const std::string small = " demo/reference-9m --text demo/evaluation.txt --chunks 1 --ctx 64 --types Q3_K --store none";
  const json measured = cli_test::result("sweep" + small);
  json given;
  for (const json& row : measured["table"]["rows"]) given["mine"][row["name"].get<std::string>()] = row["cells"][0]["damage"];
  std::ofstream(dir / "given.json") << given;
  const json result = cli_test::result("compare" + small + " --scores random --given " + (dir / "given.json").string());
  const json& judged = result["truths"][0]["judgements"][1];
  EXPECT_EQ(judged["score"], "mine");
  EXPECT_DOUBLE_EQ(judged["within_type"]["spearman"]["value"].get<double>(), 1);
  EXPECT_EQ(judged["verdict"], "informative");

  // The sweep's table is the same truth without measuring again; another model's is none.
  std::ofstream(dir / "measured.json") << measured["table"];
  const std::string command = "compare" + small + " --scores random,size --measured ";
  const json known = cli_test::result(command + (dir / "measured.json").string() + " --results " + (dir / "results").string());
  EXPECT_EQ(known["truths"][0]["items"], result["truths"][0]["items"]);
  const json& random_here = known["truths"][0]["judgements"][0]["within_type"]["spearman"]["value"];
  EXPECT_EQ(random_here, result["truths"][0]["judgements"][0]["within_type"]["spearman"]["value"]);
  std::ifstream csv(dir / "results" / "scores.csv");
  std::string header, first, second, rest;
  std::getline(csv, header), std::getline(csv, first), std::getline(csv, second);
  EXPECT_TRUE(header.starts_with("truth,score,verdict,items,within_type,")) << header;
  EXPECT_TRUE(first.starts_with("damage,random,")) << first;
  EXPECT_TRUE(second.starts_with("damage,size,")) << second;
  EXPECT_EQ(std::count(first.begin(), first.end(), ','), std::count(header.begin(), header.end(), ','));
  EXPECT_FALSE(std::getline(csv, rest)) << rest;
  json other = measured["table"];
  other["rows"][0]["tensors"][0] = "blk.99.ffn_up.weight";
  std::ofstream(dir / "other.json") << other;
  const auto refused = run(command + (dir / "other.json").string());
  EXPECT_EQ(refused.exit_code, 65) << refused.output;
  EXPECT_NE(refused.output.find("one tensor of this model in each row"), std::string::npos) << refused.output;
}

// One line per value, the matrices' names as they are.
TEST(ScoreCommand, ExportsItsValuesAsCsv) {
  const auto dir = cli_test::scratch("score-csv");
  const std::string store = " --store " + (dir / "store").string();
  const json made = cli_test::result("score demo/reference-9m --scores size,weight_error --types Q4_K,Q8_0" + store);
  const auto csv = run("export --format csv" + store);
  ASSERT_EQ(csv.exit_code, 0) << csv.output;
  size_t values = 0;
  for (const json& score : made["scores"])
    for (const json& row : score["rows"]) values += row["cells"].size();
  EXPECT_EQ(static_cast<size_t>(std::count(csv.output.begin(), csv.output.end(), '\n')), values + 1) << csv.output.substr(0, 300);
  EXPECT_NE(csv.output.find("size,weights,blk.0.attn_q.weight,"), std::string::npos) << csv.output.substr(0, 300);
}

}  // namespace
}  // namespace assay
