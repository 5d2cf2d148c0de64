// A vocabulary small enough to work out by hand, for tests of the room text/.
#pragma once

#include <initializer_list>
#include <string>

#include "assay/file/metadata.h"

namespace assay {

inline StringList string_list(std::initializer_list<const char*> texts) {
  StringList list;
  for (const char* text : texts) list.push_back(text);
  return list;
}

// Ids 0.. : h e l o he ll hell <|end|> space (U+0120). Merges: "he" first, then "ll", then "hell".
inline Metadata toy_vocabulary() {
  Metadata metadata;
  metadata.set("tokenizer.ggml.model", MetaValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", MetaValue::string("gpt-2"));
  metadata.set("tokenizer.ggml.tokens", MetaValue::strings(string_list({"h", "e", "l", "o", "he", "ll", "hell", "<|end|>", "\xC4\xA0"})));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 1, 1, 1, 1, 1, 1, 3, 1}));
  metadata.set("tokenizer.ggml.merges", MetaValue::strings(string_list({"h e", "l l", "he ll"})));
  return metadata;
}

// SentencePiece: <unk> <s> </s> <0x41> a b ab, space (U+2581), space+a, two spaces. "ab" has the best score.
inline Metadata toy_sentencepiece() {
  Metadata metadata;
  metadata.set("tokenizer.ggml.model", MetaValue::string("llama"));
  metadata.set("tokenizer.ggml.tokens", MetaValue::strings(string_list({"<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab", "\xE2\x96\x81",
                                                                        "\xE2\x96\x81"
                                                                        "a",
                                                                        "\xE2\x96\x81\xE2\x96\x81"})));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({2, 3, 3, 6, 1, 1, 1, 1, 1, 1}));
  metadata.set("tokenizer.ggml.scores", MetaValue::f32s({0, 0, 0, 0, -9, -9, -1, -9, -2, -3}));
  return metadata;
}

}  // namespace assay
