// The grid types' steps one by one, against brute force: codes of an octet, scales, bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "assay/base/random.h"
#include "assay/quant/codec.h"
#include "assay/quant/grid_scales.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

struct Grid {
  const GridFormat* format;
  const int8_t* points;
  int count, width;
  bool parity;
};

const Grid kGrids[] = {{&kIq1SFormat, kIq1SGrid[0], 2048, 8, false},   {&kIq1MFormat, kIq1SGrid[0], 2048, 8, false},
                       {&kIq2XxsFormat, kIq2XxsGrid[0], 256, 8, true}, {&kIq2XsFormat, kIq2XsGrid[0], 512, 8, true},
                       {&kIq2SFormat, kIq2SGrid[0], 1024, 8, false},   {&kIq3XxsFormat, kIq3XxsGrid[0], 256, 4, true},
                       {&kIq3SFormat, kIq3SGrid[0], 512, 4, false}};

// Sixteen octets of random weights, importance and scales.
struct Sample {
  alignas(64) float x[kOctet * kLanes], w[kOctet * kLanes], scale[kLanes], shift[kLanes];
  Octets octets() const { return {x, w, scale, shift}; }
};

Sample sample(const GridFormat& format, uint64_t seed) {
  CounterRandom random(seed, 21);
  Sample s;
  for (float& x : s.x) x = static_cast<float>(random.next_normal());
  for (float& w : s.w) w = random.next_below(8) == 0 ? 0.0f : static_cast<float>(std::exp(random.next_normal()));
  for (int k = 0; k < kLanes; ++k) {
    s.scale[k] = static_cast<float>(std::exp(0.5 * random.next_normal())) / format.mean;
    s.shift[k] = random.next_below(2) ? kIq1Shift : -kIq1Shift;
  }
  return s;
}

// Least cost of half h (of an octet, for points of 4 weights) and least cost with one sign turned.
struct Costs {
  double plain = INFINITY, flipped = INFINITY;
};

Costs brute_force(const Grid& grid, const Sample& s, int lane, int first) {
  Costs best;
  const bool shifted = grid.format->shifts != Shifts::kNone;
  for (int p = 0; p < grid.count; ++p) {
    double cost = 0, flip = INFINITY;
    for (int j = 0; j < grid.width; ++j) {
      const double w = s.w[(first + j) * kLanes + lane], x = s.x[(first + j) * kLanes + lane], scale = s.scale[lane];
      const double level = grid.points[p * grid.width + j] + (shifted ? static_cast<double>(s.shift[lane]) : 0.0);
      const double right = shifted ? x - scale * level : std::abs(x) - scale * level, wrong = std::abs(x) + scale * level;
      cost += w * right * right;
      flip = std::min(flip, w * (wrong * wrong - right * right));
    }
    best = {std::min(best.plain, cost), std::min(best.flipped, cost + flip)};
  }
  return best;
}

double brute_force(const Grid& grid, const Sample& s, int lane) {
  int negatives = 0;
  for (int j = 0; j < kOctet; ++j) negatives += s.x[j * kLanes + lane] < 0;
  const bool odd = grid.parity && negatives % 2 == 1;
  const Costs a = brute_force(grid, s, lane, 0);
  if (grid.width == 8) return odd ? a.flipped : a.plain;
  const Costs b = brute_force(grid, s, lane, 4);
  return odd ? std::min(a.flipped + b.plain, a.plain + b.flipped) : a.plain + b.plain;
}

constexpr double kRounding = 1e-5;  // of the power: float32 sums of eight terms

TEST(GridCodes, AreTheBestOfAllPointsAndSigns) {
  for (const Grid& grid : kGrids)
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const Sample s = sample(*grid.format, seed);
      ChosenOctets chosen;
      grid.format->choose(s.octets(), chosen);
      for (int k = 0; k < kLanes; ++k) {
        double error = 0, power = 0;
        unsigned negatives = 0;
        const OctetCode& code = chosen.code[k];
        for (int j = 0; j < kOctet; ++j) {
          const double w = s.w[j * kLanes + k], x = s.x[j * kLanes + k], level = chosen.level[j * kLanes + k];
          const double e = x - static_cast<double>(s.scale[k]) * level;
          error += w * e * e;
          power += w * x * x;
          const int point = grid.points[code.point[j / grid.width] * grid.width + j % grid.width];
          const bool shifted = grid.format->shifts != Shifts::kNone;
          EXPECT_EQ(level, shifted ? point + (code.lowered ? -0.125 : 0.125) : (code.signs >> j) & 1u ? -point : point);
          negatives += (code.signs >> j) & 1u;
        }
        EXPECT_TRUE(!grid.parity || negatives % 2 == 0);
        EXPECT_NEAR(error, chosen.error[k], kRounding * (power + error));
        EXPECT_NEAR(error, brute_force(grid, s, k), kRounding * (power + error))
            << find_type(grid.format->type)->name << ", seed " << seed << ", lane " << k;
      }
    }
}

TEST(GridCodes, CoarseErrorsBoundTheExactOnes) {
  for (const Grid& grid : kGrids) {
    double exact = 0, near = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const Sample s = sample(*grid.format, seed);
      ChosenOctets chosen;
      alignas(64) float loose[kLanes], error[kLanes];
      grid.format->choose(s.octets(), chosen);
      grid.format->loose_errors(s.octets(), loose);
      if (grid.format->errors != nullptr) grid.format->errors(s.octets(), error);
      for (int k = 0; k < kLanes; ++k) {
        const double slack = kRounding * (1 + static_cast<double>(chosen.error[k]));
        EXPECT_LE(loose[k], chosen.error[k] + slack);
        if (grid.format->errors == nullptr) continue;
        EXPECT_GE(error[k], chosen.error[k] - slack) << find_type(grid.format->type)->name;
        exact += static_cast<double>(chosen.error[k]);
        near += static_cast<double>(error[k]);
      }
    }
    EXPECT_LE(near, 1.01 * exact) << find_type(grid.format->type)->name;  // guessed signs cost 0.3 % at most
  }
}

std::vector<float> values_of(size_t n, uint64_t seed) {
  CounterRandom random(seed, 22);
  std::vector<float> values(n);
  for (float& x : values) x = static_cast<float>(0.02 * random.next_normal() * (random.next_below(20) == 0 ? 5 : 1));
  return values;
}
std::vector<float> importance_of(size_t n, uint64_t seed) {
  CounterRandom random(seed, 23);
  std::vector<float> importance(n);
  for (float& a : importance) a = static_cast<float>(std::exp(1.5 * random.next_normal()));
  return importance;
}

// What a block says is what its bytes decode to.
TEST(GridScales, BytesDecodeToScalesTimesPoints) {
  for (const Grid& grid : kGrids) {
    const GridFormat& format = *grid.format;
    const auto values = values_of(768, 1), importance = importance_of(768, 1);
    std::vector<GridBlock> blocks(3);
    fit_grid_blocks(format, values.data(), importance.data(), blocks);
    const Codec& codec = *find_codec(format.type);
    for (const GridBlock& block : blocks) {
      std::vector<std::byte> bytes(codec.info->block_bytes);
      std::vector<float> decoded(kSuperBlock);
      format.pack(block, bytes.data());
      codec.decode(bytes.data(), kSuperBlock, decoded.data());
      for (int i = 0; i < kSuperBlock; ++i) {
        const OctetCode& code = block.codes[i / kOctet];
        const int j = i % kOctet;
        float level = grid.points[code.point[j / grid.width] * grid.width + j % grid.width];
        if (format.shifts != Shifts::kNone) level += code.lowered ? -kIq1Shift : kIq1Shift;
        if ((code.signs >> j) & 1u) level = -level;
        EXPECT_EQ(decoded[i], run_scale(format, block, i / format.run) * level) << codec.info->name << " weight " << i;
      }
    }
  }
}

// The encoder everybody would write first: one scale for the whole block, its largest weight on the largest level, best codes.
TEST(GridScales, NeverWorseThanOneScaleTakenFromTheExtremes) {
  for (const Grid& grid : kGrids) {
    const GridFormat& format = *grid.format;
    const Codec& codec = *find_codec(format.type);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      CounterRandom random(seed, 24);
      auto values = values_of(kSuperBlock, seed), importance = importance_of(kSuperBlock, seed);
      const uint64_t kind = seed % 4;
      for (float& x : values) {
        if (kind == 1) x = x < 0 ? -0.01f : 0.01f;
        if (kind == 2) x = random.next_below(4) ? 0 : x;
        if (kind == 3) x = std::round(x * 100) * 0.01f;
      }
      if (seed % 2) std::ranges::fill(importance, 1.0f);
      std::vector<std::byte> bytes(codec.info->block_bytes);
      std::vector<float> decoded(kSuperBlock);
      codec.encode(values.data(), importance.data(), kSuperBlock, bytes.data());
      codec.decode(bytes.data(), kSuperBlock, decoded.data());
      const double ours = weighted_error(values, decoded, kSuperBlock, importance);
      const double power = weighted_error(values, std::vector<float>(kSuperBlock, 0.0f), kSuperBlock, importance);
      const float extreme = std::abs(*std::ranges::max_element(values, {}, [](float x) { return std::abs(x); }));
      const float odd = static_cast<float>(2 * format.top + 1);
      const float scale = half_to_float(float_to_half(extreme / format.most / format.unit / odd)) * format.unit * odd;
      double theirs = 0, run[2] = {};
      for (int o = 0; o < kSuperBlock / kOctet; ++o) {
        double octet[2];
        for (const int lowered : {0, 1}) {
          Sample s{};
          s.scale[0] = scale;
          s.shift[0] = lowered ? -kIq1Shift : kIq1Shift;
          for (int j = 0; j < kOctet; ++j) {
            s.x[j * kLanes] = values[o * kOctet + j];
            s.w[j * kLanes] = importance[o * kOctet + j];
          }
          octet[lowered] = brute_force(grid, s, 0);
        }
        if (format.shifts != Shifts::kPerRun) {
          theirs += std::min(octet[0], octet[1]);
          continue;
        }
        run[0] += octet[0];
        run[1] += octet[1];
        if ((o + 1) % (format.run / kOctet) == 0) theirs += std::min(run[0], run[1]), run[0] = run[1] = 0;
      }
      EXPECT_LE(ours, theirs + kRounding * power) << codec.info->name << ", seed " << seed;
    }
  }
}

// Every bit of a block has a meaning: any bytes with a finite d come back from pack(unpack(.)), and they decode to what was unpacked.
TEST(GridBlocks, AreReadAsTheDecoderReadsThem) {
  CounterRandom random(3, 77);
  for (const Grid& grid : kGrids) {
    const GridFormat& format = *grid.format;
    const GgmlTypeInfo& info = *find_type(format.type);
    SCOPED_TRACE(info.name);
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<std::byte> bytes(info.block_bytes), again = bytes;
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_below(256));
      GridBlock block;
      format.unpack(bytes.data(), block);
      if (!std::isfinite(block.d)) continue;
      format.pack(block, again.data());
      EXPECT_EQ(again, bytes);
      float decoded[kSuperBlock];
      ASSERT_TRUE(decode(format.type, bytes, kSuperBlock, decoded));
      for (int i = 0; i < kSuperBlock; ++i) {
        const OctetCode& code = block.codes[i / kOctet];
        const int j = i % kOctet;
        const auto level = static_cast<float>(grid.points[code.point[j / grid.width] * grid.width + j % grid.width]);
        const float shift = format.shifts == Shifts::kNone ? 0.0f : code.lowered ? -kIq1Shift : kIq1Shift;
        const float value = run_scale(format, block, i / format.run) * (level + shift);
        EXPECT_EQ(decoded[i], (code.signs >> j) & 1u ? -value : value) << i;
      }
    }
  }
}

}  // namespace
}  // namespace assay
