// `assay optimize` as a user runs it: the options that refine a plan or search for one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace assay::cli_test
