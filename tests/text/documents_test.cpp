#include "assay/text/documents.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/text/samples.h"

namespace assay {
namespace {

using Ends = std::vector<uint64_t>;

Ends ends_of(const std::string& text, const std::string& separator = "") {
  const auto ends = document_ends(text, separator);
  EXPECT_TRUE(ends);
  return ends ? *ends : Ends{};
}

TEST(Documents, EndAtLinesOfEndOfText) {
  EXPECT_EQ(ends_of("ab\n<|endoftext|>\ncd\n"), (Ends{17, 20}));
  EXPECT_EQ(ends_of("ab\r\n<|endoftext|>\r\ncd"), (Ends{19, 21}));
  EXPECT_EQ(ends_of("ab\n<|endoftext|>\n"), (Ends{17}));
  EXPECT_EQ(ends_of("ab <|endoftext|> cd\nef\n"), (Ends{23}));  // inside a line it separates nothing
}

// Level 1 only, between blank lines: sections and formulas start nothing.
TEST(Documents, StartAtWikiTextTitles) {
  const std::string first = " \n = One = \n \n text\n = 1 henry and C = \n more\n \n = = Section = = \n \n text\n \n";
  EXPECT_EQ(ends_of(first + " = Two = \n \n text\n"), (Ends{2, first.size(), first.size() + 18}));
  EXPECT_EQ(ends_of(" = One = \n \n a\n"), (Ends{15}));
}

TEST(Documents, WikiTextHasItsNumberOfArticles) {
  const std::string path = ASSAY_SOURCE_DIR "/../shared/data/text/";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no ../shared/data here";
  // The blank line before the first title is an end of its own.
  EXPECT_EQ(ends_of(samples::slurp(path + "wiki.test.raw")).size(), 60u + 1);
  EXPECT_EQ(ends_of(samples::slurp(path + "wiki.valid.raw")).size(), 60u + 1);
}

TEST(Documents, EndAtTheSeparatorGiven) {
  EXPECT_EQ(ends_of("a\n---\nb\n----\nc\n", "-{3}"), (Ends{6, 15}));  // the whole line must match
  EXPECT_EQ(ends_of("a\n§§\nb\n", "[§]+"), (Ends{7, 9}));
  EXPECT_EQ(ends_of("a\n\nb\n", ""), (Ends{5}));
  const auto broken = document_ends("a", "[");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kUsage);
  EXPECT_NE(broken.error().message.find("--document-separator"), std::string::npos);
}

TEST(Documents, OtherwiseTheWholeTextIsOne) {
  EXPECT_EQ(ends_of("a\nb\n"), (Ends{4}));
  EXPECT_EQ(ends_of(""), (Ends{0}));
}

}  // namespace
}  // namespace assay
