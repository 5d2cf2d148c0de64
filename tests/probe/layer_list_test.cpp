#include "assay/probe/layer_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LayerList, RangesAndSingles) {
  const auto ranges = parse_layers("0-5,9");
  ASSERT_TRUE(ranges);
  EXPECT_THAT(*ranges, ElementsAre(LayerRange{0, 5}, LayerRange{9, 9}));
  EXPECT_THAT(layers_of(*ranges, 10).value(), ElementsAre(0, 1, 2, 3, 4, 5, 9));
  EXPECT_THAT(layers_of({{2, 2}, {0, 1}, {1, 2}}, 5).value(), ElementsAre(0, 1, 2));
  EXPECT_THAT(layers_of({}, 3).value(), ElementsAre(0, 1, 2));
}

TEST(LayerList, Refuses) {
  for (const char* text : {"", ",", "1,", "-", "1-", "-1", "a", "1-2-3", "1 ", "0x1", "100000", "99999999999999999999", "+1"}) {
    const auto ranges = parse_layers(text);
    ASSERT_FALSE(ranges) << text;
    EXPECT_THAT(ranges.error().message, HasSubstr("write 0-5,9")) << text;
  }
  EXPECT_THAT(parse_layers("5-3").error().message, HasSubstr("run backwards in '5-3'"));
  EXPECT_THAT(layers_of({{0, 9}}, 9).error().message, HasSubstr("9 is past the end; the model has layers 0 to 8"));
}

}  // namespace
}  // namespace assay
