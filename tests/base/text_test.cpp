#include "assay/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/base/nearest_names.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Text, Numbers) {
  EXPECT_EQ(group_digits(0), "0");
  EXPECT_EQ(group_digits(999), "999");
  EXPECT_EQ(group_digits(1000), "1,000");
  EXPECT_EQ(group_digits(9437184), "9,437,184");
  EXPECT_EQ(group_digits(UINT64_MAX), "18,446,744,073,709,551,615");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(9437184), "9.00 MiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.00 EiB");
}

TEST(Text, JoinAndSplitAreInverse) {
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_THAT(split("a,b,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split(",", ','), ElementsAre("", ""));
  for (const char* text : {"", "a", "a,b", ",a,", ",,"}) EXPECT_EQ(join(split(text, ','), ","), text);
}

TEST(Text, LowerAsciiLeavesTheRest) { EXPECT_EQ(lower_ascii("Q4_K \xc3\x84"), "q4_k \xc3\x84"); }

struct Utf8 {
  const char* label;
  std::string_view text;
  bool valid;
};

TEST(Text, Utf8) {
  using namespace std::string_view_literals;
  const Utf8 cases[] = {{"empty", ""sv, true},
                        {"ascii with NUL", "a\0b"sv, true},
                        {"two bytes", "\xc2\x80\xdf\xbf"sv, true},
                        {"three bytes", "\xe0\xa0\x80\xef\xbf\xbf"sv, true},
                        {"last before the surrogates", "\xed\x9f\xbf"sv, true},
                        {"four bytes", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"sv, true},
                        {"a lone continuation", "\x80"sv, false},
                        {"overlong slash", "\xc0\xaf"sv, false},
                        {"overlong in two bytes", "\xc1\xbf"sv, false},
                        {"overlong in three bytes", "\xe0\x9f\xbf"sv, false},
                        {"overlong in four bytes", "\xf0\x8f\xbf\xbf"sv, false},
                        {"surrogate", "\xed\xa0\x80"sv, false},
                        {"beyond U+10FFFF", "\xf4\x90\x80\x80"sv, false},
                        {"lead byte F5", "\xf5\x80\x80\x80"sv, false},
                        {"cut after the lead byte", "\xe2"sv, false},
                        {"cut in the middle", "\xe2\x82"sv, false},
                        {"continuation missing", "\xe2\x82z"sv, false}};
  for (const Utf8& c : cases) EXPECT_EQ(is_valid_utf8(c.text), c.valid) << c.label;
}

TEST(Text, PrintableIsShortAndHasNoControlBytes) {
  EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(printable("a\nb\x1b[31m\x7f\xff"), "a\\x0ab\\x1b[31m\\x7f\\xff");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_TRUE(is_valid_utf8(printable(std::string(1000, '\xff'))));
  EXPECT_LT(printable(std::string(1000, 'x')).size(), 100u);
}

TEST(Text, NearestName) {
  const std::vector<std::string> known = {"sweep", "score", "status", "quantize"};
  EXPECT_EQ(nearest_name("scroe", known), "score");
  EXPECT_EQ(nearest_name("quantise", known), "quantize");
  EXPECT_EQ(nearest_name("zzzzzz", known), "");
  EXPECT_EQ(nearest_name("x", {}), "");
  const std::vector<std::string> types = {"q4_0", "q4_k", "q8_0"};
  EXPECT_EQ(nearest_names("q4_kk", types, 2), (std::vector<std::string>{"q4_k", "q4_0"}));
  EXPECT_TRUE(nearest_names("bf16", types, 2).empty());
}

TEST(Text, SizesAreParsed) {
  EXPECT_EQ(*parse_size("512"), 512u);
  EXPECT_EQ(*parse_size("512B"), 512u);
  EXPECT_EQ(*parse_size("10KiB"), 10240u);
  EXPECT_EQ(*parse_size("1.5 GiB"), 1610612736u);
  EXPECT_EQ(*parse_size("3g"), uint64_t{3} << 30);
  EXPECT_EQ(*parse_size("700MB"), 700'000'000u);
  EXPECT_EQ(*parse_size("0"), 0u);
  for (const char* text : {"", "x", "10 parsecs", "-1", "nan", "inf", "1e30", "KiB", "10KiBs"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, ErrorCode::kUsage);
    EXPECT_THAT(size.error().message, HasSubstr("is not a size"));
  }
}

}  // namespace
}  // namespace assay
