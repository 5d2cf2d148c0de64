// assay probe --against: every variant beside one of them, window by window.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program.h"

namespace assay {
namespace {

using nlohmann::json;

const char* const kText = " -f demo/evaluation.txt --chunks 4 --ctx 64 --store none";

std::string variants_file(const std::filesystem::path& dir) {
  std::ofstream(dir / "v.json") << R"([{"name": "two bits", "weights": [{"tensor": "blk.2.ffn_down.weight", "type": "Q2_K"}]},
                                       {"name": "four bits", "weights": [{"tensor": "blk.2.ffn_down.weight", "type": "Q4_K"}]}])";
  return (dir / "v.json").string();
}

TEST(ProbeAgainst, SaysTheChangeOfKlWithItsInterval) {
  const std::string file = variants_file(cli_test::scratch("probe-against"));
  const json result = cli_test::result("probe demo/reference-9m --variants " + file + " --against 'four bits'" + kText);
  ASSERT_EQ(result["variants"].size(), 2u);
  EXPECT_EQ(result["against"], "four bits");
  const json &two = result["variants"][0], &four = result["variants"][1];
  const double expected = two["mean_kl"].get<double>() / four["mean_kl"].get<double>() - 1;
  EXPECT_GT(expected, 1);
  EXPECT_NEAR(two["change"].get<double>(), expected, 1e-12 * expected);
  EXPECT_LT(two["change_ci95"][0].get<double>(), expected);
  EXPECT_GT(two["change_ci95"][1].get<double>(), expected);
  // Against itself nothing changes, in any resample.
  EXPECT_EQ(four["change"], 0);
  EXPECT_EQ(four["change_ci95"], json::array({0, 0}));
}

TEST(ProbeAgainst, RefusesAVariantThatIsNotThere) {
  const std::string file = variants_file(cli_test::scratch("probe-against-refused"));
  const auto done = cli_test::run("probe demo/reference-9m --variants " + file + " --against 'for bits'" + kText);
  EXPECT_NE(done.exit_code, 0);
  EXPECT_NE(done.output.find("did you mean four bits?"), std::string::npos) << done.output;
  const auto both = cli_test::run("probe demo/reference-9m --variants " + file + " --against 'two bits' --until ci=0.1" + kText);
  EXPECT_NE(both.exit_code, 0);
}

}  // namespace
}  // namespace assay
