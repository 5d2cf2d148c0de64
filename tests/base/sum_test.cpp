#include "assay/base/sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "assay/base/random.h"

namespace assay {
namespace {

TEST(CompensatedSum, KeepsWhatPlainAdditionLoses) {
  CompensatedSum sum;
  for (const double value : {1.0, 1e100, 1.0, -1e100}) sum.add(value);
  EXPECT_EQ(sum.value(), 2.0);  // plain addition gives 0
}

TEST(CompensatedSum, OrderAndMergingDoNotMatter) {
  CounterRandom random(3, 0);
  std::vector<double> values;
  for (int i = 0; i < 10'000; ++i) values.push_back(random.next_normal() * std::exp2(static_cast<double>(random.next_below(60))));
  const auto total = [&](size_t begin, size_t end) {
    CompensatedSum sum;
    for (size_t i = begin; i < end; ++i) sum.add(values[i]);
    return sum;
  };
  const double whole = total(0, values.size()).value();
  CompensatedSum merged = total(0, 3000);
  merged.merge(total(3000, 3001));
  merged.merge(total(3001, values.size()));
  EXPECT_NEAR(merged.value(), whole, 1e-15 * std::exp2(60));
  std::reverse(values.begin(), values.end());
  EXPECT_NEAR(total(0, values.size()).value(), whole, 1e-15 * std::exp2(60));
}

// 1, 2, 3, 4: mean 2.5, mean square 7.5, variance of the mean (7.5 - 6.25) / 3.
TEST(Moments, ByHand) {
  Moments moments;
  EXPECT_EQ(moments.mean(), 0);
  EXPECT_EQ(moments.iid_standard_error(), 0);
  for (const double value : {1.0, 2.0, 3.0, 4.0}) moments.add(value);
  EXPECT_EQ(moments.count(), 4u);
  EXPECT_EQ(moments.sum(), 10);
  EXPECT_EQ(moments.mean(), 2.5);
  EXPECT_EQ(moments.mean_square(), 7.5);
  EXPECT_DOUBLE_EQ(moments.iid_standard_error(), std::sqrt(1.25 / 3));
  Moments first, second;
  for (const double value : {1.0, 2.0}) first.add(value);
  for (const double value : {3.0, 4.0}) second.add(value);
  first.merge(second);
  EXPECT_EQ(first.mean(), moments.mean());
  EXPECT_EQ(first.iid_standard_error(), moments.iid_standard_error());
}

TEST(Moments, EqualValuesHaveNoError) {
  Moments moments;
  for (int i = 0; i < 100; ++i) moments.add(0.1);
  EXPECT_NEAR(moments.iid_standard_error(), 0, 1e-9);
}

}  // namespace
}  // namespace assay
