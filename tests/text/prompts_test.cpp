#include "assay/text/prompts.h"

#include <gtest/gtest.h>

#include <set>

#include "assay/model/checkpoint.h"

namespace assay {
namespace {

Tokenizer demo_tokenizer() {
  const auto checkpoint = Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m");
  return *Tokenizer::from_metadata((*checkpoint)->metadata());
}

TEST(Prompts, SevenBuiltInStrataOfEightDifferentPrompts) {
  std::set<std::string> texts;
  std::string before;
  ASSERT_EQ(builtin_prompts().size(), 7u);
  for (const PromptStratum& stratum : builtin_prompts()) {
    EXPECT_LT(before, stratum.name);
    before = stratum.name;
    EXPECT_GE(stratum.prompts.size(), 8u) << stratum.name;
    for (const Prompt& prompt : stratum.prompts) EXPECT_TRUE(texts.insert(prompt.text).second) << prompt.text;
  }
}

TEST(Prompts, EachIsAWindowOfItsOwnLengthWithOneMask) {
  const Tokenizer tokenizer = demo_tokenizer();
  const auto made = make_prompt_windows(builtin_prompts(), tokenizer, 256);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->windows.size(), 56u);
  uint64_t scored = 0;
  std::set<size_t> lengths;
  for (size_t w = 0; w < made->windows.size(); ++w) {
    const Window& window = made->windows[w];
    EXPECT_EQ(window.document, w);
    EXPECT_EQ(window.labels.size(), window.tokens.size() - 1);
    EXPECT_EQ(window.score_begin, 0u);
    EXPECT_EQ(window.score_end, window.labels.size());
    for (size_t t = 0; t < window.labels.size(); ++t) EXPECT_EQ(window.labels[t], window.tokens[t + 1]);
    EXPECT_LE(window.tokens.size(), 256u);
    if (made->strata[made->stratum[w]] == "long_context") EXPECT_EQ(window.tokens.size(), 256u);
    scored += window.scored();
    lengths.insert(window.tokens.size());
  }
  EXPECT_EQ(made->tokens_scored, scored);
  EXPECT_GT(lengths.size(), 10u);
  EXPECT_EQ(make_prompt_windows(builtin_prompts(), tokenizer, 256, 2)->windows.size(), 14u);
}

TEST(Prompts, BosStandsForTheVocabularysOwn) {
  const Tokenizer tokenizer = demo_tokenizer();
  ASSERT_TRUE(tokenizer.bos());
  const std::vector<PromptStratum> strata = {{"s", {{"{bos}a{bos}b", 1}}}};
  const auto made = make_prompt_windows(strata, tokenizer, 0);
  ASSERT_TRUE(made);
  EXPECT_EQ(std::count(made->windows[0].tokens.begin(), made->windows[0].tokens.end(), *tokenizer.bos()), tokenizer.adds_bos() ? 3 : 2);
}

TEST(Prompts, StrataFromAFileAndEachFaultNamed) {
  const auto read = parse_prompts("{b: ['x y', {text: z, repeat: 3}], a: [\"new\\nline\"]}", true, "s.yaml");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].name, "a");
  EXPECT_EQ((*read)[1].prompts[1].repeat, 3u);
  EXPECT_TRUE(parse_prompts("{\"a\": [\"x\"]}", false, "s.json"));
  for (const auto& [text, word] : std::vector<std::pair<const char*, const char*>>{{"[]", "stratum"},
                                                                                   {"{}", "empty"},
                                                                                   {"{a: []}", "a"},
                                                                                   {"{a: [1]}", "a[0]"},
                                                                                   {"{a: ['']}", "a[0]"},
                                                                                   {"{a: [{repeat: 2}]}", "text"},
                                                                                   {"{a: [{text: x, repeat: 0}]}", "repeat"},
                                                                                   {"{a: [{text: x, times: 2}]}", "times"}}) {
    const auto refused = parse_prompts(text, true, "s.yaml");
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
  // One token is no prediction.
  const std::vector<PromptStratum> short_one = {{"s", {{"a", 1}}}};
  const Tokenizer tokenizer = demo_tokenizer();
  if (!tokenizer.adds_bos()) EXPECT_FALSE(make_prompt_windows(short_one, tokenizer, 0));
}

}  // namespace
}  // namespace assay
