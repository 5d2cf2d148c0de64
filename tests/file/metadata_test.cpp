#include "assay/file/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Metadata example() {
  Metadata m;
  m.set("text", MetaValue::string("hello"));
  m.set("count", MetaValue::u32(7));
  m.set("negative", MetaValue::i32(-7));
  m.set("positive", MetaValue::i32(7));
  m.set("huge", MetaValue::u64(~uint64_t{0}));
  m.set("real", MetaValue::f32(0.25f));
  m.set("flag", MetaValue::boolean(true));
  m.set("ints", MetaValue::i32s({1, -2, 3}));
  m.set("reals", MetaValue::f32s({0.5f, 1.5f}));
  StringList words;
  words.push_back("one");
  words.push_back("");
  words.push_back("three");
  m.set("words", MetaValue::strings(words));
  return m;
}

TEST(Metadata, TypedLookUps) {
  const Metadata m = example();
  EXPECT_EQ(**m.get_string("text"), "hello");
  EXPECT_EQ(**m.get_u64("count"), 7u);
  EXPECT_EQ(**m.get_u64("positive"), 7u);
  EXPECT_EQ(**m.get_i64("negative"), -7);
  EXPECT_EQ(**m.get_i64("count"), 7);
  EXPECT_EQ(**m.get_f64("real"), 0.25);
  EXPECT_TRUE(**m.get_bool("flag"));
  EXPECT_THAT(**m.get_i64s("ints"), ElementsAre(1, -2, 3));
  EXPECT_THAT(**m.get_f64s("reals"), ElementsAre(0.5, 1.5));
  const auto words = m.get_strings("words");
  ASSERT_TRUE(words);
  ASSERT_EQ((*words)->size(), 3u);
  EXPECT_EQ((**words)[1], "");
  EXPECT_EQ((**words)[2], "three");
}

TEST(Metadata, AbsentKeysAreNoError) {
  const Metadata m = example();
  EXPECT_EQ(*m.get_u64("x"), std::nullopt);
  EXPECT_EQ(*m.get_i64("x"), std::nullopt);
  EXPECT_EQ(*m.get_f64("x"), std::nullopt);
  EXPECT_EQ(*m.get_bool("x"), std::nullopt);
  EXPECT_EQ(*m.get_string("x"), std::nullopt);
  EXPECT_EQ(*m.get_strings("x"), nullptr);
  EXPECT_EQ(*m.get_i64s("x"), std::nullopt);
  EXPECT_EQ(*m.get_f64s("x"), std::nullopt);
}

TEST(Metadata, AnotherTypeIsRefusedWithKeyFoundAndNeeded) {
  const Metadata m = example();
  const auto refused = [](const auto& result, const char* found, const char* needed) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(result.error().message, ::testing::AllOf(HasSubstr(found), HasSubstr(needed)));
  };
  refused(m.get_u64("text"), "key 'text' has type string", "an integer");
  refused(m.get_u64("negative"), "key 'negative' is -7", "at least 0");
  refused(m.get_i64("huge"), "key 'huge' is 18446744073709551615", "below 2^63");
  refused(m.get_i64("real"), "key 'real' has type f32", "an integer");
  refused(m.get_f64("count"), "key 'count' has type u32", "f32 or f64");
  refused(m.get_bool("count"), "key 'count' has type u32", "bool");
  refused(m.get_string("words"), "key 'words' has type array of string", "string");
  refused(m.get_strings("ints"), "key 'ints' has type array of i32", "array of string");
  refused(m.get_i64s("reals"), "key 'reals' has type array of f32", "array of integers");
  refused(m.get_i64s("count"), "key 'count' has type u32", "array of integers");
  refused(m.get_f64s("ints"), "key 'ints' has type array of i32", "array of f32");
}

TEST(Metadata, OrderIsKeptThroughReplacingAndErasing) {
  Metadata m;
  for (int i = 0; i < 5; ++i) m.set("k" + std::to_string(i), MetaValue::u32(static_cast<uint32_t>(i)));
  m.set("k1", MetaValue::string("replaced"));
  m.erase("k2");
  m.erase("absent");
  std::vector<std::string> keys;
  for (const auto& entry : m.entries()) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("k0", "k1", "k3", "k4"));
  EXPECT_EQ(**m.get_string("k1"), "replaced");
  EXPECT_EQ(**m.get_u64("k4"), 4u);
  EXPECT_FALSE(m.contains("k2"));
  m.set("k2", MetaValue::u32(22));
  EXPECT_EQ(m.entries().back().key, "k2");
}

TEST(Metadata, ValuesCompareByTypeAndContent) {
  EXPECT_TRUE(MetaValue::u32(1) == MetaValue::u32(1));
  EXPECT_FALSE(MetaValue::u32(1) == MetaValue::u64(1));
  EXPECT_TRUE(MetaValue::i32s({1, 2}) == MetaValue::i32s({1, 2})) << "arrays by content, not by address";
  EXPECT_FALSE(MetaValue::i32s({1, 2}) == MetaValue::i32s({1, 3}));
}

TEST(Metadata, ValuesAsOneLine) {
  const Metadata m = example();
  EXPECT_EQ(to_text(*m.find("text")), "\"hello\"");
  EXPECT_EQ(to_text(*m.find("negative")), "-7");
  EXPECT_EQ(to_text(MetaValue::f32(0.1f)), "0.1");
  EXPECT_EQ(to_text(*m.find("flag")), "true");
  EXPECT_EQ(to_text(*m.find("ints")), "[1, -2, 3]");
  EXPECT_EQ(to_text(*m.find("words"), 1), "[\"one\", ... 3 in all]");
  EXPECT_EQ(to_text(*m.find("words"), 0), "[... 3 in all]");
  EXPECT_EQ(to_text(MetaValue::i32s({})), "[]");
  EXPECT_EQ(to_text(MetaValue::string("a\nb")).find('\n'), std::string::npos) << "nothing unprintable reaches a terminal";
}

}  // namespace
}  // namespace assay
