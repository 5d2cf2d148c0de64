#include "assay/model/panel_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "assay/base/random.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

// float32 sums of a few hundred products of standard normal values.
constexpr double kTolerance = 2e-4;

std::vector<float> normal(uint64_t stream, int64_t n) {
  CounterRandom random(11, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(random.next_normal());
  return values;
}

float rounded(float value) { return bfloat16_to_float(float_to_bfloat16(value)); }

struct Case {
  int64_t rows, in, outputs;
};
// Row counts around the tile of 6 and the pass of 96; inputs around the pass of 128 and 256; a full panel and narrow ones.
constexpr Case kCases[] = {{1, 2, 1}, {5, 60, 64}, {6, 128, 17}, {7, 130, 33}, {95, 256, 64}, {97, 258, 48}, {200, 896, 64}};

class PanelProduct : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!(GetParam() ? panel::bf16_supported() : panel::float32_supported())) GTEST_SKIP() << "this CPU lacks the instructions";
  }
  // y (stride 70), before the call filled with `before`; `add` to what is there.
  std::vector<float> multiply(const Case& c, const std::vector<float>& x, const std::vector<float>& w, bool add, float before) const {
    std::vector<float> y(static_cast<size_t>(c.rows * kStride), before);
    return multiply(c, x, w, add ? y.data() : nullptr, kStride, y);
  }
  // y (stride 70) = addend + x w^T, or x w^T without one.
  std::vector<float> multiply(const Case& c, const std::vector<float>& x, const std::vector<float>& w, const float* addend,
                              int64_t addend_stride, std::vector<float>& y) const {
    multiply({c.rows, c.in, kStride, addend, addend_stride}, c, x, w, y.data());
    return y;
  }
  static void multiply(const panel::Rows& rows, const Case& c, const std::vector<float>& x, const std::vector<float>& w, float* y) {
    if (GetParam()) {
      std::vector<uint16_t> panel(static_cast<size_t>(panel::kOutputs * c.in)), operand(x.size());
      panel::pack_bf16(w.data(), c.in, c.outputs, panel.data());
      panel::round_bf16(x.data(), static_cast<int64_t>(x.size()), operand.data());
      panel::multiply_bf16(rows, operand.data(), panel.data(), c.outputs, y);
    } else {
      std::vector<float> panel(static_cast<size_t>(panel::kOutputs * c.in));
      panel::pack_float32(w.data(), c.in, c.outputs, panel.data());
      panel::multiply_float32(rows, x.data(), panel.data(), c.outputs, y);
    }
  }
  double exact(const Case& c, const std::vector<float>& x, const std::vector<float>& w, int64_t row, int64_t output) const {
    double sum = 0;
    for (int64_t i = 0; i < c.in; ++i) {
      const float a = x[static_cast<size_t>(row * c.in + i)], b = w[static_cast<size_t>(output * c.in + i)];
      sum += GetParam() ? static_cast<double>(rounded(a)) * rounded(b) : static_cast<double>(a) * b;
    }
    return sum;
  }
  static constexpr int64_t kStride = 70;
};

TEST_P(PanelProduct, EqualsTheDoubleProductOfItsOperands) {
  for (const Case& c : kCases) {
    const auto x = normal(1, c.rows * c.in), w = normal(2, c.outputs * c.in);
    const auto stored = multiply(c, x, w, false, 7.0f), added = multiply(c, x, w, true, 7.0f);
    for (int64_t r = 0; r < c.rows; ++r)
      for (int64_t o = 0; o < kStride; ++o) {
        const auto at = static_cast<size_t>(r * kStride + o);
        if (o >= c.outputs) {  // untouched
          ASSERT_EQ(stored[at], 7.0f);
          ASSERT_EQ(added[at], 7.0f);
          continue;
        }
        ASSERT_NEAR(stored[at], exact(c, x, w, r, o), kTolerance) << c.rows << "x" << c.in << " row " << r << " output " << o;
        ASSERT_EQ(added[at], 7.0f + stored[at]);  // the finished sum, once
      }
  }
}

TEST_P(PanelProduct, TheAddendMayLieElsewhere) {
  const Case c{20, 130, 33};
  const int64_t stride = 40;
  const auto x = normal(8, c.rows * c.in), w = normal(9, c.outputs * c.in), addend = normal(10, c.rows * stride);
  std::vector<float> y(static_cast<size_t>(c.rows * kStride), 7.0f);
  const auto sum = multiply(c, x, w, false, 0), added = multiply(c, x, w, addend.data(), stride, y);
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t o = 0; o < c.outputs; ++o) {
      const auto at = static_cast<size_t>(r * kStride + o);
      ASSERT_EQ(added[at], addend[static_cast<size_t>(r * stride + o)] + sum[at]);
    }
}

TEST_P(PanelProduct, StreamedResultsAreTheSame) {
  const Case c{100, 130, 64};
  const auto x = normal(14, c.rows * c.in), w = normal(15, c.outputs * c.in);
  std::vector<float> room(static_cast<size_t>(c.rows * 64 + 16));
  float* y = room.data();
  while (reinterpret_cast<uintptr_t>(y) % 64 != 0) ++y;
  multiply({c.rows, c.in, 64, nullptr, 0, true}, c, x, w, y);
  const auto stored = multiply(c, x, w, false, 0);
  for (int64_t r = 0; r < c.rows; ++r)
    EXPECT_EQ(std::memcmp(y + r * 64, stored.data() + r * kStride, static_cast<size_t>(c.outputs) * sizeof(float)), 0) << r;
}

TEST_P(PanelProduct, ARowIsTheSameAloneAndAmongOthers) {
  const Case all{131, 386, 64};
  const auto x = normal(3, all.rows * all.in), w = normal(4, all.outputs * all.in);
  const auto together = multiply(all, x, w, false, 0);
  for (const int64_t row : {0, 4, 5, 95, 96, 130}) {
    const std::vector<float> one(x.begin() + row * all.in, x.begin() + (row + 1) * all.in);
    const auto alone = multiply({1, all.in, all.outputs}, one, w, false, 0);
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + row * kStride, panel::kOutputs * sizeof(float)), 0) << row;
  }
}

TEST_P(PanelProduct, NanAndInfinitySpreadToTheirRowOnly) {
  const Case c{8, 64, 64};
  auto x = normal(5, c.rows * c.in);
  x[static_cast<size_t>(3 * c.in + 1)] = std::nanf("");
  x[static_cast<size_t>(6 * c.in)] = INFINITY;
  const auto y = multiply(c, x, normal(6, c.outputs * c.in), false, 0);
  for (int64_t r = 0; r < c.rows; ++r) EXPECT_EQ(std::isfinite(y[static_cast<size_t>(r * kStride)]), r != 3 && r != 6) << r;
}

INSTANTIATE_TEST_SUITE_P(Operands, PanelProduct, testing::Values(false, true),
                         [](const auto& operand) { return operand.param ? std::string("bf16") : std::string("float32"); });

// Both products of backward against the packed one: the same sums in the same order, so the same bytes.
TEST(PanelProductOfBackward, EqualsTheProductOfPackedWeights) {
  if (!panel::float32_supported()) GTEST_SKIP() << "this CPU lacks the instructions";
  constexpr int64_t kXGap = 3, kWGap = 5, kStride = 70;
  for (const Case& c : kCases) {
    const auto x = normal(8, c.rows * c.in), w = normal(9, c.outputs * c.in);
    std::vector<float> panel(static_cast<size_t>(panel::kOutputs * c.in));
    panel::pack_float32(w.data(), c.in, c.outputs, panel.data());
    std::vector<float> spaced_x(static_cast<size_t>(c.rows * (c.in + kXGap)), NAN),
        turned_x(static_cast<size_t>(c.in * (c.rows + kXGap)), NAN), turned_w(static_cast<size_t>(c.in * (c.outputs + kWGap)), NAN);
    for (int64_t i = 0; i < c.in; ++i) {
      for (int64_t r = 0; r < c.rows; ++r) {
        const float value = x[static_cast<size_t>(r * c.in + i)];
        spaced_x[static_cast<size_t>(r * (c.in + kXGap) + i)] = turned_x[static_cast<size_t>(i * (c.rows + kXGap) + r)] = value;
      }
      for (int64_t o = 0; o < c.outputs; ++o)
        turned_w[static_cast<size_t>(i * (c.outputs + kWGap) + o)] = w[static_cast<size_t>(o * c.in + i)];
    }
    for (const bool add : {false, true}) {
      std::vector<float> expected(static_cast<size_t>(c.rows * kStride), 3.0f), stored = expected, turned = expected;
      const auto rows = [&](std::vector<float>& y, int64_t x_stride) {
        return panel::Rows{c.rows, c.in, kStride, add ? y.data() : nullptr, kStride, false, x_stride};
      };
      panel::multiply_float32(rows(expected, 0), x.data(), panel.data(), c.outputs, expected.data());
      panel::multiply_stored(rows(stored, c.in + kXGap), spaced_x.data(), turned_w.data(), c.outputs + kWGap, c.outputs, stored.data());
      panel::multiply_turned(rows(turned, c.rows + kXGap), turned_x.data(), turned_w.data(), c.outputs + kWGap, c.outputs, turned.data());
      EXPECT_EQ(stored, expected) << c.rows << "x" << c.in << "x" << c.outputs;
      EXPECT_EQ(turned, expected) << c.rows << "x" << c.in << "x" << c.outputs;
    }
  }
}

TEST(PanelRounding, RoundsToNearestTiesToEven) {
  if (!panel::bf16_supported()) GTEST_SKIP() << "this CPU lacks the instructions";
  std::vector<float> values = normal(7, 1000);
  for (const float value : {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, 0.0f, -0.0f, 1e-30f}) values.push_back(value);
  std::vector<uint16_t> got(values.size());
  panel::round_bf16(values.data(), static_cast<int64_t>(values.size()), got.data());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(got[i], float_to_bfloat16(values[i])) << values[i];
}

TEST(PanelRounding, RoundsDifferences) {
  if (!panel::bf16_supported()) GTEST_SKIP() << "this CPU lacks the instructions";
  const std::vector<float> a = normal(12, 77), b = normal(13, 77);
  std::vector<uint16_t> got(a.size());
  panel::round_difference_bf16(a.data(), b.data(), static_cast<int64_t>(a.size()), got.data());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(got[i], float_to_bfloat16(a[i] - b[i])) << i;
}

}  // namespace
}  // namespace assay
