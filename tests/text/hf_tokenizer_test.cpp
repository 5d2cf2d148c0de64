// Hugging Face tokenizer files as tokenizer.ggml.* keys.
#include <gtest/gtest.h>

#include "assay/text/tokenizer.h"

namespace assay {
namespace {

Result<Metadata> translate(const std::string& fields) {
  HfDirectory directory;
  directory.tokenizer_json = R"({"model": {"type": "BPE", "vocab": {"a": 0, "1": 1}, "merges": []})" + fields + "}";
  return tokenizer_metadata(directory, 2);
}

std::string pre_of(const std::string& pre, const std::string& normalizer = "null") {
  const auto metadata = translate(", \"pre_tokenizer\": " + pre + ", \"normalizer\": " + normalizer);
  return metadata ? **metadata->get_string("tokenizer.ggml.pre") : metadata.error().message;
}

const std::string kBytes = R"({"type": "ByteLevel", "use_regex": )";
std::string split_by(const std::string& regex) {
  return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ")" + regex + R"("}}, )" + kBytes + "false}]}";
}
const std::string kQwen2 = split_by(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?x)");

// The pre-tokenizer is told by the structure of tokenizer.json, not by the model's name.
TEST(HfTokenizer, PreTokenizerIsRecognisedByItsStructure) {
  EXPECT_EQ(pre_of(kBytes + "true}"), "gpt-2");
  EXPECT_EQ(pre_of(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, )" + kBytes + "true}]}"),
            "smollm");
  EXPECT_EQ(pre_of(split_by(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?x)")), "llama-bpe");
  EXPECT_EQ(pre_of(kQwen2, R"({"type": "NFC"})"), "qwen2");
  EXPECT_EQ(pre_of(kQwen2), "deepseek-r1-qwen");
  EXPECT_NE(pre_of(split_by("something else")).find("something else"), std::string::npos);
}

// A normalizer that ids cannot be given for is refused by name, never left out.
TEST(HfTokenizer, OtherNormalizersAreRefused) {
  EXPECT_EQ(pre_of(kBytes + "true}", R"({"type": "Sequence", "normalizers": []})"), "gpt-2");
  EXPECT_NE(pre_of(kBytes + "true}", R"({"type": "Lowercase"})").find("Lowercase"), std::string::npos);
  EXPECT_NE(pre_of(kBytes + "true}", R"({"type": "NFC"})").find("NFC"), std::string::npos);
}

TEST(HfTokenizer, SpacePrefixFollowsTheNormalizer) {
  const std::string model = R"("model": {"type": "BPE", "byte_fallback": true, "vocab": {"a": 0, "1": 1}, "merges": []}, )";
  const auto prefix = [&](const std::string& rest) {
    HfDirectory directory;
    directory.tokenizer_json = "{" + model + rest + "}";
    const auto metadata = tokenizer_metadata(directory, 2);
    EXPECT_TRUE(metadata);
    return metadata->get_bool("tokenizer.ggml.add_space_prefix")->value_or(true);
  };
  EXPECT_TRUE(prefix(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend"}, {"type": "Replace"}]})"));
  EXPECT_FALSE(prefix(R"("normalizer": {"type": "Replace"})"));
  EXPECT_TRUE(prefix(R"("normalizer": null, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"})"));
  EXPECT_FALSE(prefix(R"("normalizer": null, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "never"})"));
}

// vocab.json with merges.txt alone: GPT-2's class makes <|endoftext|> its only special token.
TEST(HfTokenizer, VocabularyAndMergesAloneAreGpt2) {
  HfDirectory directory;
  directory.vocab_json = R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})";
  directory.merges_txt = "#version: 0.2\na b\n";
  const auto metadata = tokenizer_metadata(directory, 4);
  ASSERT_TRUE(metadata) << metadata.error().message;
  EXPECT_EQ(*metadata->get_u64("tokenizer.ggml.eos_token_id"), 3u);
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->pre_tokenizer(), "gpt-2");
  EXPECT_EQ(tokenizer->encode("ab<|endoftext|>b"), (std::vector<TokenId>{2, 3, 1}));
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(HfTokenizer, MissingIdsBecomePadding) {
  HfDirectory directory;
  directory.vocab_json = R"({"a": 0, "b": 2})";
  directory.merges_txt = "#version: 0.2\n";
  const auto metadata = tokenizer_metadata(directory, 4);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->vocab_size(), 4u);
  EXPECT_EQ(tokenizer->token_text(1), "[PAD1]");
  EXPECT_EQ(tokenizer->token_text(3), "[PAD3]");
}

TEST(HfTokenizer, DamagedFilesAreNamed) {
  HfDirectory directory;
  const auto error = [&] {
    const auto metadata = tokenizer_metadata(directory, 2);
    return metadata ? std::string() : metadata.error().message;
  };
  EXPECT_NE(error().find("tokenizer.json"), std::string::npos);
  directory.tokenizer_json = "[1]";
  EXPECT_NE(error().find("tokenizer.json"), std::string::npos);
  directory.tokenizer_json = R"({"model": {"type": "Unigram"}})";
  EXPECT_NE(error().find("Unigram"), std::string::npos);
  directory.tokenizer_json = R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}}})";
  EXPECT_NE(error().find("id 0"), std::string::npos);
}

}  // namespace
}  // namespace assay
