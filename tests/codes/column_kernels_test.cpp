// Feedback and descent over codes against enumeration and against a plain implementation of GPTQ in double.
#include "assay/codes/column_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "assay/base/random.h"
#include "assay/base/simd.h"

namespace assay::codes {
namespace {

constexpr int kWidth = 8;  // columns of a toy: 3^8 codes are enumerated
constexpr float kNoScale[] = {1};

ScaleLayout toy_layout(int low, int high) {
  ScaleLayout layout;
  layout.block = layout.group = kWidth;
  layout.low_code = low;
  layout.high_code = high;
  layout.scales = kNoScale;
  return layout;
}

// Second moments of correlated inputs, their factor H = L diag(D) L^T, and a strip of weights.
struct Toy {
  std::vector<double> h = std::vector<double>(kWidth * kWidth), lower = h;
  std::vector<double> diagonal = std::vector<double>(kWidth);
  std::vector<float> h_padded = std::vector<float>(kColumns * kStride), lower_padded = h_padded, diagonal_padded;
  std::unique_ptr<Strip> strip = std::make_unique<Strip>();

  explicit Toy(uint64_t seed, bool diagonal_only = false) : diagonal_padded(kColumns, 1.0f) {
    CounterRandom random(seed, 0);
    std::vector<double> mix(kWidth * kWidth);
    for (double& value : mix) value = random.next_normal();
    for (int i = 0; i < kWidth; ++i)
      for (int j = 0; j < kWidth; ++j) {
        double sum = i == j ? 0.05 : 0;
        for (int k = 0; k < 4; ++k) sum += mix[static_cast<size_t>(i * kWidth + k)] * mix[static_cast<size_t>(j * kWidth + k)];
        h[at(i, j)] = diagonal_only && i != j ? 0 : sum;
      }
    for (int j = 0; j < kWidth; ++j) {
      diagonal[static_cast<size_t>(j)] = h[at(j, j)];
      for (int k = 0; k < j; ++k) diagonal[static_cast<size_t>(j)] -= lower[at(j, k)] * lower[at(j, k)] * diagonal[static_cast<size_t>(k)];
      lower[at(j, j)] = 1;
      for (int i = j + 1; i < kWidth; ++i) {
        double sum = h[at(i, j)];
        for (int k = 0; k < j; ++k) sum -= lower[at(i, k)] * lower[at(j, k)] * diagonal[static_cast<size_t>(k)];
        lower[at(i, j)] = sum / diagonal[static_cast<size_t>(j)];
      }
    }
    for (int i = 0; i < kWidth; ++i) {
      diagonal_padded[static_cast<size_t>(i)] = static_cast<float>(diagonal[static_cast<size_t>(i)]);
      for (int j = 0; j < kWidth; ++j) {
        h_padded[static_cast<size_t>(i * kStride + j)] = static_cast<float>(h[at(i, j)]);
        lower_padded[static_cast<size_t>(i * kStride + j)] = static_cast<float>(lower[at(i, j)]);
      }
    }
    *strip = {};
    for (int r = 0; r < kRows; ++r) {
      strip->scale[0][r] = 1;
      strip->unit[0][r] = 0.7f;
      for (int j = 0; j < kWidth; ++j) strip->x[j][r] = static_cast<float>(random.next_normal());
    }
  }
  static size_t at(int i, int j) { return static_cast<size_t>(i * kWidth + j); }
  Moments moments() const { return {kWidth, h_padded.data(), lower_padded.data(), diagonal_padded.data()}; }

  // e H e^T of a row for the codes given by `code(j)`.
  template <class Code>
  double error(int row, const Code& code) const {
    double e[kWidth], sum = 0;
    for (int j = 0; j < kWidth; ++j) e[j] = static_cast<double>(strip->x[j][row]) - static_cast<double>(0.7f * static_cast<float>(code(j)));
    for (int i = 0; i < kWidth; ++i)
      for (int j = 0; j < kWidth; ++j) sum += e[i] * h[at(i, j)] * e[j];
    return sum;
  }
  double strip_error(int row) const {
    return error(row, [&](int j) { return strip->code[j][row]; });
  }
  double least_error(int row) const {
    double least = INFINITY;
    for (int n = 0; n < 6561; ++n) {
      int digits[kWidth], rest = n;
      for (int& digit : digits) digit = rest % 3 - 1, rest /= 3;
      least = std::min(least, error(row, [&](int j) { return digits[j]; }));
    }
    return least;
  }
  void set_directions() {  // g = e H
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kWidth; ++j) {
        double sum = 0;
        for (int i = 0; i < kWidth; ++i) sum += static_cast<double>(strip->x[i][r] - strip->v[i][r]) * h[at(i, j)];
        strip->g[j][r] = static_cast<float>(sum);
      }
  }
};

// GPTQ as it is published, in double: columns in order, U the upper Cholesky factor of the inverse. Reversed columns make it LDLQ.
std::vector<int> gptq_codes(const Toy& toy, int row, int low, int high) {
  // The target of a column, the errors of the later ones given, is the minimizer of the quadratic form over the columns up to it.
  std::vector<double> e(kWidth, 0.0);
  std::vector<int> codes(kWidth);
  for (int j = kWidth - 1; j >= 0; --j) {
    // Minimize over the errors of columns 0..j, those behind fixed: H[0..j,0..j] u = -H[0..j, later] e. The j-th entry is the best error.
    const int n = j + 1;
    std::vector<double> a(static_cast<size_t>(n * n)), b(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < n; ++k) a[static_cast<size_t>(i * n + k)] = toy.h[Toy::at(i, k)];
      for (int k = n; k < kWidth; ++k) b[static_cast<size_t>(i)] -= toy.h[Toy::at(i, k)] * e[static_cast<size_t>(k)];
    }
    for (int p = 0; p < n; ++p)
      for (int i = p + 1; i < n; ++i) {
        const double factor = a[static_cast<size_t>(i * n + p)] / a[static_cast<size_t>(p * n + p)];
        for (int k = p; k < n; ++k) a[static_cast<size_t>(i * n + k)] -= factor * a[static_cast<size_t>(p * n + k)];
        b[static_cast<size_t>(i)] -= factor * b[static_cast<size_t>(p)];
      }
    const double best = b[static_cast<size_t>(j)] / a[static_cast<size_t>(j * n + j)];
    const double x = static_cast<double>(toy.strip->x[j][row]), unit = static_cast<double>(0.7f);
    codes[static_cast<size_t>(j)] = std::clamp(static_cast<int>(std::nearbyint((x - best) / unit)), low, high);
    e[static_cast<size_t>(j)] = x - unit * codes[static_cast<size_t>(j)];
  }
  return codes;
}

TEST(Feedback, IsGptqOnReversedColumns) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Toy toy(seed);
    const ScaleLayout layout = toy_layout(-4, 3);
    feedback(layout, toy.moments(), *toy.strip);
    for (int r = 0; r < kRows; ++r) {
      const std::vector<int> expected = gptq_codes(toy, r, -4, 3);
      for (int j = 0; j < kWidth; ++j) EXPECT_EQ(toy.strip->code[j][r], expected[static_cast<size_t>(j)]) << seed << " " << r << " " << j;
      EXPECT_NEAR(toy.strip->error[r], toy.strip_error(r), 1e-4 * (1 + toy.strip_error(r)));
    }
    std::fill_n(toy.strip->error, kRows, 0.0f);
    for (int j = 0; j < kWidth; ++j) std::fill_n(toy.strip->g[j], kRows, 0.0f);
    feedback_error(toy.moments(), *toy.strip);
    for (int r = 0; r < kRows; ++r) EXPECT_NEAR(toy.strip->error[r], toy.strip_error(r), 1e-4 * (1 + toy.strip_error(r)));
  }
}

TEST(Feedback, OfUncorrelatedInputsIsNearest) {
  Toy toy(1, true);
  feedback(toy_layout(-1, 1), toy.moments(), *toy.strip);
  for (int r = 0; r < kRows; ++r) EXPECT_NEAR(toy.strip_error(r), toy.least_error(r), 1e-5);
}

// Descent ends where no single code can be changed for the better; enumeration says how far that is from the best of all codes.
TEST(Descent, EndsWithinReachOfTheEnumeratedOptimum) {
  double nearest = 0, fed = 0, descended = 0, least = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Toy toy(seed);
    const ScaleLayout layout = toy_layout(-1, 1);
    feedback(layout, toy.moments(), *toy.strip);
    double before[kRows];
    for (int r = 0; r < kRows; ++r) {
      before[r] = toy.strip_error(r);
      fed += before[r];
      nearest += toy.error(r, [&](int j) { return std::clamp(std::nearbyint(toy.strip->x[j][r] / 0.7f), -1.0f, 1.0f); });
    }
    for (int sweep = 0; sweep < 20; ++sweep) {
      toy.set_directions();
      std::fill_n(toy.strip->error, kRows, 0.0f);
      descend_codes(layout, toy.moments(), *toy.strip);
      for (int r = 0; r < kRows; ++r) {
        const double now = toy.strip_error(r);
        EXPECT_LE(now, before[r] * (1 + 1e-6) + 1e-9);
        EXPECT_NEAR(before[r] - now, toy.strip->error[r], 1e-4 * (1 + before[r]));
        before[r] = now;
      }
    }
    for (int r = 0; r < kRows; ++r) {
      descended += before[r];
      least += toy.least_error(r);
      for (int j = 0; j < kWidth; ++j)
        for (int code = -1; code <= 1; ++code)
          EXPECT_GE(toy.error(r, [&](int i) { return i == j ? static_cast<float>(code) : toy.strip->code[i][r]; }),
                    before[r] * (1 - 1e-5) - 1e-9);
    }
  }
  EXPECT_LE(least, descended * (1 + 1e-9));
  EXPECT_LT(descended, fed);
  EXPECT_LT(fed, nearest);
  // Of what nearest codes lose against the optimum, more than four fifths are won back.
  EXPECT_LT(descended - least, 0.2 * (nearest - least));
}

TEST(Descent, ScalesGoToTheirStoredOptimum) {
  Toy toy(4);
  ScaleLayout layout = toy_layout(-4, 3);
  feedback(layout, toy.moments(), *toy.strip);
  toy.set_directions();
  descend_scales(layout, toy.moments(), *toy.strip);
  for (int r = 0; r < kRows; ++r) {
    const auto error_with = [&](float unit) {
      double e[kWidth], sum = 0;
      for (int j = 0; j < kWidth; ++j) e[j] = static_cast<double>(toy.strip->x[j][r] - unit * toy.strip->code[j][r]);
      for (int i = 0; i < kWidth; ++i)
        for (int j = 0; j < kWidth; ++j) sum += e[i] * toy.h[Toy::at(i, j)] * e[j];
      return sum;
    };
    const float unit = toy.strip->unit[0][r];
    EXPECT_EQ(unit, nearest_unit(UnitForm::kHalf, unit));
    EXPECT_LE(error_with(unit), error_with(0.7f) * (1 + 1e-6));
    for (const float step : {1 - 0x1p-9f, 1 + 0x1p-9f}) EXPECT_LE(error_with(unit), error_with(unit * step) * (1 + 1e-6));
  }
}

TEST(Carry, IsTheProductOfErrorsAndATile) {
  constexpr int kFrom = 48, kTo = 32;
  CounterRandom random(3, 0);
  const auto from = std::make_unique<Strip>(), to = std::make_unique<Strip>();
  std::vector<float> tile(kColumns * kStride);
  for (float& value : tile) value = static_cast<float>(random.next_normal());
  for (int j = 0; j < kColumns; ++j)
    for (int r = 0; r < kRows; ++r) {
      from->x[j][r] = static_cast<float>(random.next_normal());
      from->v[j][r] = static_cast<float>(random.next_normal());
      to->g[j][r] = static_cast<float>(j);
    }
  carry(tile.data(), *from, kFrom, *to, kTo);
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c) {
      double expected = c;
      for (int j = 0; j < kFrom && c < kTo; ++j)
        expected += static_cast<double>(from->x[j][r] - from->v[j][r]) * static_cast<double>(tile[static_cast<size_t>(j * kStride + c)]);
      EXPECT_NEAR(to->g[c][r], expected, 1e-4);
    }
}

TEST(ColumnKernels, EqualBytesOnEveryLevelOfInstructions) {
  const auto run = [] {
    Toy toy(9);
    const ScaleLayout layout = toy_layout(-4, 3);
    feedback(layout, toy.moments(), *toy.strip);
    toy.set_directions();
    descend_scales(layout, toy.moments(), *toy.strip);
    descend_codes(layout, toy.moments(), *toy.strip);
    decode(layout, kWidth, *toy.strip);
    std::vector<float> all;
    for (int j = 0; j < kWidth; ++j) all.insert(all.end(), toy.strip->v[j], toy.strip->v[j] + kRows);
    return all;
  };
  const std::vector<float> best = run();
  for (const Simd level : {Simd::kPortable, Simd::kAvx2}) {
    limit_simd(level);
    EXPECT_EQ(run(), best);
  }
  limit_simd(Simd::kAvx512);
}

}  // namespace
}  // namespace assay::codes
