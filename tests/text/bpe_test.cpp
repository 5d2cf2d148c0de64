#include "assay/text/bpe.h"

#include <gtest/gtest.h>

#include "assay/base/random.h"
#include "assay/text/tokenizer.h"
#include "tests/text/toy_vocabulary.h"

namespace assay {
namespace {

TEST(MergeTable, KeepsTheFirstOfTwoAndGrows) {
  MergeTable table;
  EXPECT_EQ(table.find(1, 2), nullptr);
  table.add(1, 2, {5, 3});
  table.add(1, 2, {4, 9});
  ASSERT_NE(table.find(1, 2), nullptr);
  EXPECT_EQ(table.find(1, 2)->result, 3);
  EXPECT_EQ(table.find(2, 1), nullptr);
  for (TokenId i = 0; i < 5000; ++i) table.add(i, i + 7, {0, i});
  for (TokenId i = 0; i < 5000; ++i) ASSERT_EQ(table.find(i, i + 7)->result, i);
  EXPECT_EQ(table.find(5000, 5007), nullptr);
}

// The scan and the heap are two ways to the same answer.
TEST(MergeSymbols, HeapEqualsScan) {
  CounterRandom random(3, 3);
  for (int round = 0; round < 200; ++round) {
    MergeTable table;
    for (int i = 0; i < 30; ++i)
      table.add(static_cast<TokenId>(random.next_below(12)), static_cast<TokenId>(random.next_below(12)),
                {static_cast<float>(random.next_below(8)), static_cast<TokenId>(random.next_below(12))});
    const auto find = [&](TokenId a, TokenId b) { return table.find(a, b); };
    std::vector<TokenId> heap_ids;
    std::vector<uint32_t> heap_ends;
    const uint64_t length = bpe_detail::kScanLimit + 1 + random.next_below(200);
    for (uint32_t i = 0; i < length; ++i) heap_ids.push_back(static_cast<TokenId>(random.next_below(4))), heap_ends.push_back(i + 1);
    std::vector<TokenId> scan_ids = heap_ids;
    std::vector<uint32_t> scan_ends = heap_ends;
    merge_symbols(heap_ids, heap_ends, find);
    bpe_detail::merge_by_scan(scan_ids, scan_ends, [&](size_t i) { return find(scan_ids[i], scan_ids[i + 1]); });
    ASSERT_EQ(heap_ids, scan_ids) << round;
    ASSERT_EQ(heap_ends, scan_ends) << round;
  }
}

TEST(Bpe, LongWordsMergeAsShortOnes) {
  const auto tokenizer = Tokenizer::from_metadata(toy_vocabulary());
  std::string text;
  std::vector<TokenId> expected;
  for (int i = 0; i < 100; ++i) {
    text += "hello";
    expected.insert(expected.end(), {6, 3});
  }
  EXPECT_EQ(tokenizer->encode(text), expected);  // one word of 500 characters: the heap
}

// By hand: the best score merges first, so "ab" wins over space+a; unknown characters fall back to bytes.
TEST(SentencePiece, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = Tokenizer::from_metadata(toy_sentencepiece());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<TokenId>{7, 6}));
  EXPECT_EQ(tokenizer->encode("aa"), (std::vector<TokenId>{8, 4}));
  EXPECT_EQ(tokenizer->encode(" a"), (std::vector<TokenId>{7, 8}));  // two spaces and a: space+a scores above two spaces
  EXPECT_EQ(tokenizer->encode("  b"), (std::vector<TokenId>{9, 7, 5}));
  EXPECT_EQ(tokenizer->encode("A"), (std::vector<TokenId>{7, 3}));
  EXPECT_EQ(tokenizer->encode("a</s>a"), (std::vector<TokenId>{8, 2, 8}));  // a space before the text and after specials
  std::vector<uint64_t> ends;
  EXPECT_EQ(tokenizer->encode("a ab", {}, ends), (std::vector<TokenId>{8, 7, 6}));
  EXPECT_EQ(ends, (std::vector<uint64_t>{1, 2, 4}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a ab")), "a ab");
}

// Text is cut at spaces only where no token crosses one.
TEST(SentencePiece, TokensAcrossSpacesAreFound) {
  Metadata metadata = toy_sentencepiece();
  metadata.set("tokenizer.ggml.tokens",
               MetaValue::strings(string_list({"<unk>", "<s>", "</s>", "<0x41>", "a", "b", "a\xE2\x96\x81", "\xE2\x96\x81",
                                               "\xE2\x96\x81"
                                               "a",
                                               "a\xE2\x96\x81"
                                               "b"})));
  metadata.set("tokenizer.ggml.scores", MetaValue::f32s({0, 0, 0, 0, -9, -9, -1, -9, -2, -3}));
  metadata.set("tokenizer.ggml.add_space_prefix", MetaValue::boolean(false));
  const auto tokenizer = Tokenizer::from_metadata(metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("a b"), (std::vector<TokenId>{9}));
}

}  // namespace
}  // namespace assay
