// Tokenizer metadata: what is damaged is named.
#include <gtest/gtest.h>

#include "assay/text/tokenizer.h"
#include "tests/text/toy_vocabulary.h"

namespace assay {
namespace {

std::string error_of(Metadata metadata, const char* key, MetaValue value) {
  metadata.set(key, std::move(value));
  const auto tokenizer = Tokenizer::from_metadata(metadata);
  EXPECT_FALSE(tokenizer) << key;
  return tokenizer ? std::string() : tokenizer.error().message;
}

TEST(TokenizerRead, DamagedMetadataIsNamed) {
  ASSERT_TRUE(Tokenizer::from_metadata(toy_vocabulary()));
  const auto broken = [](const char* key, MetaValue value) { return error_of(toy_vocabulary(), key, std::move(value)); };
  EXPECT_NE(broken("tokenizer.ggml.token_type", MetaValue::i32s({1, 1})).find("token_type"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.tokens", MetaValue::u32(7)).find("tokens"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.bos_token_id", MetaValue::u32(99)).find("bos_token_id"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.model", MetaValue::string("wordpiece")).find("wordpiece"), std::string::npos);
  EXPECT_NE(broken("tokenizer.ggml.pre", MetaValue::string("mystery")).find("mystery"), std::string::npos);
}

TEST(TokenizerRead, DamagedScoresAreNamed) {
  ASSERT_TRUE(Tokenizer::from_metadata(toy_sentencepiece()));
  EXPECT_NE(error_of(toy_sentencepiece(), "tokenizer.ggml.scores", MetaValue::f32s({1})).find("scores"), std::string::npos);
}

TEST(TokenizerRead, FingerprintChangesWithTheVocabulary) {
  Metadata other = toy_vocabulary();
  EXPECT_EQ(Tokenizer::from_metadata(other)->fingerprint(), Tokenizer::from_metadata(toy_vocabulary())->fingerprint());
  other.set("tokenizer.ggml.merges", MetaValue::strings(string_list({"l l", "h e", "he ll"})));
  EXPECT_NE(Tokenizer::from_metadata(other)->fingerprint(), Tokenizer::from_metadata(toy_vocabulary())->fingerprint());
}

// A turn's end is a control token even where the file calls it user-defined: it is no token where specials are not parsed.
TEST(TokenizerRead, EndingsAreControlTokens) {
  Metadata metadata = toy_vocabulary();
  metadata.set("tokenizer.ggml.tokens", MetaValue::strings(string_list({"e", "<|end|>", "<|user|>"})));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 4, 4}));
  const auto tokenizer = Tokenizer::from_metadata(metadata);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("<|end|><|user|>"), (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(tokenizer->encode("<|end|><|user|>", {.parse_special = false}), (std::vector<TokenId>{0, 2}));
}

}  // namespace
}  // namespace assay
