#include "assay/base/payload.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace assay {
namespace {

using testing::HasSubstr;

const std::vector<double> kReals = {1.5, -0.0, 5e-324};
const std::vector<float> kFloats = {3.25f, -1e-40f};

std::string written() {
  PayloadWriter writer;
  writer.add(uint64_t{42});
  writer.add("text");
  writer.add(-2.5, "x");
  writer.add(std::span<const double>(kReals), "reals");
  writer.add(std::span<const float>(kFloats), "floats");
  return *std::move(writer).finish();
}

TEST(Payload, ComesBack) {
  const std::string bytes = written();
  EXPECT_EQ(bytes.size(), 8u + (8 + 4) + 8 + (8 + 24) + (8 + 8));
  PayloadReader reader(bytes);
  EXPECT_EQ(reader.number(), 42u);
  EXPECT_EQ(reader.text(), "text");
  EXPECT_EQ(reader.real(), -2.5);
  EXPECT_EQ(reader.reals(), kReals);
  EXPECT_EQ(reader.floats(), kFloats);
  EXPECT_TRUE(reader.finish());
}

// R10: a result that is not finite is not a finished unit.
TEST(Payload, R10_NotFiniteIsRefusedByName) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    PayloadWriter one;
    one.add(bad, "mean_kl");
    const auto refused = std::move(one).finish();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(refused.error().message, HasSubstr("'mean_kl' is not finite"));
    PayloadWriter many;
    const std::vector<double> values = {1, bad};
    many.add(std::span<const double>(values), "kl");
    EXPECT_THAT(std::move(many).finish().error().message, HasSubstr("'kl' [1] is not finite"));
  }
  const double bad = std::nan("");
  const std::string bytes(reinterpret_cast<const char*>(&bad), sizeof bad);
  PayloadReader reader(bytes);
  reader.real();
  EXPECT_FALSE(reader.finish());
}

TEST(Payload, EveryCutIsNoticed) {
  const std::string bytes = written();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    PayloadReader reader(cut);
    reader.number(), reader.text(), reader.real(), reader.reals(), reader.floats();
    EXPECT_FALSE(reader.finish()) << size;
  }
}

TEST(Payload, SurplusBytesAreNoticed) {
  const std::string bytes = written() + "x";
  PayloadReader reader(bytes);
  reader.number(), reader.text(), reader.real(), reader.reals(), reader.floats();
  EXPECT_THAT(reader.finish().error().message, HasSubstr("1 bytes too many"));
}

// A length of 2^64-1 must not be believed, multiplied or allocated.
TEST(Payload, LyingLengthsAreRefused) {
  for (const uint64_t count : {~uint64_t{0}, uint64_t{1} << 61, uint64_t{3}}) {
    PayloadWriter writer;
    writer.add(count);
    writer.add(uint64_t{0});
    const std::string bytes = *std::move(writer).finish();
    PayloadReader text(bytes), reals(bytes), floats(bytes);
    EXPECT_EQ(reals.reals().size(), 0u);
    EXPECT_FALSE(reals.finish());
    EXPECT_EQ(floats.floats().size(), 0u);
    EXPECT_FALSE(floats.finish());
    EXPECT_TRUE(count <= 8 || text.text().empty());
  }
}

}  // namespace
}  // namespace assay
