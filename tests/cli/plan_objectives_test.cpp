// assay score --terms and what plan makes of it, of several tables and of standard errors, on a model of a few tensors.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <tuple>

#include "tests/cli/program.h"

namespace assay {
namespace {

using nlohmann::json;

class PlanObjectives : public testing::Test {
 protected:
  // One score for all tests: the demo model, two types.
  static void SetUpTestSuite() {
    dir_ = cli_test::scratch("plan-objectives");
    for (const char* name : {"one", "two"}) {
      const std::string text = name == std::string("one") ? "demo/calibration.txt" : "demo/evaluation.txt";
      const auto done = cli_test::run("score demo/reference-9m -f " + text +
                                      " --chunks 2 --ctx 64 --scores curvature --types Q2_K,Q4_K,Q8_0 --store none --terms " +
                                      at(name, ".safetensors") + " --json " + at(name, ".json"));
      ASSERT_EQ(done.exit_code, 0) << done.output;
    }
  }
  static std::string at(const std::string& name, const std::string& end) { return (dir_ / (name + end)).string(); }
  static json plan(const std::string& arguments) {
    return cli_test::result("plan demo/reference-9m --bpw 4.5 --table " + at("one", ".json") + arguments);
  }
  static inline std::filesystem::path dir_;
};

TEST_F(PlanObjectives, CountsInteractions) {
  const json written = json::parse(std::ifstream(at("one", ".json")))["result"]["terms"];
  EXPECT_EQ(written["cells"], 85 * 3);
  EXPECT_EQ(written["bytes"], std::filesystem::file_size(at("one", ".safetensors")));
  const json plain = plan(""), made = plan(" --interactions " + at("one", ".safetensors"));
  const json& facts = made["interactions"];
  EXPECT_EQ(facts["terms"], written["terms"]);
  EXPECT_NEAR(facts["separable"].get<double>() + facts["interactions"].get<double>(), made["predicted_kl"].get<double>(), 1e-9);
  EXPECT_LE(made["predicted_kl"], facts["separable_optimum"]);
  EXPECT_GE(facts["separable"].get<double>(), plain["predicted_kl"].get<double>() * (1 - 1e-9));
  EXPECT_LE(made["bound"], made["predicted_kl"]);
  EXPECT_LE(made["bytes"], made["budget_bytes"]);
  EXPECT_FALSE(plain.contains("interactions"));
  // Few draws of few tokens say little of pairs, and it is said.
  EXPECT_EQ(facts["pairs"], 85 * 84 / 2 * 9);
  EXPECT_EQ(facts["type_reliability"].size(), 3u);
  for (const auto& [type, value] : facts["type_reliability"].items()) {
    EXPECT_GE(value, 0) << type;
    EXPECT_LE(value, 1) << type;
  }
  EXPECT_GE(facts["reliability"], 0);
  EXPECT_LT(facts["reliability"], 0.5);
  EXPECT_GT(made["bound"].get<double>(), 0.9 * made["predicted_kl"].get<double>());  // as drawn it was below 0
  const auto text =
      cli_test::run("plan demo/reference-9m --bpw 4.5 --table " + at("one", ".json") + " --interactions " + at("one", ".safetensors"));
  EXPECT_NE(text.output.find("cross terms: reliability 0."), std::string::npos) << text.output;
}

TEST_F(PlanObjectives, RefusesWhatDoesNotBelongTogether) {
  const std::string model = "plan demo/reference-9m --bpw 4.5 --table ", one = at("one", ".json"), two = at("two", ".json");
  const std::tuple<std::string, int, std::string> cases[] = {
      {model + two + " --interactions " + at("one", ".safetensors"), 65, "another table"},
      {model + one + " --table " + two + " --interactions " + at("one", ".safetensors"), 64, "belong to one table"},
      {model + one + " --interactions " + at("one", ".safetensors") + " --device-size blk=1GiB", 64, "one limit"},
      {model + one + " --interactions " + at("one", ".safetensors") + " --robust 1", 64, "--robust"},
      {model + one + " --robust -1", 64, "0 or more"},
      {model + one + " --table " + two + " --domains 1,2,3", 64, "gives 3 weights"},
      {model + one + " --table " + two + " --domains best", 64, "is no weight"},
      {model + one + " --interactions " + one, 65, "one.json"},
      {"score demo/reference-9m --scores kurtosis --terms " + at("x", ".safetensors") + " --store none", 64, "those of curvature"},
      {"score demo/reference-9m -f demo/evaluation.txt --scores curvature --store none --terms " + at("one", ".safetensors"), 64, "exists"},
  };
  for (const auto& [arguments, code, words] : cases) {
    const auto done = cli_test::run(arguments + " --quiet");
    EXPECT_EQ(done.exit_code, code) << arguments << "\n" << done.output;
    EXPECT_NE(done.output.find(words), std::string::npos) << arguments << "\n" << done.output;
  }
}

TEST_F(PlanObjectives, RobustAndSeveralTexts) {
  const json robust = plan(" --robust 2");
  EXPECT_EQ(robust["robust"]["z"], 2);
  EXPECT_EQ(robust["robust"]["upper"], robust["predicted_kl"]);
  EXPECT_LE(robust["robust"]["upper"], robust["robust"]["plain"]["upper"]);
  EXPECT_GE(robust["robust"]["mean"], robust["robust"]["plain"]["mean"]);
  const std::string second = " --table " + at("two", ".json");
  const auto worst_of = [](const json& made) {
    double worst = 0;
    for (const json& one : made["domains"]["tables"]) worst = std::max(worst, one["damage"].get<double>());
    return worst;
  };
  const json mean = plan(second), weighted = plan(second + " --domains 3,1"), worst = plan(second + " --domains worst");
  EXPECT_EQ(mean["domains"]["rule"], "mean");
  EXPECT_EQ(weighted["domains"]["tables"][0]["weight"], 0.75);
  ASSERT_EQ(worst["domains"]["tables"].size(), 2u);
  EXPECT_NEAR(worst_of(worst), worst["predicted_kl"].get<double>(), 1e-9);
  EXPECT_LE(worst_of(worst), worst_of(mean) * (1 + 1e-9));
  EXPECT_LE(worst["bound"], worst["predicted_kl"]);
  EXPECT_EQ(plan(second + " --frontier")["frontier"].is_array(), true);
}

}  // namespace
}  // namespace assay
