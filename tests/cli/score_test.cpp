// assay score with scores that run passes of their own: it says what they take, and what the budget does not allow is left out.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <tuple>

#include "tests/cli/program.h"

namespace assay {
namespace {

using nlohmann::json;

const json& score_named(const json& result, const std::string& name) {
  for (const json& score : result["scores"])
    if (score["name"] == name) return score;
  ADD_FAILURE() << name;
  return result;
}

TEST(ScoreCommand, SaysWhatPassesTakeAndObeysTheBudget) {
  const auto dir = cli_test::scratch("score-passes");
  const std::string file = (dir / "result.json").string();
  const auto done = cli_test::run(
      "score demo/reference-9m -f demo/evaluation.txt --chunks 2 --ctx 64 --scores hessian_step,hawq,delta_loss,pqi,pqi_signed "
      "--types Q4_K --budget 66 --store none --json " +
      file);
  ASSERT_EQ(done.exit_code, 0) << done.output;
  // Two windows and one type: one gradient, four, five and two losses, none of its own, and too little for the rest.
  for (const char* line : {"delta_loss: takes 6 forwards", "hessian_step: takes 24 forwards", "pqi: takes 34 forwards",
                           "pqi_signed: takes 0 forwards", "hawq: left out: takes 96 forwards of a window, 2 of --budget are left"})
    EXPECT_NE(done.output.find(line), std::string::npos) << line << "\n" << done.output;
  const json result = json::parse(std::ifstream(file))["result"];
  for (const char* name : {"delta_loss", "hessian_step", "pqi", "pqi_signed"}) {
    const json& score = score_named(result, name);
    ASSERT_EQ(score["rows"].size(), 85u) << name;
    for (const json& row : score["rows"]) EXPECT_EQ(row["cells"].size(), 1u) << name << " " << row["name"];
  }
  EXPECT_EQ(score_named(result, "pqi")["forward_equivalents"], 34);
  EXPECT_EQ(score_named(result, "hawq")["rows"].size(), 0u);
  EXPECT_NE(score_named(result, "pqi")["notes"].dump().find("closure error"), std::string::npos);
}

// A broken weight is found and named before any score is made, and none is made of a text that is too short.
TEST(ScoreCommand, RefusesWhatCannotBeScored) {
  const auto dir = cli_test::scratch("score-bad");
  std::filesystem::copy(ASSAY_SOURCE_DIR "/demo/reference-9m", dir / "broken");
  const std::string file = (dir / "broken" / "model.safetensors").string();
  uint64_t header = 0;
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  std::string text(header, ' ');
  std::ifstream in(file, std::ios::binary);
  in.seekg(sizeof header).read(text.data(), static_cast<std::streamsize>(header));
  const json tensor = json::parse(text)["model.layers.3.mlp.up_proj.weight"];
  ASSERT_EQ(tensor["dtype"], "BF16");
  const uint16_t nan = 0x7fc0;
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(sizeof header + header + tensor["data_offsets"][0].get<uint64_t>() + 2000));
  out.write(reinterpret_cast<const char*>(&nan), sizeof nan);
  out.close();
  std::ofstream(dir / "empty.txt");
  std::ofstream(dir / "short.txt") << "not much";
  const std::string demo = "demo/reference-9m", few = " -f demo/evaluation.txt --chunks 4 --types Q4_K";
  const std::tuple<std::string, int, std::string> cases[] = {
      {(dir / "broken").string() + " --scores kurtosis", 65, "'blk.3.ffn_up.weight' holds NaN at weight 1,000"},
      {(dir / "broken").string() + few + " --scores taylor2_fisher", 65, "'blk.3.ffn_up.weight' holds NaN"},
      {demo + " -f " + (dir / "empty.txt").string() + " --scores bi", 65, "text has 0 tokens"},
      {demo + " -f " + (dir / "short.txt").string() + " --scores bi", 65, "one window needs 512"},
      {demo + few + " --scores taylor2_fisher --memory 20MiB", 64, "16.00 MiB are needed"},
      {demo + few + " --scores bi --budget -1", 64, "--budget"},
  };
  for (const auto& [arguments, code, words] : cases) {
    const auto done = cli_test::run("score " + arguments + " --store none --quiet");
    EXPECT_EQ(done.exit_code, code) << arguments << "\n" << done.output;
    EXPECT_NE(done.output.find(words), std::string::npos) << arguments << "\n" << done.output;
  }
}

TEST(ScoreCommand, WritesValuesOfSingleWeightsAndRefusesToOverwrite) {
  const auto dir = cli_test::scratch("score-weights");
  const std::string weights = (dir / "weights").string(), file = (dir / "result.json").string();
  const std::string command =
      "score demo/reference-9m --scores weight_norm,kurtosis,weight_error --types Q4_K --store none --weights " + weights;
  const auto done = cli_test::run(command + " --json " + file);
  ASSERT_EQ(done.exit_code, 0) << done.output;
  EXPECT_NE(done.output.find("no values of single weights: kurtosis"), std::string::npos) << done.output;
  EXPECT_NE(done.output.find("in top 5.25 %"), std::string::npos) << done.output;
  const json result = json::parse(std::ifstream(file))["result"]["weights"];
  EXPECT_EQ(result["without"], json::array({"kurtosis"}));
  ASSERT_EQ(result["files"].size(), 2u);
  EXPECT_EQ(result["files"][0]["path"], weights + "/weight_norm.safetensors");
  EXPECT_TRUE(result["files"][0]["type"].is_null());
  EXPECT_EQ(result["files"][1]["path"], weights + "/weight_error.Q4_K.safetensors");
  for (const json& one : result["files"]) {
    EXPECT_EQ(one["tensors"], 85);
    EXPECT_EQ(one["bytes"], std::filesystem::file_size(one["path"].get<std::string>()));
    EXPECT_GT(one["top_shares"][2]["share"], 0.0525);
  }
  const auto again = cli_test::run(command);
  EXPECT_EQ(again.exit_code, 64);
  EXPECT_NE(again.output.find("weight_norm.safetensors exists"), std::string::npos) << again.output;
  EXPECT_EQ(cli_test::run(command + " --force").exit_code, 0);
}

TEST(ScoreCommand, ListsScoresWithPassesOfTheirOwn) {
  const json result = cli_test::result("score --list");
  for (const std::string name :
       {"hessian_step", "hessian_layer", "hawq", "delta_loss", "pqi", "pqi_signed", "pqi_per_step", "pqi_per_sequence"}) {
    const auto& known = result["known"];
    EXPECT_TRUE(std::any_of(known.begin(), known.end(), [&](const json& one) { return one["name"] == name; })) << name;
  }
}

}  // namespace
}  // namespace assay
