#include "assay/file/yaml_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json read(std::string_view text) {
  const auto tree = parse_yaml(text, "f.yaml");
  EXPECT_TRUE(tree) << tree.error().message;
  return tree.value_or(json());
}

TEST(Yaml, IsTheTreeOfTheSameJson) {
  EXPECT_EQ(read("a: 1\nb: [1, -2, 0.5, 1e3, +7, .5, 007]\nc:\n  - x\n  - {y: true, z: ~}\n"),
            json::parse(R"({"a": 1, "b": [1, -2, 0.5, 1000.0, 7, 0.5, 7], "c": ["x", {"y": true, "z": null}]})"));
  EXPECT_EQ(read("[18446744073709551615, -9223372036854775808]"), json::parse("[18446744073709551615, -9223372036854775808]"));
  // JSON is YAML.
  const std::string text = R"([{"name": "x", "weights": [{"tensor": "blk.0.ffn_down.weight", "at": [[12, 345]], "set": 0}]}])";
  EXPECT_EQ(read(text), json::parse(text));
}

TEST(Yaml, QuotedAndOddScalarsAreText) {
  EXPECT_EQ(read("['1', \"true\", no, 1.2.3, 0-5, 1_000, 0x10, .inf, e5, -, ., '']"),
            json::parse(R"(["1", "true", "no", "1.2.3", "0-5", "1_000", "0x10", ".inf", "e5", "-", ".", ""])"));
  EXPECT_EQ(read("1: a"), json::parse(R"({"1": "a"})"));
}

TEST(Yaml, RefusesByName) {
  const std::pair<std::string, const char*> faults[] = {
      {"", "is empty"},
      {"a: 1\na: 2", "f.yaml: line 2 key 'a' is given twice"},
      {"a: &x [1]\nb: *x", "line 2 has an alias"},
      {"a: !!python/object 1", "has the tag"},
      {"a: !x [1]", "has the tag '!x'"},
      {"[a, b]: 1", "key that is not a scalar"},
      {"a: 1e999", "has the number 1e999"},
      {"a: [1", "is not YAML"},
      {"a: 1\n---\nb: 2", "a second document"},
      {std::string(101, '[') + std::string(101, ']'), "nests deeper than 100"},
      {std::string(100'000, '['), "f.yaml"},
      {std::string(100'000, '{'), "f.yaml"},
      {"\"\xff\"", "f.yaml"},
  };
  for (const auto& [text, message] : faults) {
    const auto tree = parse_yaml(text, "f.yaml");
    ASSERT_FALSE(tree) << text.substr(0, 40);
    EXPECT_EQ(tree.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(tree.error().message, HasSubstr(message));
  }
  EXPECT_TRUE(parse_yaml(std::string(100, '[') + std::string(100, ']'), "f.yaml"));
  EXPECT_THAT(parse_yaml(std::string((size_t{16} << 20) + 1, ' '), "f.yaml").error().message, HasSubstr("at most 16.00 MiB"));
}

}  // namespace
}  // namespace assay
