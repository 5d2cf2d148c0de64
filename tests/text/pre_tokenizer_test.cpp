#include "assay/text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/text/samples.h"

namespace assay {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(std::string_view name, std::string_view text) {
  const PreTokenizerSpec* spec = find_pre_tokenizer(name);
  if (spec == nullptr) return {"unknown"};
  const auto pre_tokenizer = PreTokenizer::compile(*spec);
  if (!pre_tokenizer) return {pre_tokenizer.error().message};
  std::vector<uint32_t> ends;
  pre_tokenizer->split(text, ends);
  Pieces pieces;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

TEST(PreTokenizer, SplitsAsItsPatternSays) {
  EXPECT_EQ(split("gpt-2", "Hello, it's 12345  x"), (Pieces{"Hello", ",", " it", "'s", " 12345", " ", " x"}));
  EXPECT_EQ(split("gpt-2", "IT'S"), (Pieces{"IT", "'", "S"}));
  EXPECT_EQ(split("llama-bpe", "It'S 1234567\n\n"), (Pieces{"It", "'S", " ", "123", "456", "7", "\n\n"}));
  EXPECT_EQ(split("qwen2", "it's 123!\r\n x"), (Pieces{"it", "'s", " ", "1", "2", "3", "!\r\n", " x"}));
  EXPECT_EQ(split("smollm", "a 12 b"), (Pieces{"a", " ", "1", "2", " b"}));
  EXPECT_EQ(split("deepseek-coder", "a b\n(x) 12漢字"), (Pieces{"a", " b", "\n", "(", "x", ")", " ", "1", "2", "漢字"}));
  EXPECT_EQ(split("default", "a+b 12345"), (Pieces{"a", "+", "b", " ", "123", "45"}));
}

// U+180E is no white space, and letters of Unicode 15 and 16 are letters, whatever the regular expression library's version says.
TEST(PreTokenizer, KnowsTheCharactersOfUnicode16) {
  EXPECT_EQ(split("gpt-2", "x  \xE1\xA0\x8E"), (Pieces{"x", " ", " \xE1\xA0\x8E"}));
  EXPECT_EQ(split("qwen2", "\xF0\x9E\x93\x90%x"), (Pieces{"\xF0\x9E\x93\x90", "%x"}));  // U+1E4D0, a letter since Unicode 15
  EXPECT_EQ(split("qwen2", "\xF0\x90\x97\x80%x"), (Pieces{"\xF0\x90\x97\x80", "%x"}));  // U+105C0, since Unicode 16
  EXPECT_EQ(split("qwen2", "\xF0\x96\x84\xB0\xF0\x96\x84\xB1"), (Pieces{"\xF0\x96\x84\xB0", "\xF0\x96\x84\xB1"}));  // digits since 16
}

TEST(PreTokenizer, PiecesCoverTheText) {
  std::vector<std::string> texts = samples::hand_written();
  for (std::string& text : samples::random_unicode(2, 300)) texts.push_back(std::move(text));
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    const auto pre_tokenizer = PreTokenizer::compile(spec);
    ASSERT_TRUE(pre_tokenizer) << spec.name;
    for (const std::string& text : texts) {
      std::vector<uint32_t> ends;
      pre_tokenizer->split(text, ends);
      EXPECT_TRUE(text.empty() ? ends.empty() : ends.back() == text.size()) << spec.name;
      EXPECT_TRUE(std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end()) << spec.name << ": empty piece";
    }
  }
}

TEST(PreTokenizer, NamesAndAliasesAreFound) {
  EXPECT_EQ(find_pre_tokenizer("llama3")->name, "llama-bpe");
  EXPECT_EQ(find_pre_tokenizer("starcoder")->name, "smollm");
  EXPECT_EQ(find_pre_tokenizer("no such"), nullptr);
}

}  // namespace
}  // namespace assay
