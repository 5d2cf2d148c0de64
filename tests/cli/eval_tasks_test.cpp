// assay eval --tasks: what it prints, its JSON, lm-eval's keys, and what it refuses.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <tuple>

#include "tests/cli/program.h"

namespace assay {
namespace {

using nlohmann::json;

TEST(EvalTasksCommand, ReportsAccuracyMarginsAndPower) {
  const auto dir = cli_test::scratch("eval-tasks");
  const std::string choices = (dir / "choices.jsonl").string(), partial = (dir / "partial.jsonl").string();
  std::ofstream(choices) << R"({"query": "Once upon a", "choices": ["time", "green stone wall"], "gold": 0})" << "\n"
                         << R"({"query": "The sun is", "choices": ["warm.", "a fish that reads."], "gold": 0})" << "\n";
  std::ofstream(partial) << R"({"context_options": ["She was fast so she", "She was fast so he"], "continuation": "won.", "gold": 0})"
                         << "\n";
  const std::string lm_eval = (dir / "lm_eval.json").string(), report = (dir / "report.json").string();
  const auto done = cli_test::run("eval demo/reference-9m --base demo/reference-9m --tasks " + choices + " " + partial +
                                  " --store none --lm-eval-json " + lm_eval + " --json " + report);
  ASSERT_EQ(done.exit_code, 0) << done.output;
  for (const char* words : {"acc_norm", "acc_bytes", "McNemar p", "with so few McNemar's test can find no change",
                            "rules of lm-evaluation-harness 0.4.13", "tokens run"})
    EXPECT_NE(done.output.find(words), std::string::npos) << words << "\n" << done.output;
  const json result = json::parse(std::ifstream(report))["result"];
  ASSERT_EQ(result["tasks"].size(), 2u);
  EXPECT_EQ(result["tasks"][0]["model"]["items"], 2);
  EXPECT_TRUE(result["tasks"][0]["model"].contains("acc_norm"));
  EXPECT_FALSE(result["tasks"][1]["model"].contains("acc_norm"));  // what is scored is the same for all options
  EXPECT_EQ(result["tasks"][0]["comparison"]["acc"]["mcnemar_p"], 1);
  EXPECT_EQ(result["tasks"][0]["comparison"]["margin_change"]["value"], 0);
  EXPECT_EQ(result["all"]["model"]["items"], 3);
  const json theirs = json::parse(std::ifstream(lm_eval));
  EXPECT_EQ(theirs["results"]["choices"]["acc,none"], result["tasks"][0]["model"]["acc"]["value"]);
  EXPECT_EQ(theirs["results"]["choices"]["acc_norm_stderr,none"], result["tasks"][0]["model"]["acc_norm"]["standard_error"]);
  EXPECT_EQ(theirs["results"]["partial"]["acc_stderr,none"], "N/A");  // of one item
  EXPECT_EQ(theirs["n-samples"]["choices"], (json{{"original", 2}, {"effective", 2}}));
  EXPECT_EQ(theirs["configs"]["choices"]["output_type"], "multiple_choice");
  for (const char* key : {"versions", "n-shot", "higher_is_better", "group_subtasks", "config"}) EXPECT_TRUE(theirs.contains(key)) << key;
}

TEST(EvalTasksCommand, RefusesWhatCannotBeScored) {
  const auto dir = cli_test::scratch("eval-tasks-bad");
  const std::string broken = (dir / "broken.jsonl").string(), good = (dir / "good.jsonl").string();
  std::ofstream(good) << R"({"query": "The sun is", "choices": ["warm.", "cold."], "gold": 0})" << "\n";
  std::ofstream(broken) << R"({"query": "The sun is", "choices": ["warm.", "cold."], "gold": 2})" << "\n";
  const std::string demo = "eval demo/reference-9m ";
  const std::tuple<std::string, int, std::string> cases[] = {
      {demo + "--tasks " + broken, 65, "line 1: gold is 2"},
      {demo + "--tasks " + (dir / "none.jsonl").string(), 64, "none.jsonl"},
      {demo + "--tasks " + good + " --text demo/evaluation.txt", 64, "--tasks goes without --text"},
      {demo + "--text demo/evaluation.txt --limit 3", 64, "--limit needs --tasks"},
      {demo + "--tasks " + good + " --bos sometimes", 64, "--bos"},
      {demo + "--tasks " + good + " --lm-eval-json " + good, 64, "exists"},
  };
  for (const auto& [arguments, code, words] : cases) {
    const auto done = cli_test::run(arguments + " --store none --quiet");
    EXPECT_EQ(done.exit_code, code) << arguments << "\n" << done.output;
    EXPECT_NE(done.output.find(words), std::string::npos) << arguments << "\n" << done.output;
  }
}

}  // namespace
}  // namespace assay
