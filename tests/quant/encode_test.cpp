// Encoders of every type: defined on odd inputs, equal bytes on every level of vector instructions and for any threads, never worse
// than a plain rounding with one scale.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "assay/base/random.h"
#include "assay/base/simd.h"
#include "assay/quant/codec.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<const Codec*> encodable() {
  std::vector<const Codec*> list;
  for (const Codec& codec : all_codecs())
    if (codec.encode != nullptr) list.push_back(&codec);
  return list;
}

std::vector<std::byte> encoded(const Codec& codec, std::span<const float> values, uint64_t row, std::span<const float> importance,
                               int threads = 1) {
  std::vector<std::byte> bytes(values.size() / codec.info->block_size * codec.info->block_bytes);
  EncodeOptions options;
  options.threads = threads;
  options.importance = importance;
  const Status status = encode(codec.info->type, values, row, bytes, options);
  EXPECT_TRUE(status) << codec.info->name << ": " << status.error().message;
  return bytes;
}

std::vector<float> decoded(const Codec& codec, std::span<const std::byte> bytes, uint64_t row) {
  std::vector<float> values(bytes.size() / codec.info->block_bytes * codec.info->block_size);
  EXPECT_TRUE(decode(codec.info->type, bytes, row, values));
  return values;
}

std::vector<float> random_importance(size_t n, uint64_t seed) {
  CounterRandom random(seed, 7);
  std::vector<float> importance(n);
  for (float& a : importance) a = random.next_below(10) == 0 ? 0.0f : static_cast<float>(std::exp(2.0 * random.next_normal()));
  return importance;
}

// Odd distributions by number: every one appears in rows of real models or in broken ones.
constexpr uint64_t kKinds = 12;
std::vector<float> odd_values(uint64_t kind, size_t n, uint64_t seed) {
  CounterRandom random(seed, kind);
  std::vector<float> values(n);
  const double size = std::exp(4 * random.next_normal());
  for (size_t i = 0; i < n; ++i) {
    const double x = random.next_normal();
    double v = x;
    switch (kind) {
      case 0:
        break;  // Gaussian
      case 1:
        v = x * x * x;
        break;  // heavy tails
      case 2:
        v = random.next_below(16) == 0 ? 30 * x : x;
        break;  // outliers
      case 3:
        v = random.next_below(8) == 0 ? x : 0;
        break;  // mostly zeros
      case 4:
        v = x < 0 ? -1 : 1;
        break;  // two values
      case 5:
        v = std::abs(x);
        break;  // one sign
      case 6:
        v = -5 - 0.1 * x;
        break;  // far from zero
      case 7:
        v = static_cast<double>(i % 32) - 15;
        break;  // a ramp
      case 8:
        v = x * std::exp(3 * std::sin(static_cast<double>(i / 16)));
        break;  // scales that change from run to run
      case 9:
        v = i % 256 == 77 ? 100 : 0.01 * x;
        break;  // one giant in each super-block
      case 10:
        v = std::exp(4 * x) * (random.next_below(2) ? 1 : -1);
        break;  // log-normal
      default:
        v = std::round(2 * x);
        break;  // few whole numbers
    }
    values[i] = static_cast<float>(size * v);
  }
  return values;
}

const std::map<const char*, std::vector<float>> kOddInputs = [] {
  std::map<const char*, std::vector<float>> inputs = {{"zero", std::vector<float>(512, 0.0f)},
                                                      {"negative zero", std::vector<float>(512, -0.0f)},
                                                      {"constant", std::vector<float>(512, 0.37f)},
                                                      {"negative constant", std::vector<float>(512, -0.37f)},
                                                      {"subnormal", std::vector<float>(512, 1e-42f)},
                                                      {"largest", std::vector<float>(512, std::numeric_limits<float>::max())},
                                                      {"huge", odd_values(0, 512, 1)},
                                                      {"tiny", odd_values(0, 512, 1)},
                                                      {"subnormal noise", odd_values(0, 512, 1)},
                                                      {"one weight", std::vector<float>(512, 0.0f)}};
  for (const auto& [name, factor] : {std::pair{"huge", 1e30f}, {"tiny", 1e-30f}, {"subnormal noise", 1e-41f}}) {
    const float largest = std::abs(*std::ranges::max_element(inputs[name], {}, [](float x) { return std::abs(x); }));
    for (float& x : inputs[name]) x = x / largest * factor;
  }
  inputs["one weight"][300] = -2.5f;
  return inputs;
}();

std::map<const char*, std::vector<float>> odd_importances() {
  std::vector<float> one_column(512, 0.0f);
  one_column[17] = 3;
  std::vector<float> mixed = random_importance(512, 3);
  for (size_t i = 0; i < 32; ++i) mixed[i] = 0;
  return {{"none", {}},
          {"ones", std::vector<float>(512, 1.0f)},
          {"zeros", std::vector<float>(512, 0.0f)},
          {"one column", one_column},
          {"a run of zeros", mixed},
          {"huge", std::vector<float>(512, 1e38f)},
          {"subnormal", std::vector<float>(512, 1e-44f)}};
}

TEST(Encode, OddInputsAreDefined) {
  for (const Codec* codec : encodable())
    for (const auto& [name, values] : kOddInputs)
      for (const auto& [importance_name, importance] : odd_importances()) {
        SCOPED_TRACE(std::string(codec->info->name) + ", " + name + ", importance: " + importance_name);
        const auto result = decoded(*codec, encoded(*codec, values, 512, importance), 512);
        const float largest = std::abs(*std::ranges::max_element(values, {}, [](float x) { return std::abs(x); }));
        bool finite = true, bounded = true, zero = true;
        for (const float v : result) {
          finite &= std::isfinite(v);
          bounded &= std::abs(v) <= 1.6f * largest + 1e-6f;  // a code of the end that reaches further, on a scale from the other end
          zero &= v == 0;
        }
        EXPECT_TRUE(finite);
        EXPECT_TRUE(bounded || largest > 1e30f);
        EXPECT_TRUE(zero || largest != 0);
      }
}

// A constant row comes back within half a step of the type's coarsest grid; importance of any size does not change that.
TEST(Encode, ConstantRowsComeBack) {
  for (const Codec* codec : encodable())
    for (const auto& [name, importance] : odd_importances())
      for (const float value : {0.37f, -0.37f, 1000.0f}) {
        const std::vector<float> values(512, value);
        const auto result = decoded(*codec, encoded(*codec, values, 512, importance), 512);
        const auto worst = std::ranges::max(result, {}, [=](float v) { return std::abs(v - value); });
        EXPECT_NEAR(worst, value, 0.05f * std::abs(value)) << codec->info->name << ", importance: " << name;
      }
}

TEST(Encode, NonFiniteWeightsAreRefusedByPosition) {
  for (const Codec* codec : encodable())
    for (const bool weighted : {false, true})
      for (const float broken :
           {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
        auto values = odd_values(0, 1536, 2);
        values[900] = values[1100] = broken;
        std::vector<std::byte> bytes(values.size() / codec->info->block_size * codec->info->block_bytes);
        const auto importance = random_importance(512, 1);
        EncodeOptions options;
        options.threads = 2;
        if (weighted) options.importance = importance;
        const Status status = encode(codec->info->type, values, 512, bytes, options);
        ASSERT_FALSE(status) << codec->info->name;
        EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
        EXPECT_NE(status.error().message.find("weight 900"), std::string::npos) << status.error().message;
      }
}

TEST(Encode, BrokenImportanceIsRefusedByPosition) {
  const auto values = odd_values(0, 512, 2);
  for (const Codec* codec : encodable())
    for (const float broken : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -1.0f}) {
      std::vector<float> importance(512, 1.0f);
      importance[200] = importance[300] = broken;
      std::vector<std::byte> bytes(values.size() / codec->info->block_size * codec->info->block_bytes);
      EncodeOptions options;
      options.importance = importance;
      const Status status = encode(codec->info->type, values, 512, bytes, options);
      ASSERT_FALSE(status) << codec->info->name;
      EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
      EXPECT_NE(status.error().message.find("importance 200"), std::string::npos) << status.error().message;
    }
}

class Level : public testing::TestWithParam<Simd> {
 protected:
  ~Level() override { limit_simd(Simd::kAvx512); }
};

// Row lengths: one block, a lone super-block after a pair, lanes left over, whole sets of sixteen.
TEST_P(Level, GivesTheBytesOfThePortablePath) {
  if (GetParam() > available_simd()) GTEST_SKIP() << "this CPU lacks the instructions";
  for (const Codec* codec : encodable())
    for (const uint64_t row : {32, 224, 256, 768, 896, 1024, 1000}) {
      if (!row_fits(codec->info->type, row)) continue;
      const auto importance = random_importance(row, row);
      for (uint64_t kind = 0; kind < kKinds; ++kind)
        for (const bool weighted : {false, true}) {
          const auto values = odd_values(kind, 4 * row, row);
          const std::span<const float> weights = weighted ? std::span<const float>(importance) : std::span<const float>();
          limit_simd(Simd::kPortable);
          const auto portable = encoded(*codec, values, row, weights);
          limit_simd(GetParam());
          EXPECT_EQ(encoded(*codec, values, row, weights), portable)
              << codec->info->name << ", row " << row << ", kind " << kind << ", weighted " << weighted;
        }
    }
}

TEST_P(Level, GivesTheBytesOfThePortablePathOnOddInputs) {
  if (GetParam() > available_simd()) GTEST_SKIP() << "this CPU lacks the instructions";
  for (const Codec* codec : encodable())
    for (const auto& [name, values] : kOddInputs)
      for (const auto& [importance_name, importance] : odd_importances()) {
        limit_simd(Simd::kPortable);
        const auto portable = encoded(*codec, values, 512, importance);
        limit_simd(GetParam());
        EXPECT_EQ(encoded(*codec, values, 512, importance), portable)
            << codec->info->name << ", " << name << ", importance: " << importance_name;
      }
}

INSTANTIATE_TEST_SUITE_P(Encode, Level, testing::Values(Simd::kAvx2, Simd::kAvx512),
                         [](const auto& instance) { return instance.param == Simd::kAvx2 ? "Avx2" : "Avx512"; });

TEST(Encode, ThreadsDoNotChangeTheBytes) {
  const auto values = odd_values(1, size_t{1} << 18, 5);
  const auto importance = random_importance(1024, 5);
  for (const Codec* codec : encodable())
    for (const bool weighted : {false, true}) {
      const std::span<const float> weights = weighted ? std::span<const float>(importance) : std::span<const float>();
      EXPECT_EQ(encoded(*codec, values, 1024, weights, 1), encoded(*codec, values, 1024, weights, 3)) << codec->info->name;
    }
}

// Sixteen runs are searched side by side: a block's bytes must not depend on what stands beside it.
TEST(Encode, BlocksDoNotSeeTheirNeighbours) {
  const auto values = odd_values(8, 2048, 6);
  const auto importance = random_importance(2048, 6);
  for (const Codec* codec : encodable()) {
    const uint64_t block = codec->info->block_size;
    std::vector<std::byte> alone, together(2048 / block * codec->info->block_bytes);
    codec->encode(values.data(), importance.data(), 2048, together.data());
    alone.resize(together.size());
    for (uint64_t b = 0; b < 2048 / block; ++b)
      codec->encode(values.data() + b * block, importance.data() + b * block, block, alone.data() + b * codec->info->block_bytes);
    EXPECT_EQ(alone, together) << codec->info->name;
  }
}

// The rounding everybody would write first: one scale (and minimum) for the whole block, stored as fp16, taken from its extremes.
struct Naive {
  GgmlType type;
  std::vector<float> levels;
  bool affine = false;       // levels start at the least value; otherwise the extreme lies on the first level
  bool any_minimum = false;  // the least value may be positive
};

double error_of(std::span<const float> values, std::span<const float> importance, const Naive& naive) {
  const auto [least, most] = std::ranges::minmax(values);
  const float size = std::max(-least, most), low = naive.any_minimum ? least : std::min(least, 0.0f);
  const float extreme = *std::ranges::find_if(values, [=](float x) { return std::abs(x) == size; });
  const auto stored = [](float x) { return half_to_float(float_to_half(std::clamp(x, -65504.0f, 65504.0f))); };
  const float scale = stored(naive.affine ? (most - low) / naive.levels.back() : extreme / naive.levels.front());
  const float offset = naive.affine ? stored(low) : 0.0f;
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double best = kInfinity;
    for (const float level : naive.levels)
      best = std::min(best, std::abs(static_cast<double>(values[i]) - offset - static_cast<double>(scale) * level));
    error += static_cast<double>(importance[i]) * best * best;
  }
  return error;
}

std::vector<float> integers(int low, int high) {
  std::vector<float> levels;
  for (int q = low; q <= high; ++q) levels.push_back(static_cast<float>(q));
  return levels;
}

// Of sum w x^2: the encoders compare in float32, this test in double.
constexpr double kRounding = 1e-7;

TEST(Encode, NeverWorseThanOneScaleTakenFromTheExtremes) {
  using enum GgmlType;
  const std::vector<Naive> naives = {{kQ4_0, integers(-8, 7)},
                                     {kQ5_0, integers(-16, 15)},
                                     {kQ4_1, integers(0, 15), true, true},
                                     {kQ5_1, integers(0, 31), true, true},
                                     {kQ8_0, integers(-127, 127)},
                                     {kQ3_K, integers(-4, 3)},
                                     {kQ6_K, integers(-32, 31)},
                                     {kQ2_K, integers(0, 3), true},
                                     {kQ4_K, integers(0, 15), true},
                                     {kQ5_K, integers(0, 31), true},
                                     {kIQ4_NL, {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}},
                                     {kIQ4_XS, {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}}};
  for (const Naive& naive : naives) {
    const Codec& codec = *find_codec(naive.type);
    const uint64_t block = codec.info->block_size;
    for (uint64_t kind = 0; kind < kKinds; ++kind)
      for (uint64_t seed = 0; seed < 60; ++seed)
        for (const bool weighted : {false, true}) {
          const auto values = odd_values(kind, block, seed);
          const auto importance = weighted ? random_importance(block, seed) : std::vector<float>(block, 1.0f);
          if (std::ranges::max(importance) == 0) continue;
          const auto result = decoded(
              codec, encoded(codec, values, block, weighted ? std::span<const float>(importance) : std::span<const float>()), block);
          const double ours = weighted_error(values, result, block, importance), theirs = error_of(values, importance, naive);
          const double power = weighted_error(values, std::vector<float>(block, 0.0f), block, importance);
          EXPECT_LE(ours, theirs + kRounding * power)
              << codec.info->name << ", kind " << kind << ", seed " << seed << ", weighted " << weighted;
        }
  }
}

}  // namespace
}  // namespace assay
