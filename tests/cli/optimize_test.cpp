// `assay optimize` as a user runs it: the options that refine a plan or search for one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/cli/program.h"

namespace assay::cli_test {
namespace {

using testing::HasSubstr;

const std::string kRun =
    "optimize demo/reference-9m --like Q3_K_M --calibration demo/calibration.txt --evaluation demo/evaluation.txt --ctx 64 --chunks 4 "
    "--codes "
    "nearest --types Q2_K,Q4_K,Q6_K --store none ";

TEST(OptimizeCommand, RefusesOptionsThatMakeNoSense) {
  const std::string out = "-o " + (scratch("optimize") / "out.gguf").string();
  for (const auto& [options, words] : std::vector<std::pair<std::string, std::string>>{
           {"--refine soon", "forward-equivalents (200) or time (10min"},
           {"--refine 10 --solver greedy", "--refine solves exactly"},
           {"--refine 10 --refine-regret 2", "--refine-regret"},
           {"--solver magic", "--solver"},
           {"--solver evopress --generations 0", "--generations"},
       }) {
    const auto done = run(kRun + options + " " + out);
    EXPECT_EQ(done.exit_code, 64) << options << "\n" << done.output;
    EXPECT_THAT(done.output, HasSubstr(words)) << options;
  }
}

TEST(OptimizeCommand, TellsWhatRefiningDid) {
  const auto directory = scratch("optimize-refine");
  const auto done =
      run(kRun + "--refine 12 --quiet -o " + (directory / "out.gguf").string() + " --json " + (directory / "out.json").string());
  ASSERT_EQ(done.exit_code, 0) << done.output;
  EXPECT_THAT(done.output, HasSubstr("of 12.0 forward-equivalents"));
  EXPECT_THAT(done.output, HasSubstr("what the plan may lose to what is not known"));
  const auto same = result(kRun + "--refine 0 --force -o " + (directory / "out.gguf").string());
  EXPECT_TRUE(same["refine"].is_null());
  const auto greedy = result(kRun + "--solver greedy --force -o " + (directory / "out.gguf").string());
  EXPECT_EQ(greedy["plan"], "greedy");
  EXPECT_GE(greedy["predicted_kl"], same["predicted_kl"]);
}

// The recipe that --recipe-output writes makes the same types again.
TEST(OptimizeCommand, WritesARecipeThatQuantizeReproduces) {
  const auto directory = scratch("optimize-recipe");
  const std::string made = (directory / "made.gguf").string(), again = (directory / "again.gguf").string(),
                    recipe = (directory / "recipe.yaml").string();
  const auto optimized = result(kRun + "-o " + made + " --recipe-output " + recipe);
  result("quantize demo/reference-9m --recipe " + recipe + " -o " + again);
  const auto types_of = [](const std::string& file) {
    nlohmann::json types = nlohmann::json::object();
    const auto seen = result("inspect " + file);
    for (const auto& tensor : seen["tensors"]) types[tensor["name"].get<std::string>()] = tensor["type"];
    return types;
  };
  const nlohmann::json types = types_of(made);
  EXPECT_EQ(types_of(again), types);
  EXPECT_EQ(types.size(), 110u);
  std::set<std::string> kinds;
  for (const auto& [tensor, type] : optimized["recipe"].items()) {
    EXPECT_EQ(types[tensor], type) << tensor;
    kinds.insert(type.get<std::string>());
  }
  EXPECT_EQ(kinds.size(), 3u);  // else a recipe that is not read would pass
}

}  // namespace
}  // namespace assay::cli_test
