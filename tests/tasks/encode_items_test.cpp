// Where context ends and continuation begins, BOS, cutting, and packing, with the bundled model's tokenizer.
#include "assay/tasks/encode_items.h"

#include <gtest/gtest.h>

#include "assay/model/checkpoint.h"
#include "assay/tasks/pack_items.h"

namespace assay {
namespace {

Tokenizer demo_tokenizer() {
  const auto checkpoint = Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m");
  return *Tokenizer::from_metadata((*checkpoint)->metadata());
}

TaskItem item_of(std::string context, std::vector<std::string> options) { return {{std::move(context)}, std::move(options), 0, 1}; }

Result<std::vector<EncodedItem>> encoded(const TaskItem& item, const Tokenizer& tokenizer, EncodeItemsOptions options = {}) {
  if (options.context == 0) options.context = 512;
  return encode_items({&item, 1}, tokenizer, "f", options);
}

TEST(EncodeItems, EndsTextsWherePythonDoes) {
  EXPECT_EQ(end_without_space("a b \n"), 3u);
  EXPECT_EQ(end_without_space(" \t "), 0u);
  EXPECT_EQ(end_without_space("a\u00a0\u3000\x1f"), 1u);
  EXPECT_EQ(end_without_space("a\u200b"), 4u);  // a zero-width space is none
  EXPECT_EQ(end_without_space(""), 0u);
}

TEST(EncodeItems, CutsTheWholeTextBehindTheContextsTokens) {
  const Tokenizer tokenizer = demo_tokenizer();
  const auto items = encoded(item_of("The capital of France is", {"Paris", "a large city"}), tokenizer);
  ASSERT_TRUE(items) << items.error().message;
  const EncodedItem& item = (*items)[0];
  const size_t context = tokenizer.encode("The capital of France is").size();
  EXPECT_EQ(item.options[0].tokens, tokenizer.encode("The capital of France is Paris"));
  EXPECT_EQ(item.options[1].tokens, tokenizer.encode("The capital of France is a large city"));
  EXPECT_EQ(item.options[0].scored_begin, context);
  EXPECT_GE(item.shared, context);
  EXPECT_FALSE(item.truncated());
}

TEST(EncodeItems, MovesWhiteSpaceToTheContinuation) {
  const Tokenizer tokenizer = demo_tokenizer();
  const auto items = encoded(item_of("Question: why? \n", {"So", "Not"}), tokenizer);
  ASSERT_TRUE(items);
  EXPECT_EQ((*items)[0].options[0].tokens, tokenizer.encode("Question: why? \n So"));
  EXPECT_EQ((*items)[0].options[0].scored_begin, tokenizer.encode("Question: why?").size());
}

TEST(EncodeItems, PutsBosWhereItIsWanted) {
  const Tokenizer tokenizer = demo_tokenizer();
  ASSERT_TRUE(tokenizer.bos());
  const TaskItem item = item_of("One", {"two", "three"});
  EncodeItemsOptions options;
  options.bos = BosRule::kAlways;
  const auto with = encoded(item, tokenizer, options);
  options.bos = BosRule::kNever;
  const auto without = encoded(item, tokenizer, options);
  ASSERT_TRUE(with && without);
  EXPECT_EQ((*with)[0].options[0].tokens[0], *tokenizer.bos());
  EXPECT_EQ((*with)[0].options[0].scored_begin, (*without)[0].options[0].scored_begin + 1);
  EXPECT_EQ((*with)[0].options[0].tokens.size(), (*without)[0].options[0].tokens.size() + 1);
  // An empty context is one token; so is one of white space alone, which belongs to the continuation.
  for (const char* context : {"", " \n"}) {
    const auto empty = encoded(item_of(context, {"two", "three"}), tokenizer, options);
    ASSERT_TRUE(empty) << empty.error().message;
    EXPECT_EQ((*empty)[0].options[0].tokens[0], *tokenizer.bos());
    EXPECT_EQ((*empty)[0].options[0].scored_begin, 1u);
    EXPECT_EQ((*empty)[0].options[0].scored(), tokenizer.encode(std::string(context) + " two").size());
  }
}

TEST(EncodeItems, CutsLongItemsFromTheLeft) {
  const Tokenizer tokenizer = demo_tokenizer();
  const TaskItem item = item_of("one two three four five six seven eight nine ten", {"eleven", "twelve and more"});
  EncodeItemsOptions options;
  options.context = 8;
  const auto items = encoded(item, tokenizer, options);
  ASSERT_TRUE(items) << items.error().message;
  for (size_t i = 0; i < 2; ++i) {
    const EncodedOption& option = (*items)[0].options[i];
    const auto whole = tokenizer.encode(item.contexts[0] + " " + item.continuations[i]);
    EXPECT_EQ(option.tokens.size(), 9u);  // 8 fed, and the last label
    EXPECT_EQ(option.cut, whole.size() - 9);
    EXPECT_TRUE(std::equal(option.tokens.begin(), option.tokens.end(), whole.end() - 9));
    EXPECT_EQ(option.scored(), whole.size() - tokenizer.encode(item.contexts[0]).size());
  }
  EXPECT_TRUE((*items)[0].truncated());
  options.context = 2;
  const auto refused = encoded(item_of("one", {"two", "a very long option that has many tokens"}), tokenizer, options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("f: line 1: option 1"), std::string::npos) << refused.error().message;
}

// Every option's fed tokens and labels are in the pack, at their positions.
TEST(PackItems, HoldsEveryOption) {
  const Tokenizer tokenizer = demo_tokenizer();
  std::vector<TaskItem> items = {item_of("The sky is", {"blue", "blue and wide", "green"}),
                                 item_of("", {"a b", "c"}),
                                 {{"Sarah was fast so Sarah", "Sarah was fast so Maria"}, {"won."}, 0, 1}};
  EncodeItemsOptions options;
  options.context = 512;
  const auto encoded = encode_items(items, tokenizer, "f", options);
  ASSERT_TRUE(encoded) << encoded.error().message;
  const PackedItems packed = pack_items(*encoded);
  ASSERT_EQ(packed.trees.size(), 3u);
  EXPECT_EQ(packed.options, 7u);
  const std::vector<int64_t> wanted = wanted_rows_of(packed.trees);
  const std::vector<int32_t> positions = positions_of(packed.trees, false), wanted_positions = positions_of(packed.trees, true);
  ASSERT_EQ(positions.size(), packed.tokens.size());
  std::vector<std::vector<TokenId>> labels(packed.options);
  for (const PackedItems::Target& target : packed.targets) {
    labels[target.option].push_back(target.label);
    ASSERT_LT(target.row, static_cast<int64_t>(wanted.size()));
  }
  size_t option = 0, rows = 0;
  for (const EncodedItem& item : *encoded) {
    rows += packed_rows(item);
    for (const EncodedOption& one : item.options) {
      EXPECT_EQ(labels[option], std::vector<TokenId>(one.tokens.begin() + static_cast<ptrdiff_t>(one.scored_begin), one.tokens.end()));
      for (const PackedItems::Target& target : packed.targets) {
        if (target.option != option) continue;
        const auto at = static_cast<size_t>(wanted_positions[static_cast<size_t>(target.row)]);
        EXPECT_EQ(packed.tokens[static_cast<size_t>(wanted[static_cast<size_t>(target.row)])], one.tokens[at]);
        EXPECT_EQ(target.label, one.tokens[at + 1]);
      }
      ++option;
    }
  }
  EXPECT_EQ(rows, packed.tokens.size());
  EXPECT_LT(rows, separate_rows((*encoded)[0]) + separate_rows((*encoded)[1]) + separate_rows((*encoded)[2]));
}

}  // namespace
}  // namespace assay
