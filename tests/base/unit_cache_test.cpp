#include "assay/base/unit_cache.h"

#include <gtest/gtest.h>

#include "tests/base/map_unit_cache.h"

namespace assay {
namespace {

using testing_units::MapUnitCache;

TEST(UnitCache, WorkIsDoneOncePerUnit) {
  MapUnitCache cache;
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
  MapUnitCache cache;
  EXPECT_FALSE(find_or_make(cache, "a", []() -> Result<std::string> { return fail(ErrorCode::kInterrupted, "stop"); }));
  EXPECT_TRUE(cache.units.empty());
  cache.full = true;
  const auto refused = find_or_make(cache, "a", []() -> Result<std::string> { return std::string("x"); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace assay
