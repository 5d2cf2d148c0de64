#include "assay/study/qpsa_config.h"

#include <gtest/gtest.h>

#include "assay/study/criterion_io.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

Result<QpsaConfig> parse(const std::string& text) { return parse_qpsa_config(text, true, "c.yaml"); }

TEST(QpsaConfig, ShippedConfigsAreRead) {
  for (const char* name : {"qpsa_demo", "qpsa_demo_convergence", "qpsa_qwen2.5-0.5b"}) {
    const auto config = read_qpsa_config(std::string(ASSAY_SOURCE_DIR "/studies/") + name + ".yaml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->name, name);
    EXPECT_EQ(config->samples, 100u);
    EXPECT_EQ(config->criteria.size(), default_criteria().size());
    // What is judged by default is what the shipped files say.
    EXPECT_EQ(hash_of(config->criteria), hash_of(default_criteria())) << name;
  }
}

TEST(QpsaConfig, EachFaultIsNamedAndItsControlReads) {
  ASSERT_TRUE(
      parse("{k: [1, 2], samples_per_matrix: 5, layers: 0-3, byte_mode: false, gammas: [0.5], "
            "criteria: [{name: a, statistic: b, below: 1}], rankings: {mine: [2, 0, 1]}}"));
  const std::pair<const char*, const char*> faults[] = {
      {"{samples: 5}", "samples"},
      {"{k: [0]}", "k[0]"},
      {"{k: 3}", "k"},
      {"{layers: 3-1}", "3-1"},
      {"{byte_mode: 1}", "byte_mode"},
      {"{gammas: [x]}", "gammas[0]"},
      {"{times: 1}", "times"},
      {"{criteria: [{name: a, statistic: b}]}", "criteria[0]"},
      {"{criteria: [{name: a, statistic: b, below: 1, at_least: 1}]}", "criteria[0]"},
      {"{rankings: {mine: [1, 1]}}", "mine"},
  };
  for (const auto& [text, place] : faults) {
    const auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find(place), std::string::npos) << config.error().message;
  }
}

TEST(QpsaConfig, TheHashIsOfTheCriteriaAlone) {
  const auto one = *parse("{criteria: [{name: a, statistic: b, below: 1}]}"),
             two = *parse("{k: [3], criteria: [{name: a, statistic: b, below: 1}]}"),
             three = *parse("{criteria: [{name: a, statistic: b, below: 1.5}]}");
  EXPECT_EQ(hash_of(one.criteria), hash_of(two.criteria));
  EXPECT_NE(hash_of(one.criteria), hash_of(three.criteria));
}

TEST(QpsaConfig, RankingsFromAPlainFileOrFromTheStudysOutput) {
  const testing_files::ScratchDirectory dir;
  testing_files::put_file(dir / "plain.json", R"({"mine": [2, 0, 1]})");
  testing_files::put_file(dir / "study.json", R"({"assay": "1", "result": {"methods": [{"name": "m", "ranking": [1, 0]}]}})");
  testing_files::put_file(dir / "broken.json", R"({"assay": "1", "result": {"methods": [{"ranking": [1, 0]}]}})");
  EXPECT_EQ(read_rankings(dir / "plain.json")->at("mine"), (std::vector<int>{2, 0, 1}));
  EXPECT_EQ(read_rankings(dir / "study.json")->at("given m"), (std::vector<int>{1, 0}));
  EXPECT_FALSE(read_rankings(dir / "broken.json"));
}

}  // namespace
}  // namespace assay
