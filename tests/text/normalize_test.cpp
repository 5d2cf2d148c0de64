#include "assay/text/normalize.h"

#include <gtest/gtest.h>

#include "assay/base/text.h"
#include "tests/text/samples.h"

namespace assay {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

// One U+FFFD per longest beginning of a sequence; every byte that can begin none is one of its own.
TEST(ReplaceInvalidUtf8, FollowsTheRecommendedPractice) {
  EXPECT_EQ(replace_invalid_utf8("plain é 漢 👍"), "plain é 漢 👍");
  EXPECT_EQ(replace_invalid_utf8("a\xFF"
                                 "b"),
            "a" + kReplacement + "b");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"), kReplacement);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98z"), kReplacement + "z");
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), kReplacement + kReplacement);                     // overlong: neither byte begins anything
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), kReplacement + kReplacement + kReplacement);  // a surrogate
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), kReplacement + kReplacement + kReplacement + kReplacement);
  for (const std::string& text : samples::invalid_utf8()) EXPECT_TRUE(is_valid_utf8(replace_invalid_utf8(text)));
}

TEST(Compose, JoinsMarksAndKeepsTrackOfBytes) {
  EXPECT_TRUE(is_composed("plain \xC3\xA9"));
  EXPECT_FALSE(is_composed("e\xCC\x81"));
  const ComposedText composed = compose("xe\xCC\x81y");
  EXPECT_EQ(composed.text, "x\xC3\xA9y");
  EXPECT_EQ(composed.source_ends, (std::vector<uint32_t>{1, 4, 4, 5}));
  EXPECT_EQ(compose("\xE2\x84\xAB").text, "\xC3\x85");                              // the Angstrom sign
  EXPECT_EQ(compose("q\xCC\x87\xCC\xA3").text, "q\xCC\xA3\xCC\x87");                // marks in order of their class
  EXPECT_EQ(compose("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8").text, "\xEA\xB0\x81");  // Hangul
}

TEST(Compose, LeavesMarksYoungerThanUnicode9Alone) { EXPECT_TRUE(is_composed("\xE0\xA7\xBE\xD6\xBA")); }  // U+09FE (Unicode 11), U+05BA

TEST(Compose, IsIdempotentAndTracksEveryByte) {
  for (const std::string& text : samples::random_unicode(5, 500)) {
    const ComposedText composed = compose(text);
    ASSERT_EQ(composed.source_ends.size(), composed.text.size());
    EXPECT_TRUE(std::is_sorted(composed.source_ends.begin(), composed.source_ends.end()));
    EXPECT_TRUE(text.empty() || composed.source_ends.back() == text.size());
    EXPECT_TRUE(is_composed(composed.text));
    EXPECT_EQ(is_composed(text), composed.text == text);
  }
}

}  // namespace
}  // namespace assay
