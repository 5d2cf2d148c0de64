// Others' parts played from our own measurements, as a user runs them: the GGUF tool suite's tables, PR 15550's score, others' task scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/program.h"
#include "tests/file/test_files.h"

namespace assay::cli_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_files::get_file;
using testing_files::put_file;

const std::string kDemo = "demo/reference-9m", kText = " --text demo/evaluation.txt --ctx 64 --chunks 2";

TEST(Peers, ASweepBecomesTheSuitesTables) {
  const testing_files::ScratchDirectory scratch;
  const std::string store = " --store " + (scratch / "store"), tables = scratch / "tables";
  const json sweep = result("sweep " + kDemo + kText + " --types Q4_0,Q8_0 --whole" + store);
  ASSERT_EQ(sweep["whole"].size(), 2u);
  // All tensors at 4 bits hurt more than any alone, and more than at 8.
  const double whole = sweep["whole"][0]["damage"];
  EXPECT_GT(whole, sweep["whole"][1]["damage"].get<double>());
  for (const json& row : sweep["table"]["rows"]) EXPECT_LT(row["cells"][0]["damage"].get<double>(), whole);
  EXPECT_EQ(sweep["table"]["model_sha256"].get<std::string>().size(), 64u);
  const json files = result("export --format thireus -o " + tables + store);
  ASSERT_EQ(files["files"].size(), 2u);
  EXPECT_THAT(get_file(tables + "/group0/kld_results.csv"), testing::StartsWith("QTYPE,group0\nq4_0,"));
  const std::string plan = "plan " + kDemo + " --published " + tables + "/kld_results.csv --group0 " + tables +
                           "/group0/kld_results.csv --types q4_0,q8_0 --bpw 6 --objective rank-1 --solver greedy";
  const json one = result(plan), two = result(plan + " --exponent 2");
  EXPECT_EQ(one["objective"], "published:rank-1");
  EXPECT_LE(one["padded_bytes"], one["budget_bytes"]);
  EXPECT_GE(one["gap"], 0);
  EXPECT_GE(two["predicted_kl"].get<double>(), two["bound"].get<double>());
  const auto refused = run("sweep " + kDemo + kText + " --types Q4_0 --whole --store none --base-recipe demo/none");
  EXPECT_NE(refused.exit_code, 0);
}

TEST(Peers, TargetBpwIsPlannedByItsOwnScore) {
  const testing_files::ScratchDirectory scratch;
  const std::string table = scratch / "table.json";
  result("score " + kDemo + kText + " --scores target_bpw --types Q4_0,Q5_0,Q8_0 --store none --as-table target_bpw --table-output " +
         table);
  const json made = json::parse(get_file(table));
  EXPECT_EQ(made["estimator"], "target_bpw");
  EXPECT_EQ(made["unit"], "rows");
  // Every matrix has a row, the embedding and the output too; more bits, less error.
  const json inspected = result("plan " + kDemo + " --table " + table + " --bpw 6 --solver lagrangian-fill");
  EXPECT_EQ(inspected["recipe"].size(), made["rows"].size());
  EXPECT_THAT(inspected["warnings"][0].get<std::string>(), HasSubstr("target_bpw is in rows, not in nats"));
  for (const json& row : made["rows"]) EXPECT_GT(row["cells"][0]["damage"].get<double>(), row["cells"][2]["damage"].get<double>());
}

TEST(Peers, TaskScoresStandBesidePerplexityAndABrokenFileCostsNothing) {
  const testing_files::ScratchDirectory scratch;
  put_file(scratch / "a.json", R"({"results": {"arc": {"acc,none": 0.5, "acc_stderr,none": 0.25}}, "model_name": "m"})");
  put_file(scratch / "b.json", R"({"results": {"arc": {"acc": 0.75}}})");
  const std::string eval = "eval " + kDemo + kText + " --store none --lm-eval " + (scratch / "a.json");
  const json seen = result(eval + " --lm-eval " + (scratch / "b.json"));
  ASSERT_EQ(seen["lm_eval"].size(), 2u);
  EXPECT_EQ(seen["lm_eval"][0]["standard_error"], 0.25);
  EXPECT_EQ(seen["lm_eval"][0]["model"], "m");
  EXPECT_TRUE(seen["lm_eval"][1]["standard_error"].is_null());
  EXPECT_GT(seen["ppl"], 1);
  put_file(scratch / "bad.json", R"({"results": {"arc": {"acc,none": "high"}}})");
  const auto refused = run("eval " + kDemo + kText + " --store none --lm-eval " + (scratch / "bad.json"));
  EXPECT_EQ(refused.exit_code, 65);
  EXPECT_THAT(refused.output, HasSubstr("results.arc.acc,none"));
}

}  // namespace
}  // namespace assay::cli_test
