// assay plan --proxy: RAMP's proxy loss from our scores, its parts, and what it says of measurements.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program.h"

namespace assay {
namespace {

using nlohmann::json;

class PlanProxy : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = cli_test::scratch("plan-proxy");
    const auto done =
        cli_test::run("score demo/reference-9m --scores nsds_ramp,weight_error,weight_norm --types Q2_K,Q4_K,Q8_0 --store none --json " +
                      (dir_ / "scores.json").string());
    ASSERT_EQ(done.exit_code, 0) << done.output;
  }
  static std::string plan(const std::string& more) {
    return "plan demo/reference-9m --proxy " + (dir_ / "scores.json").string() + " --types Q2_K,Q4_K,Q8_0 " + more;
  }
  static std::filesystem::path dir_;
};
std::filesystem::path PlanProxy::dir_;

TEST_F(PlanProxy, SolvesByEverySolverAndNamesTheLargestParts) {
  const json exact = cli_test::result(plan("--bpw 4"));
  EXPECT_EQ(exact["exact"], true);
  EXPECT_NEAR(exact["proxy"]["loss"].get<double>(), exact["predicted_kl"].get<double>(), 1e-9);
  const json& parts = exact["proxy"]["contributions"];
  ASSERT_EQ(parts.size(), 25u);  // of 12 blocks with two groups each, and the embedding
  for (size_t i = 1; i < parts.size(); ++i) EXPECT_LE(parts[i]["loss"], parts[i - 1]["loss"]);
  for (const json& part : parts)
    EXPECT_NEAR(part["loss"].get<double>(),
                part["role"].get<double>() * part["depth"].get<double>() * part["size"].get<double>() * part["sensitivity"].get<double>() *
                    part["error"].get<double>(),
                1e-9);
  for (const char* solver : {"greedy", "evolution"}) {
    const json other = cli_test::result(plan(std::string("--bpw 4 --solver ") + solver));
    EXPECT_GE(other["predicted_kl"].get<double>(), exact["predicted_kl"].get<double>() - 1e-12) << solver;
  }
}

TEST_F(PlanProxy, SaysHowWellMeasurementsFollow) {
  json list = json::array();
  for (const char* bpw : {"3", "4", "5", "6"}) {
    const std::string recipe = std::string("r") + bpw + ".txt";
    const json plan_result = cli_test::result(plan(std::string("--bpw ") + bpw + " -o " + (dir_ / recipe).string()));
    list.push_back({{"recipe", recipe}, {"measured", 2 * plan_result["proxy"]["loss"].get<double>() + 1}});
  }
  std::ofstream(dir_ / "measured.json") << list;
  const json fit = cli_test::result(plan("--bpw 4.5 --proxy-measured " + (dir_ / "measured.json").string()))["proxy"];
  EXPECT_NEAR(fit["calibration"]["slope"].get<double>(), 2, 1e-6);
  EXPECT_NEAR(fit["calibration"]["intercept"].get<double>(), 1, 1e-6);
  EXPECT_NEAR(fit["predicted"].get<double>(), 2 * fit["loss"].get<double>() + 1, 1e-6);
  list.erase(2), list.erase(2);
  std::ofstream(dir_ / "few.json") << list;
  const auto few = cli_test::run(plan("--bpw 4.5 --proxy-measured " + (dir_ / "few.json").string()));
  EXPECT_NE(few.exit_code, 0);
  EXPECT_NE(few.output.find("few.json"), std::string::npos) << few.output;
}

TEST_F(PlanProxy, ExcludesDamageTables) {
  EXPECT_NE(cli_test::run(plan("--bpw 4 --table x.json")).exit_code, 0);
  EXPECT_NE(cli_test::run("plan demo/reference-9m --proxy-squared --table x.json --bpw 4").exit_code, 0);
}

}  // namespace
}  // namespace assay
