// `assay plan` as a user runs it: whose table it is, what it is in, where its recipe came from.
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

struct PlanCommand : testing::Test {
  testing_files::ScratchDirectory scratch;
  const std::string demo = "demo/reference-9m";
  std::string table_path = scratch / "table.json";

  // The scores of the weights alone, as a table.
  json make_table() {
    result("score " + demo +
           " --scores weight_error --types Q2_K,Q4_K,Q6_K,Q5_0,Q8_0,Q4_0 --store none --as-table weight_error --table-output " +
           table_path);
    return json::parse(get_file(table_path));
  }
};

TEST_F(PlanCommand, ScoresAreTablesThatSayTheyAreNotNats) {
  const json table = make_table();
  EXPECT_EQ(table["estimator"], "weight_error");
  EXPECT_EQ(table["unit"], "weight^2");
  EXPECT_EQ(table["model_sha256"].get<std::string>().size(), 64u);
  const json plan = result("plan " + demo + " --table " + table_path + " --bpw 5 --solver lagrangian-fill");
  EXPECT_EQ(plan["unit"], "weight^2");
  ASSERT_EQ(plan["warnings"].size(), 1u);
  EXPECT_THAT(plan["warnings"][0].get<std::string>(), HasSubstr("not in nats"));
  EXPECT_GE(plan["gap"], 0);
  EXPECT_LT(plan["gap"], 0.05);
  const auto refused = run("score " + demo + " --scores kurtosis --store none --as-table kurtosis");
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.output, HasSubstr("cannot stand for damages"));
}

TEST_F(PlanCommand, ATableOfAnotherModelIsRefused) {
  json table = make_table();
  table["model_sha256"] = std::string(64, 'c');
  table["unit"] = "nats per token";
  put_file(table_path, table.dump());
  const std::string command = "plan " + demo + " --table " + table_path + " --bpw 5 -o " + (scratch / "recipe.yaml");
  const auto refused = run(command);
  EXPECT_EQ(refused.exit_code, 65);
  EXPECT_THAT(refused.output, HasSubstr("cccccccccccc"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "recipe.yaml"));
  EXPECT_THAT(result(command + " --force")["warnings"][0].get<std::string>(), HasSubstr("cccccccccccc"));
  table["model_sha256"] = "";
  put_file(table_path, table.dump());
  EXPECT_THAT(result(command + " --force")["warnings"][0].get<std::string>(), HasSubstr("names no model"));
}

TEST_F(PlanCommand, TheRecipeSaysWhereItCameFromAndQuantizeChecks) {
  json table = make_table();
  table["unit"] = "nats per token";
  put_file(table_path, table.dump());
  const std::string recipe = scratch / "recipe.yaml";
  const json plan = result("plan " + demo + " --table " + table_path + " --bpw 5 --backend cuda -o " + recipe);
  const json shown = result("recipe show " + recipe + " --model " + demo);
  EXPECT_EQ(shown["format"], "yaml");
  EXPECT_EQ(shown["about"]["model_sha256"], table["model_sha256"]);
  EXPECT_EQ(shown["about"]["file_bytes"], plan["bytes"]);
  EXPECT_EQ(shown["about"]["bound"], plan["bound"]);
  EXPECT_EQ(shown["about"]["inputs"].size(), 1u);
  const json dry = result("quantize " + demo + " --recipe " + recipe + " --dry-run");
  EXPECT_EQ(dry["bytes"], plan["bytes"]);
  // The same recipe, said to be of another model.
  std::string text = get_file(recipe);
  const std::string hash = table["model_sha256"];
  text.replace(text.find(hash), hash.size(), std::string(64, 'd'));
  put_file(recipe, text);
  const auto refused = run("quantize " + demo + " --recipe " + recipe + " --dry-run");
  EXPECT_EQ(refused.exit_code, 65) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("dddddddddddd"));
  EXPECT_EQ(run("quantize " + demo + " --recipe " + recipe + " --dry-run --force").exit_code, 0);
}

TEST_F(PlanCommand, PresetsAndBackendsByName) {
  make_table();
  const json plan = result("plan " + demo + " --table " + table_path + " --like Q4_0 --solver presets");
  EXPECT_TRUE(plan["preset"].is_string()) << plan["preset"];
  EXPECT_LE(plan["bound"], plan["predicted_kl"]);
  const auto refused = run("plan " + demo + " --table " + table_path + " --bpw 5 --backend opencl");
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.output, HasSubstr("one of cpu, cuda"));
}

}  // namespace
}  // namespace assay::cli_test
