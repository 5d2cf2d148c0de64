#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "assay/study/awq_study.h"
#include "assay/study/criterion_io.h"

namespace assay {
namespace {

TEST(AwqConfig, TheShippedOneIsTheDefaults) {
  const auto config = read_awq_config(ASSAY_SOURCE_DIR "/studies/awq_demo.yaml");
  ASSERT_TRUE(config) << config.error().message;
  const AwqStudyConfig plain;
  EXPECT_EQ(config->name, "awq_demo");
  EXPECT_EQ(config->types, plain.types);
  EXPECT_EQ(config->bits, plain.bits);
  EXPECT_EQ(hash_of(config->criteria), hash_of(default_awq_criteria(plain.types)));
}

TEST(AwqConfig, EachFaultIsNamedAndItsControlReads) {
  const auto parse = [](const std::string& text) { return parse_awq_config(text, true, "c.yaml"); };
  ASSERT_TRUE(parse("{types: [Q4_0], bits: [4], group: 32, calibration_windows: 2, windows: 0, seed: 1}"));
  const std::pair<const char*, const char*> faults[] = {{"{types: [Q4]}", "types[0]"},
                                                        {"{types: [F16]}", "types[0]"},
                                                        {"{bits: [1]}", "bits[0]"},
                                                        {"{bits: 4}", "bits"},
                                                        {"{group: 4}", "group"},
                                                        {"{calibration_windows: 0}", "calibration_windows"},
                                                        {"{windows: -1}", "windows"},
                                                        {"{seed: x}", "seed"},
                                                        {"{types: [], bits: []}", "types"},
                                                        {"{layers: 0-3}", "layers"},
                                                        {"{criteria: [{name: a}]}", "criteria[0]"}};
  for (const auto& [text, place] : faults) {
    const auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find(place), std::string::npos) << config.error().message;
  }
}

}  // namespace
}  // namespace assay
