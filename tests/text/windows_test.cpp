#include "assay/text/windows.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/text/toy_vocabulary.h"

namespace assay {
namespace {

Tokenizer toy(bool adds_bos = false) {
  Metadata metadata = toy_vocabulary();
  metadata.set("tokenizer.ggml.bos_token_id", MetaValue::u32(7));
  metadata.set("tokenizer.ggml.add_bos_token", MetaValue::boolean(adds_bos));
  return *Tokenizer::from_metadata(metadata);
}

ProbeSet windows(const std::string& text, const WindowOptions& options, bool adds_bos = false) {
  const auto set = make_windows(text, toy(adds_bos), options);
  EXPECT_TRUE(set) << set.error().message;
  return set ? *set : ProbeSet{};
}

// A: floor(20 / 8) windows, the predictions of positions 4, 5 and 6 of each (methods.md 1.2: ctx - 1 - ctx/2 of them).
TEST(Windows, ConventionAScoresTheSecondHalf) {
  const ProbeSet set = windows(std::string(20, 'o'), {.ctx = 8});
  ASSERT_EQ(set.windows.size(), 2u);
  EXPECT_EQ(set.windows[1].score_begin, 4u);
  EXPECT_EQ(set.windows[1].score_end, 7u);
  EXPECT_EQ(set.tokens_scored, 6u);
  EXPECT_EQ(set.text_tokens, 20u);
  EXPECT_EQ(windows(std::string(512, 'o'), {}).tokens_scored, 255u);
}

// A with BOS: it is part of the tokenized text, and stands in for the first token of every window; labels keep the text.
TEST(Windows, ConventionAPutsBosFirstInEveryWindow) {
  const ProbeSet set = windows("ohohohoh", {.ctx = 4}, true);
  ASSERT_EQ(set.windows.size(), 2u);  // BOS o h o | h o h o | h
  EXPECT_EQ(set.windows[0].tokens, (std::vector<TokenId>{7, 3, 0, 3}));
  EXPECT_EQ(set.windows[1].tokens, (std::vector<TokenId>{7, 3, 0, 3}));
  EXPECT_EQ(set.windows[1].labels, (std::vector<TokenId>{3, 0, 3}));
  EXPECT_EQ(windows("ohohohoh", {.ctx = 4}).windows[1].tokens, (std::vector<TokenId>{3, 0, 3, 0}));
}

// D: every prediction of every window; BOS once, at the start of the text; all lines joined by a blank line.
TEST(Windows, ConventionDScoresAllAndAddsBosOnce) {
  const WindowOptions full{.rule = WindowRule::kFull, .ctx = 8};
  const ProbeSet set = windows(std::string(20, 'o'), full);
  EXPECT_EQ(set.windows.size(), 2u);
  EXPECT_EQ(set.windows[0].score_begin, 0u);
  EXPECT_EQ(set.tokens_scored, 14u);
  const ProbeSet bos = windows(std::string(20, 'o'), full, true);
  EXPECT_EQ(bos.windows[0].tokens[0], 7);
  EXPECT_EQ(bos.windows[1].tokens[0], 3);
  EXPECT_EQ(bos.text_tokens, 21u);
}

// E and G: lines with text only, joined by a blank line, no BOS even where the vocabulary adds it. Newlines are no tokens of the toy
// vocabulary, so the joined text is told by the offsets: it is compared as text through a vocabulary with a newline.
TEST(Windows, ConventionsEAndGJoinLinesWithText) {
  Metadata metadata = toy_vocabulary();
  metadata.set("tokenizer.ggml.tokens",
               MetaValue::strings(string_list({"h", "e", "l", "o", "he", "ll", "hell", "<|end|>", "\xC4\xA0", "\xC4\x8A"})));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 1, 1, 1, 1, 1, 1, 3, 1, 1}));
  metadata.set("tokenizer.ggml.bos_token_id", MetaValue::u32(7));
  metadata.set("tokenizer.ggml.add_bos_token", MetaValue::boolean(true));
  const auto tokenizer = Tokenizer::from_metadata(metadata);
  ASSERT_TRUE(tokenizer);
  const std::string text = "o\n \n\nh\no\n";
  const auto tokens = [&](LineJoin join) {
    return make_windows(text, *tokenizer, {.rule = WindowRule::kFull, .ctx = 7, .join = join})->windows[0].tokens;
  };
  EXPECT_EQ(tokens(LineJoin::kNonblank), (std::vector<TokenId>{3, 9, 9, 0, 9, 9, 3}));  // o \n\n h \n\n o
  EXPECT_EQ(tokens(LineJoin::kAll), (std::vector<TokenId>{7, 3, 9, 9, 8, 9, 9}));       // BOS o \n\n " " \n\n ...
  EXPECT_EQ(tokens(LineJoin::kNone), (std::vector<TokenId>{7, 3, 9, 8, 9, 9, 0}));
}

// H: one window of the first N tokens, all N - 1 predictions.
TEST(Windows, ConventionHTakesOneWindow) {
  const ProbeSet set = windows(std::string(20, 'o'), {.ctx = 8, .max_tokens = 15}, true);
  ASSERT_EQ(set.windows.size(), 1u);
  EXPECT_EQ(set.tokens_scored, 14u);
  EXPECT_EQ(set.windows[0].tokens[0], 3);
  EXPECT_EQ(windows(std::string(20, 'o'), {.max_tokens = 500}).tokens_scored, 19u);  // a shorter text: all of it
}

TEST(Windows, ChunksTakesTheFirst) {
  EXPECT_EQ(windows(std::string(40, 'o'), {.ctx = 8, .chunks = 3}).windows.size(), 3u);
  EXPECT_EQ(windows(std::string(40, 'o'), {.ctx = 8, .chunks = 99}).windows.size(), 5u);
}

TEST(Windows, ShortTextsAndSmallContextsAreNamed) {
  const auto short_text = make_windows(std::string(20, 'o'), toy(), {.ctx = 32});
  ASSERT_FALSE(short_text);
  EXPECT_NE(short_text.error().message.find("20 tokens"), std::string::npos) << short_text.error().message;
  const auto small = make_windows("oooo", toy(), {.ctx = 2});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::kUsage);
  EXPECT_NE(small.error().message.find("--ctx"), std::string::npos);
}

// Scored tokens of window 0 (positions 1..3): two of the first document, one of the second. Of window 1: the second's.
TEST(Windows, KeepTheDocumentOfMostScoredTokens) {
  const WindowOptions full{.rule = WindowRule::kFull, .ctx = 4, .document_separator = "-"};
  const ProbeSet set = windows("ooo\n-\nooooo\n", full);
  ASSERT_EQ(set.windows.size(), 2u);
  EXPECT_EQ(set.windows[0].document, 0u);
  EXPECT_EQ(set.windows[1].document, 1u);
  EXPECT_EQ(set.documents, 2u);
  const ProbeSet tie = windows("ooo\n-\nooooo\n", {.ctx = 6, .document_separator = "-"});  // scored: tokens 4 and 5
  EXPECT_EQ(tie.documents, 1u);
  EXPECT_EQ(windows("oooo\n-\noooo\n-\noooo\n", full).documents, 3u);
}

TEST(Windows, JsonLinesAreRecognisedAndChecked) {
  const WindowOptions full{.rule = WindowRule::kFull, .ctx = 4};
  const std::string text = "{\"text\": \"oooo\"}\n\n{\"text\": \"ohoh\", \"id\": 1}\n";
  const ProbeSet set = windows(text, full);
  EXPECT_EQ(set.documents, 2u);
  EXPECT_EQ(set.windows[1].tokens, (std::vector<TokenId>{3, 0, 3, 0}));
  const auto broken = make_windows("{\"text\": \"oooo\"}\nnot json\n", toy(), full);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("line 2"), std::string::npos);
  EXPECT_EQ(make_windows("{\"body\": \"hello oo\"}\n", toy(), full)->documents, 1u);  // any other text is text
  WindowOptions forced = full;
  forced.jsonl = true;
  EXPECT_FALSE(make_windows("{\"body\": \"hello oo\"}\n", toy(), forced));
}

TEST(Windows, FingerprintChangesWithTextAndOptions) {
  const std::string text(40, 'o');
  const std::string base = windows(text, {.ctx = 8}).fingerprint;
  EXPECT_EQ(windows(text, {.ctx = 8}).fingerprint, base);
  EXPECT_NE(windows(text, {.ctx = 16}).fingerprint, base);
  EXPECT_NE(windows(text + "h", {.ctx = 8}).fingerprint, base);
  EXPECT_NE(windows(text, {.rule = WindowRule::kFull, .ctx = 8}).fingerprint, base);
  EXPECT_NE(windows(text, {.ctx = 8, .join = LineJoin::kNonblank}).fingerprint, base);
  EXPECT_NE(windows(text, {.ctx = 8}, true).fingerprint, base);
}

TEST(Windows, CorpusIsReadFromAFile) {
  const std::string path = testing::TempDir() + "assay-corpus.txt";
  std::ofstream(path) << "hello\n";
  EXPECT_EQ(*read_corpus(path), "hello\n");
  const auto missing = read_corpus(path + ".missing");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("assay-corpus.txt.missing"), std::string::npos);
}

}  // namespace
}  // namespace assay
