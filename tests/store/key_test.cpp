#include "assay/store/key.h"

#include <gmock/gmock.h>

#include <limits>

#include "assay/base/sha256.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

UnitKey key() {
  UnitKey key("sweep");
  key.add("model", "0123").add("ctx", 512).add("seed", uint64_t{1} << 63).add("fraction", 0.25);
  return key;
}

TEST(UnitKey, TextNamesEveryField) { EXPECT_EQ(key().text(), "model=0123\nctx=512\nseed=9223372036854775808\nfraction=0.25\n"); }

TEST(UnitKey, HashIsOfKindAndFields) { EXPECT_EQ(key().hex(), sha256_hex("assay unit\nsweep\n" + key().text())); }

TEST(UnitKey, EverythingCounts) {
  const std::string hex = key().hex();
  EXPECT_EQ(key().hex(), hex);
  EXPECT_NE(key().add("more", "").hex(), hex);
  EXPECT_NE(UnitKey("score").add("model", "0123").hex(), UnitKey("sweep").add("model", "0123").hex());
  EXPECT_NE(UnitKey("k").add("a", "1").add("b", "2").hex(), UnitKey("k").add("b", "2").add("a", "1").hex());
  EXPECT_NE(UnitKey("k").add("x", 0.1).hex(), UnitKey("k").add("x", 0.1 + std::numeric_limits<double>::epsilon() / 8).hex());
}

// A value cannot pretend to be two fields.
TEST(UnitKey, LineBreaksAreEscaped) {
  EXPECT_NE(UnitKey("k").add("a", "1\nb=2").hex(), UnitKey("k").add("a", "1").add("b", "2").hex());
  EXPECT_NE(UnitKey("k").add("a", "1\\nb").hex(), UnitKey("k").add("a", "1\nb").hex());
  EXPECT_EQ(UnitKey("k").add("a", "1\nb=2").text(), "a=1\\nb=2\n");
}

TEST(UnitKey, DifferencesAreNamed) {
  UnitKey other("sweep");
  other.add("model", "0123").add("ctx", 1024).add("fraction", 0.25).add("device", "cuda");
  EXPECT_THAT(differing_fields(key().text(), other.text()), ElementsAre("ctx", "seed", "device"));
  EXPECT_THAT(differing_fields(key().text(), key().text()), IsEmpty());
  EXPECT_THAT(differing_fields("", "no equals sign\n"), ElementsAre("no equals sign"));
}

}  // namespace
}  // namespace assay
