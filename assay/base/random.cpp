#include "assay/base/random.h"

#include <cmath>
#include <numbers>

namespace assay {

std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
                               static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kMultiplier0} * c[0];
    const uint64_t p1 = uint64_t{kMultiplier1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1), static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1,
         static_cast<uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

CounterRandom::CounterRandom(uint64_t seed, uint64_t stream, uint64_t substream)
    : key_(seed), high_(stream * 0x9E3779B97F4A7C15ULL + substream) {}

uint32_t CounterRandom::next_u32() {
  if (used_ == 4) {
    block_ = philox4x32(key_, high_, low_++);
    used_ = 0;
  }
  return block_[static_cast<size_t>(used_++)];
}

uint64_t CounterRandom::next_u64() {
  const uint64_t low = next_u32();
  return low | (uint64_t{next_u32()} << 32);
}

double CounterRandom::next_uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

uint64_t CounterRandom::next_below(uint64_t n) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
  uint64_t value = next_u64();
  while (value >= limit) value = next_u64();
  return value % n;
}

double CounterRandom::next_normal() {
  const double radius = std::sqrt(-2 * std::log(1 - next_uniform()));
  return radius * std::cos(2 * std::numbers::pi * next_uniform());
}

}  // namespace assay
