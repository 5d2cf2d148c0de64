#include "assay/text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "assay/base/random.h"
#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "assay/text/pre_tokenizer.h"
#include "assay/text/windows.h"

namespace assay {
namespace {

const std::string kShared = ASSAY_SOURCE_DIR "/../shared/data/tokenizers/";

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// llama.cpp's test files: cases separated by a marker line, one line of ids per case.
void expect_ids(const Tokenizer& tokenizer, const std::string& stem) {
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::string input = slurp(stem + ".inp");
  std::istringstream output(slurp(stem + ".out"));
  size_t cases = 0;
  for (std::string line; std::getline(output, line); ++cases) {
    const size_t end = input.find(marker);
    const std::string text = input.substr(0, end);
    input = end == std::string::npos ? "" : input.substr(end + marker.size());
    std::istringstream numbers(line);
    std::vector<TokenId> expected;
    for (TokenId id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer.encode(text, {false, false}), expected) << stem << " case " << cases << ": " << printable(text);
  }
  EXPECT_GT(cases, 20u);
}

class VocabularyTest : public testing::TestWithParam<const char*> {};

TEST_P(VocabularyTest, GivesTheExpectedIds) {
  const std::string stem = kShared + "ggml-vocab/ggml-vocab-" + GetParam() + ".gguf";
  if (!std::filesystem::exists(stem)) GTEST_SKIP() << "no ../shared/data here";
  const auto file = Gguf::open(stem);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::from_metadata(file->metadata());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_ids(*tokenizer, stem);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, VocabularyTest, testing::Values("gpt-2", "llama-spm", "phi-3", "deepseek-coder"),
                         [](const auto& name) { std::string text = name.param; std::replace(text.begin(), text.end(), '-', '_'); return text; });

HfDirectory hf(const std::string& path) {
  HfDirectory directory;
  directory.path = path;
  directory.tokenizer_json = slurp(path + "/tokenizer.json");
  directory.tokenizer_config_json = slurp(path + "/tokenizer_config.json");
  directory.vocab_json = slurp(path + "/vocab.json");
  directory.merges_txt = slurp(path + "/merges.txt");
  return directory;
}

TEST(HfTokenizer, Qwen2FromVocabularyAndMergesGivesTheExpectedIds) {
  if (!std::filesystem::exists(kShared + "qwen2.5")) GTEST_SKIP() << "no ../shared/data here";
  const auto metadata = tokenizer_metadata(hf(kShared + "qwen2.5"), 151936);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->pre_tokenizer(), "qwen2");
  EXPECT_EQ(tokenizer->vocab_size(), 151936u);
  expect_ids(*tokenizer, kShared + "ggml-vocab/ggml-vocab-qwen2.gguf");
}

// The pre-tokenizer is told by the structure of tokenizer.json, not by the model's name.
TEST(HfTokenizer, PreTokenizerIsRecognisedByItsStructure) {
  const auto recognised = [](const std::string& pre) {
    HfDirectory directory;
    directory.tokenizer_json = R"({"model": {"type": "BPE", "vocab": {"a": 0, "1": 1}, "merges": []}, "pre_tokenizer": )" + pre + "}";
    const auto metadata = tokenizer_metadata(directory, 2);
    return metadata ? **metadata->get_string("tokenizer.ggml.pre") : metadata.error().message;
  };
  const std::string bytes = R"({"type": "ByteLevel", "use_regex": )";
  EXPECT_EQ(recognised(bytes + "true}"), "gpt-2");
  EXPECT_EQ(recognised(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, )" + bytes + "true}]}"), "smollm");
  const auto split = [&](const std::string& regex) {
    return recognised(R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ")" + regex + R"("}}, )" + bytes + "false}]}");
  };
  EXPECT_EQ(split(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?x)"), "llama-bpe");
  EXPECT_EQ(split(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?x)"), "qwen2");
  EXPECT_NE(split("something else").find("something else"), std::string::npos);
}

// A toy vocabulary whose merges are worked out by hand: h e l o w r d, "he" first, then "ll", then "hell".
Metadata toy() {
  Metadata metadata;
  StringList tokens, merges;
  for (const char* token : {"h", "e", "l", "o", "he", "ll", "hell", "<|end|>", "\xC4\xA0"}) tokens.push_back(token);  // U+0120: space
  for (const char* merge : {"h e", "l l", "he ll"}) merges.push_back(merge);
  metadata.set("tokenizer.ggml.model", MetaValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", MetaValue::string("gpt-2"));
  metadata.set("tokenizer.ggml.tokens", MetaValue::strings(std::move(tokens)));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 1, 1, 1, 1, 1, 1, 3, 1}));
  metadata.set("tokenizer.ggml.merges", MetaValue::strings(std::move(merges)));
  return metadata;
}

TEST(Tokenizer, MergesByRankAndFindsSpecials) {
  const auto tokenizer = Tokenizer::from_metadata(toy());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("hello"), (std::vector<TokenId>{6, 3}));
  EXPECT_EQ(tokenizer->encode("lllo"), (std::vector<TokenId>{5, 2, 3}));
  std::vector<uint64_t> ends;
  EXPECT_EQ(tokenizer->encode("he<|end|>o", {}, ends), (std::vector<TokenId>{4, 7, 3}));
  EXPECT_EQ(ends, (std::vector<uint64_t>{2, 9, 10}));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{6, 3, 7}), "hello<|end|>");
}

TEST(Tokenizer, LongWordsMergeAsShortOnes) {
  const auto tokenizer = Tokenizer::from_metadata(toy());
  std::string text;
  std::vector<TokenId> expected;
  for (int i = 0; i < 100; ++i) {
    text += "hello";
    expected.insert(expected.end(), {6, 3});
  }
  EXPECT_EQ(tokenizer->encode(text), expected);  // one word of 500 characters: the heap
}

TEST(Tokenizer, DamagedMetadataIsNamed) {
  const auto broken = [](const char* key, MetaValue value) {
    Metadata metadata = toy();
    metadata.set(key, std::move(value));
    const auto tokenizer = Tokenizer::from_metadata(metadata);
    EXPECT_FALSE(tokenizer);
    return tokenizer ? std::string() : tokenizer.error().message;
  };
  EXPECT_NE(broken("tokenizer.ggml.token_type", MetaValue::i32s({1, 1})).find("token_type"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.tokens", MetaValue::u32(7)).find("tokens"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.bos_token_id", MetaValue::u32(99)).find("bos_token_id"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.model", MetaValue::string("wordpiece")).find("wordpiece"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.pre", MetaValue::string("mystery")).find("mystery"), std::string::npos);
}

TEST(Tokenizer, ByteLevelRoundTripsAnyText) {
  const std::string path = ASSAY_SOURCE_DIR "/demo/reference-9m";
  const auto directory = HfDirectory::open(path);
  ASSERT_TRUE(directory);
  const auto metadata = tokenizer_metadata(*directory, 8192);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  CounterRandom random(9, 9);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int c = 0; c < 40; ++c) {
      static const char* kPieces[] = {"a", " ", "\n", "\t", "Z", "7", "'s", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "  ", ".", "<", "|"};
      text += kPieces[random.next_below(std::size(kPieces))];
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
  EXPECT_EQ(replace_invalid_utf8("a\xFF" "b"), "a\xEF\xBF\xBD" "b");
}

// Twenty tokens "h", windows of 8: the scored positions of each convention, by hand.
TEST(Windows, ConventionsScoreWhatTheySay) {
  const auto tokenizer = Tokenizer::from_metadata(toy());
  ASSERT_TRUE(tokenizer);
  std::string text;
  for (int i = 0; i < 20; ++i) text += "o";
  WindowOptions options;
  options.ctx = 8;
  const auto a = make_windows(text, *tokenizer, options);
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->windows.size(), 2u);
  EXPECT_EQ(a->windows[0].score_begin, 4u);
  EXPECT_EQ(a->windows[0].score_end, 7u);
  EXPECT_EQ(a->tokens_scored, 6u);
  options.rule = WindowRule::kFull;
  const auto d = make_windows(text, *tokenizer, options);
  EXPECT_EQ(d->tokens_scored, 14u);
  options.max_tokens = 15;
  const auto h = make_windows(text, *tokenizer, options);
  EXPECT_EQ(h->windows.size(), 1u);
  EXPECT_EQ(h->tokens_scored, 14u);
  options.max_tokens = 0;
  options.ctx = 32;
  const auto short_text = make_windows(text, *tokenizer, options);
  ASSERT_FALSE(short_text);
  EXPECT_NE(short_text.error().message.find("20 tokens"), std::string::npos) << short_text.error().message;
}

TEST(Windows, DocumentsFollowTheirSeparators) {
  const auto tokenizer = Tokenizer::from_metadata(toy());
  WindowOptions options;
  options.ctx = 4;
  options.rule = WindowRule::kFull;
  const auto by_line = make_windows("oooo\nSEP\noooo\nSEP\noooo\n", *tokenizer, [&] {
    WindowOptions o = options;
    o.document_separator = "SEP";
    return o;
  }());
  ASSERT_TRUE(by_line) << by_line.error().message;
  EXPECT_EQ(by_line->documents, 3u);
  WindowOptions jsonl = options;
  jsonl.jsonl = true;
  const auto lines = make_windows("{\"text\": \"oooo\"}\n{\"text\": \"hehe\"}\n", *tokenizer, jsonl);
  ASSERT_TRUE(lines) << lines.error().message;
  const auto broken = make_windows("{\"text\": \"oooo\"}\nnot json\n", *tokenizer, jsonl);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("line 2"), std::string::npos);
}

}  // namespace
}  // namespace assay
