// Counter-based random numbers (Philox 4x32-10): a value is a pure function of its key and counter, so results do not
// depend on order, threads or workers. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace assay {

// Four independent 32-bit words for (key, counter).
std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_high, uint64_t counter_low);

// A small generator over consecutive counters of one stream, e.g. CounterRandom(seed, window, position).
class CounterRandom {
 public:
  CounterRandom(uint64_t seed, uint64_t stream, uint64_t substream = 0);
  uint32_t next_u32();
  uint64_t next_u64();
  double next_uniform();            // in [0, 1), 53 bits
  uint64_t next_below(uint64_t n);  // in [0, n), unbiased; n > 0
  double next_normal();             // standard normal (Box-Muller)

 private:
  uint64_t key_;
  uint64_t high_;
  uint64_t low_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

// `count` of the items without replacement, uniform, to their front in the order drawn (Fisher and Yates). count <= items.size().
template <class Items>
void draw_to_front(CounterRandom& random, size_t count, Items& items) {
  for (size_t i = 0; i < count; ++i) std::swap(items[i], items[i + random.next_below(items.size() - i)]);
}

}  // namespace assay
