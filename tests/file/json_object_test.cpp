#include "assay/file/json_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const JsonPlace kPlace{"f.json", "a[3]"};

TEST(JsonObject, ReadsWhatIsThere) {
  static constexpr std::string_view kKnown[] = {"n", "u", "x", "t", "l", "none"};
  const json node = {{"n", -3}, {"u", UINT64_MAX}, {"x", 2}, {"t", "text"}, {"l", {1, 2}}};
  const auto object = JsonObject::open(node, kPlace, kKnown);
  ASSERT_TRUE(object);
  EXPECT_EQ(object->integer("n", -3, 3).value(), -3);
  EXPECT_EQ(object->number("u", UINT64_MAX).value(), UINT64_MAX);
  EXPECT_EQ(object->real("x", 0, 2).value(), 2.0);
  EXPECT_EQ(object->text("t", 4).value(), "text");
  EXPECT_EQ((*object->list("l", 2, 2))->size(), 2u);
  EXPECT_FALSE(object->has("none"));
  EXPECT_EQ(object->place("n").item(1).path, "a[3].n[1]");
}

TEST(JsonObject, MessagesSayWhereWhatAndWhatWasNeeded) {
  static constexpr std::string_view kKnown[] = {"rate"};
  EXPECT_EQ(JsonObject::open(json::array(), kPlace, kKnown).error().message, "f.json: a[3] is a list; an object is needed");
  EXPECT_THAT(JsonObject::open({{"rats", 1}}, kPlace, kKnown).error().message,
              HasSubstr("unknown key 'rats'; known are rate (did you mean rate?)"));
  EXPECT_EQ(json_integer(9, kPlace, 0, 8).error().message, "f.json: a[3] is 9; an integer from 0 to 8 is needed");
  EXPECT_EQ(json_integer(9, {"f.json", ""}, 0, 8).error().message, "f.json is 9; an integer from 0 to 8 is needed");
}

TEST(JsonObject, LimitsAreInclusiveAndTypesExact) {
  for (const json& bad : {json(1.0), json("1"), json(true), json(nullptr), json(UINT64_MAX), json(-1), json(9)})
    EXPECT_FALSE(json_integer(bad, kPlace, 0, 8)) << bad;
  for (const json& bad : {json(-1), json(0.5), json(9), json("1"), json(false)}) EXPECT_FALSE(json_unsigned(bad, kPlace, 8)) << bad;
  EXPECT_EQ(json_unsigned(json(int64_t{8}), kPlace, 8).value(), 8u);
  for (const json& bad : {json(std::nan("")), json(1e9), json("1"), json(true)}) EXPECT_FALSE(json_real(bad, kPlace, -1, 8)) << bad;
  for (const json& bad : {json(""), json("a\tb"), json("12345"), json(1)}) EXPECT_FALSE(json_string(bad, kPlace, 4)) << bad;
  EXPECT_FALSE(json_list({1, 2, 3}, kPlace, 0, 2));
  EXPECT_FALSE(json_list(json::object(), kPlace, 0, 2));
  EXPECT_TRUE(json_list({1, 2}, kPlace, 2, 2));
}

}  // namespace
}  // namespace assay
