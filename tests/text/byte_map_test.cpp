#include "assay/text/byte_map.h"

#include <gtest/gtest.h>

#include <set>

namespace assay {
namespace {

TEST(ByteMap, EveryByteHasItsOwnCharacter) {
  std::set<std::string_view> characters;
  for (int b = 0; b < 256; ++b) {
    const std::string_view character = character_of_byte(static_cast<unsigned char>(b));
    characters.insert(character);
    EXPECT_EQ(bytes_of_token(character), std::string(1, static_cast<char>(b)));
  }
  EXPECT_EQ(characters.size(), 256u);
  EXPECT_EQ(character_of_byte('A'), "A");
  EXPECT_EQ(character_of_byte(' '), "\xC4\xA0");   // U+0120
  EXPECT_EQ(character_of_byte('\n'), "\xC4\x8A");  // U+010A
}

TEST(ByteMap, OtherCharactersAreRefused) {
  EXPECT_EQ(bytes_of_token("a b"), std::nullopt);
  EXPECT_EQ(bytes_of_token("\xE2\x96\x81"), std::nullopt);
  EXPECT_EQ(bytes_of_token("\xC4"), std::nullopt);
  EXPECT_EQ(bytes_of_token(""), "");
}

}  // namespace
}  // namespace assay
