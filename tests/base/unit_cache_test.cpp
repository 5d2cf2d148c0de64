#include "assay/base/unit_cache.h"

#include <gtest/gtest.h>

#include <map>

namespace assay {
namespace {

class MapCache final : public UnitCache {
 public:
  Result<std::optional<std::string>> find(std::string_view unit) override {
    const auto found = units.find(std::string(unit));
    return found == units.end() ? std::optional<std::string>() : std::optional<std::string>(found->second);
  }
  Status keep(std::string_view unit, std::string payload, double) override {
    if (full) return fail(ErrorCode::kNoSpace, "full");
    units[std::string(unit)] = std::move(payload);
    return {};
  }
  std::map<std::string, std::string> units;
  bool full = false;
};

TEST(UnitCache, WorkIsDoneOncePerUnit) {
  MapCache cache;
  int done = 0;
  const auto work = [&]() -> Result<std::string> { return std::to_string(++done); };
  EXPECT_EQ(*find_or_make(cache, "a", work), "1");
  EXPECT_EQ(*find_or_make(cache, "a", work), "1");
  EXPECT_EQ(*find_or_make(cache, "b", work), "2");
  EXPECT_EQ(done, 2);
}

TEST(UnitCache, WithoutOneEverythingIsDoneEachTime) {
  int done = 0;
  const auto work = [&]() -> Result<std::string> { return std::to_string(++done); };
  EXPECT_EQ(*find_or_make(no_unit_cache(), "a", work), "1");
  EXPECT_EQ(*find_or_make(no_unit_cache(), "a", work), "2");
}

TEST(UnitCache, FailedWorkIsNotKeptAndAFullCacheIsAnError) {
  MapCache cache;
  EXPECT_FALSE(find_or_make(cache, "a", []() -> Result<std::string> { return fail(ErrorCode::kInterrupted, "stop"); }));
  EXPECT_TRUE(cache.units.empty());
  cache.full = true;
  const auto refused = find_or_make(cache, "a", []() -> Result<std::string> { return std::string("x"); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace assay
