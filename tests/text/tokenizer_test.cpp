#include "assay/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "tests/text/samples.h"
#include "tests/text/toy_vocabulary.h"

namespace assay {
namespace {

const std::string kShared = ASSAY_SOURCE_DIR "/../shared/data/tokenizers/";

// llama.cpp's test files: cases separated by a marker line, one line of ids per case.
void expect_ids(const Tokenizer& tokenizer, const std::string& stem) {
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::string input = samples::slurp(stem + ".inp");
  std::istringstream output(samples::slurp(stem + ".out"));
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

Result<Metadata> read_metadata(const std::string& path, uint64_t vocab_size) {
  if (path.ends_with(".gguf")) {
    ASSAY_ASSIGN(const auto file, Gguf::open(path));
    return file.metadata();
  }
  HfDirectory directory;
  directory.path = path;
  directory.tokenizer_json = samples::slurp(path + "/tokenizer.json");
  directory.tokenizer_config_json = samples::slurp(path + "/tokenizer_config.json");
  directory.vocab_json = samples::slurp(path + "/vocab.json");
  directory.merges_txt = samples::slurp(path + "/merges.txt");
  return tokenizer_metadata(directory, vocab_size);
}

struct Pair {
  const char* ids;         // ggml-vocab-<ids>.gguf.inp and .out
  const char* vocabulary;  // below ../shared/data/tokenizers
  uint64_t size;
};
constexpr Pair kPairs[] = {{"gpt-2", "ggml-vocab/ggml-vocab-gpt-2.gguf", 0},
                           {"gpt-2", "gpt2", 50257},
                           {"llama-spm", "ggml-vocab/ggml-vocab-llama-spm.gguf", 0},
                           {"llama-spm", "llama2", 32000},
                           {"phi-3", "ggml-vocab/ggml-vocab-phi-3.gguf", 0},
                           {"deepseek-coder", "ggml-vocab/ggml-vocab-deepseek-coder.gguf", 0},
                           {"qwen2", "qwen2.5", 151936}};

class VocabularyTest : public testing::TestWithParam<Pair> {};

TEST_P(VocabularyTest, GivesTheExpectedIds) {
  const Pair& pair = GetParam();
  if (!std::filesystem::exists(kShared + pair.vocabulary)) GTEST_SKIP() << "no ../shared/data here";
  const auto metadata = read_metadata(kShared + pair.vocabulary, pair.size);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_ids(*tokenizer, kShared + "ggml-vocab/ggml-vocab-" + pair.ids + ".gguf");
}

INSTANTIATE_TEST_SUITE_P(Pairs, VocabularyTest, testing::ValuesIn(kPairs), [](const auto& pair) {
  std::string name = std::string(pair.param.ids) + "_from_" + std::filesystem::path(pair.param.vocabulary).stem().string();
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

// No .inp/.out pair is forgotten; llama-bpe comes without a vocabulary.
TEST(VocabularyPairs, AreAllCompared) {
  if (!std::filesystem::exists(kShared + "ggml-vocab")) GTEST_SKIP() << "no ../shared/data here";
  for (const auto& entry : std::filesystem::directory_iterator(kShared + "ggml-vocab")) {
    if (entry.path().extension() != ".inp") continue;
    const std::string name = entry.path().stem().stem().string().substr(std::string("ggml-vocab-").size());
    const bool compared = std::any_of(std::begin(kPairs), std::end(kPairs), [&](const Pair& pair) { return pair.ids == name; });
    EXPECT_TRUE(compared || name == "llama-bpe") << name;
  }
}

TEST(Tokenizer, MergesByRankAndFindsSpecials) {
  const auto tokenizer = Tokenizer::from_metadata(toy_vocabulary());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("hello"), (std::vector<TokenId>{6, 3}));
  EXPECT_EQ(tokenizer->encode("lllo"), (std::vector<TokenId>{5, 2, 3}));
  std::vector<uint64_t> ends;
  EXPECT_EQ(tokenizer->encode("he<|end|>o", {}, ends), (std::vector<TokenId>{4, 7, 3}));
  EXPECT_EQ(ends, (std::vector<uint64_t>{2, 9, 10}));
  EXPECT_EQ(tokenizer->encode("<|end|>", {.parse_special = false}), (std::vector<TokenId>{1}));  // of its characters only "e" is a token
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{6, 3, 7}), "hello<|end|>");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{6, 3, 7}, false), "hello");
}

TEST(Tokenizer, AddsBosAndEosAsTheVocabularySays) {
  Metadata metadata = toy_vocabulary();
  metadata.set("tokenizer.ggml.bos_token_id", MetaValue::u32(7));
  metadata.set("tokenizer.ggml.eos_token_id", MetaValue::u32(8));
  metadata.set("tokenizer.ggml.add_bos_token", MetaValue::boolean(true));
  metadata.set("tokenizer.ggml.add_eos_token", MetaValue::boolean(true));
  const auto both = Tokenizer::from_metadata(metadata);
  ASSERT_TRUE(both);
  std::vector<uint64_t> ends;
  EXPECT_EQ(both->encode("o", {.add_special = true}, ends), (std::vector<TokenId>{7, 3, 8}));
  EXPECT_EQ(ends, (std::vector<uint64_t>{0, 1, 1}));
  EXPECT_EQ(both->encode("o"), (std::vector<TokenId>{3}));
  metadata.set("tokenizer.ggml.add_bos_token", MetaValue::boolean(false));
  EXPECT_EQ(Tokenizer::from_metadata(metadata)->encode("o", {.add_special = true}), (std::vector<TokenId>{3, 8}));
}

// Composing (Qwen): ids are those of the composed text, ends those of the text given.
TEST(Tokenizer, ComposesWhereThePreTokenizerSaysSo) {
  Metadata metadata = toy_vocabulary();
  metadata.set("tokenizer.ggml.pre", MetaValue::string("qwen2"));
  metadata.set("tokenizer.ggml.tokens",
               MetaValue::strings(string_list({"e", "\xC3\x83", "\xC2\xA9", "\xC3\x83\xC2\xA9"})));  // the bytes of U+00E9, and both
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 1, 1, 1}));
  metadata.set("tokenizer.ggml.merges", MetaValue::strings(string_list({"\xC3\x83 \xC2\xA9"})));
  const auto qwen = Tokenizer::from_metadata(metadata);
  ASSERT_TRUE(qwen) << qwen.error().message;
  std::vector<uint64_t> ends;
  EXPECT_EQ(qwen->encode("ee\xCC\x81"
                         "e",
                         {}, ends),
            (std::vector<TokenId>{0, 3, 0}));
  EXPECT_EQ(ends, (std::vector<uint64_t>{1, 4, 5}));
  metadata.set("tokenizer.ggml.pre", MetaValue::string("gpt-2"));
  EXPECT_EQ(Tokenizer::from_metadata(metadata)->encode("e\xCC\x81"), (std::vector<TokenId>{0}));  // the mark's bytes are no tokens here
}

TEST(Tokenizer, ByteLevelRoundTripsAnyText) {
  const auto directory = HfDirectory::open(ASSAY_SOURCE_DIR "/demo/reference-9m");
  ASSERT_TRUE(directory);
  const auto metadata = tokenizer_metadata(*directory, 8192);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::vector<std::string> texts = samples::hand_written();
  for (std::string& text : samples::random_unicode(9, 500)) texts.push_back(std::move(text));
  for (const std::string& text : texts) {
    std::vector<uint64_t> ends;
    const auto ids = tokenizer->encode(text, {}, ends);
    EXPECT_EQ(tokenizer->decode(ids), text);
    EXPECT_TRUE(std::is_sorted(ends.begin(), ends.end()));
    EXPECT_TRUE(text.empty() || ends.back() == text.size());
  }
}

}  // namespace
}  // namespace assay
