// The exact search of a grid for sixteen octets at once, one per lane: GridFormat's `errors`, `loose_errors` and `choose` as templates over
// a grid. The cost of a point is the sum of the costs of its two halves, and a half has few patterns (64 or 81): their costs are tabled,
// and the best point is found with about one minimum per point. Internal to quant/.
//
// A grid G has: kWidth (weights per point, 8 or 4), kValues (levels of a weight, ascending), kParity (an octet has an even number of
// negatives), kShifted (levels are signed and shifted; otherwise signs are kept apart), grid() and index().
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>

#include "assay/base/lanes.h"
#include "assay/base/simd.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/grid_index.h"

namespace assay::grid {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

template <class G>
constexpr int kHalf = G::kWidth / 2;
template <class G>
constexpr int kLevels = static_cast<int>(std::size(G::kValues));
template <class G>
constexpr int kPart = kHalf<G> == 4 ? kLevels<G> * kLevels<G> : kLevels<G>;  // patterns of half of a half
template <class G>
constexpr int kPoints = kOctet / G::kWidth;  // of an octet

// Costs of a point by pattern: of its first half, and of the two parts of its second. kFlips: beside each the extra cost of giving one
// weight the wrong sign, the one that costs least; for the first half both together. Lanes whose signs have the right parity pay nothing.
template <class G, bool kFlips>
struct Costs {
  Float16 low[kPart<G> * kPart<G>], high[2][kPart<G>];
  Float16 low_flipped[kFlips ? kPart<G> * kPart<G> : 1], high_flip[2][kFlips ? kPart<G> : 1];
};

// of[j][l]: what weight j costs at level l. Combined over a part of a half: one weight, or two.
template <class G, class Combine>
ASSAY_INLINE void combine_part(const Float16 (*of)[kLevels<G>], const Combine& combine, Float16* part) {
  constexpr int kL = kLevels<G>;
  if constexpr (kHalf<G> == 2) {
    for (int a = 0; a < kL; ++a) part[a] = of[0][a];
  } else {
    for (int b = 0; b < kL; ++b)
      for (int a = 0; a < kL; ++a) part[b * kL + a] = combine(of[0][a], of[1][b]);
  }
}

// x: magnitudes, or signed values of shifted grids. odd: 1 in lanes with a sign too many, else 0; read if kFlips.
template <class G, bool kFlips>
ASSAY_INLINE void cost_point(const Float16* x, const Float16* w, Float16 scale, Float16 shift, Float16 odd, Costs<G, kFlips>& costs) {
  constexpr int kWeights = kHalf<G> / 2, kP = kPart<G>;  // of a part
  const auto sum = [](Float16 a, Float16 b) __attribute__((always_inline)) { return a + b; };
  const auto least = [](Float16 a, Float16 b) __attribute__((always_inline)) { return lanes::minimum(a, b); };
  Float16 cost[G::kWidth][kLevels<G>], part[2][kP], flip[2][kFlips ? kP : 1];
  for (int l = 0; l < kLevels<G>; ++l) {
    const Float16 level = scale * (G::kShifted ? shift + G::kValues[l] : lanes::splat(G::kValues[l]));
    for (int j = 0; j < G::kWidth; ++j) {
      const Float16 e = x[j] - level;
      cost[j][l] = w[j] * e * e;
    }
  }
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 2; ++i) combine_part<G>(cost + half * kHalf<G> + i * kWeights, sum, half == 0 ? part[i] : costs.high[i]);
  if constexpr (kFlips) {
    for (int j = 0; j < G::kWidth; ++j) {  // (x + s v)^2 - (x - s v)^2
      const Float16 slope = 4.0f * odd * w[j] * x[j] * scale;
      for (int l = 0; l < kLevels<G>; ++l) cost[j][l] = slope * G::kValues[l];
    }
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 2; ++i) combine_part<G>(cost + half * kHalf<G> + i * kWeights, least, half == 0 ? flip[i] : costs.high_flip[i]);
  }
  for (int b = 0; b < kP; ++b)
    for (int a = 0; a < kP; ++a) {
      const Float16 both = part[0][a] + part[1][b];
      costs.low[b * kP + a] = both;
      if constexpr (kFlips) costs.low_flipped[b * kP + a] = both + lanes::minimum(flip[0][a], flip[1][b]);
    }
}

// Of the second half of the points of a bucket.
struct HighCost {
  Float16 plain, flipped;
};
template <class G, bool kFlips>
ASSAY_INLINE HighCost high_cost(const GridIndex& index, const Costs<G, kFlips>& costs, int bucket) {
  const int a = index.high[bucket][0], b = index.high[bucket][1];
  HighCost cost;
  cost.plain = costs.high[0][a] + costs.high[1][b];
  cost.flipped = kFlips ? cost.plain + lanes::minimum(costs.high_flip[0][a], costs.high_flip[1][b]) : cost.plain;
  return cost;
}

ASSAY_INLINE Float16 least_of_four(const Float16* costs, const uint8_t* pattern) {
  static_assert(GridIndex::kStride == 4);
  return lanes::minimum(lanes::minimum(costs[pattern[0]], costs[pattern[1]]), lanes::minimum(costs[pattern[2]], costs[pattern[3]]));
}

// Least costs of a point, and the buckets where they are.
struct Least {
  Float16 plain, flipped;
  Float16 plain_bucket, flipped_bucket;
};

template <class G, bool kFlips>
ASSAY_INLINE Least least_of(const GridIndex& index, const Costs<G, kFlips>& costs) {
  constexpr bool kPlain = !kFlips || kPoints<G> == 2;
  Least least = {lanes::splat(INFINITY), lanes::splat(INFINITY), Float16{}, Float16{}};
  int at = 0;
  for (int b = 0; b < index.buckets; ++b) {
    Float16 low = lanes::splat(INFINITY), low_flipped = lanes::splat(INFINITY);
    const int end = index.end[b];
    for (; at < end; at += GridIndex::kStride) {
      low = lanes::minimum(low, least_of_four(costs.low, index.low + at));
      if constexpr (kFlips) low_flipped = lanes::minimum(low_flipped, least_of_four(costs.low_flipped, index.low + at));
    }
    const HighCost high = high_cost<G, kFlips>(index, costs, b);
    if constexpr (kPlain) {
      const Float16 cost = low + high.plain;
      least.plain_bucket = cost < least.plain ? lanes::splat(static_cast<float>(b)) : least.plain_bucket;
      least.plain = lanes::minimum(least.plain, cost);
    }
    if constexpr (kFlips) {
      const Float16 cost = lanes::minimum(low_flipped + high.plain, low + high.flipped);
      least.flipped_bucket = cost < least.flipped ? lanes::splat(static_cast<float>(b)) : least.flipped_bucket;
      least.flipped = lanes::minimum(least.flipped, cost);
    }
  }
  return least;
}

// The octets of all lanes with signs taken off, or as they are for shifted grids.
struct Loaded {
  Float16 x[kOctet], w[kOctet], negative[kOctet];  // negative: 1 or 0
  Float16 scale, shift, odd;
};

template <class G>
ASSAY_INLINE Loaded load_octets(const Octets& octets) {
  Loaded loaded;
  loaded.scale = lanes::load(octets.scale);
  loaded.shift = G::kShifted ? lanes::load(octets.shift) : Float16{};
  Float16 negatives{};
  for (int j = 0; j < kOctet; ++j) {
    const Float16 x = lanes::load(octets.x + j * kLanes);
    loaded.w[j] = lanes::load(octets.w + j * kLanes);
    loaded.negative[j] = x < 0 ? lanes::splat(1) : Float16{};
    loaded.x[j] = G::kShifted ? x : lanes::maximum(x, -x);
    negatives += loaded.negative[j];
  }
  const Float16 remainder = negatives - 2.0f * lanes::round(0.5f * negatives);
  loaded.odd = remainder * remainder;
  return loaded;
}

// Turns the sign of one weight in odd lanes: the one that costs least where it then gets the least level, without regard to the grid.
template <class G>
ASSAY_INLINE void flip_cheapest(Loaded& o) {
  const Float16 level = o.scale * G::kValues[0];
  Float16 price = lanes::splat(INFINITY), which{};
  for (int j = 0; j < kOctet; ++j) {
    const Float16 wrong = o.x[j] + level, short_of = lanes::maximum(level - o.x[j], Float16{});
    const Float16 extra = o.w[j] * (wrong * wrong - short_of * short_of);
    which = extra < price ? lanes::splat(static_cast<float>(j)) : which;
    price = lanes::minimum(price, extra);
  }
  for (int j = 0; j < kOctet; ++j) {
    const Float16 here = which == static_cast<float>(j) ? lanes::splat(1) : Float16{};
    o.x[j] = o.x[j] - 2.0f * (here * o.odd) * o.x[j];
  }
}

template <class G>
ASSAY_INLINE void errors(const Octets& octets, float* error) {
  Loaded o = load_octets<G>(octets);
  if constexpr (G::kParity) flip_cheapest<G>(o);
  Float16 total{};
  Costs<G, false> costs;
  for (int p = 0; p < kPoints<G>; ++p) {
    cost_point<G, false>(o.x + p * G::kWidth, o.w + p * G::kWidth, o.scale, o.shift, o.odd, costs);
    Float16 least = lanes::splat(INFINITY);
    int at = 0;
    const GridIndex& index = G::index();
    for (int b = 0; b < index.buckets; ++b) {
      Float16 low = lanes::splat(INFINITY);
      for (const int end = index.end[b]; at < end; at += GridIndex::kStride)
        low = lanes::minimum(low, least_of_four(costs.low, index.low + at));
      least = lanes::minimum(least, low + high_cost<G, false>(index, costs, b).plain);
    }
    total += least;
  }
  lanes::store(error, total);
}

// Every weight at its own nearest level.
template <class G>
ASSAY_INLINE void loose_errors(const Octets& octets, float* error) {
  const Loaded o = load_octets<G>(octets);
  Float16 total{};
  for (int j = 0; j < kOctet; ++j) {
    Float16 least = lanes::splat(INFINITY);
    for (int l = 0; l < kLevels<G>; ++l) {
      const Float16 e = o.x[j] - o.scale * (G::kShifted ? o.shift + G::kValues[l] : lanes::splat(G::kValues[l]));
      least = lanes::minimum(least, e * e);
    }
    total += o.w[j] * least;
  }
  lanes::store(error, total);
}

// The point of a lane's bucket whose cost is `least`: where in the index, and for flipped ones in which half.
struct Place {
  int at = 0;
  bool high_half = false;
};

template <class G>
ASSAY_INLINE Place place_of(const GridIndex& index, const Costs<G, G::kParity>& costs, int bucket, int lane, float least, bool flipped) {
  const int a = index.high[bucket][0], b = index.high[bucket][1], end = index.end[bucket];
  int at = bucket == 0 ? 0 : index.end[bucket - 1];
  const float in_rest = costs.high[0][a][lane] + costs.high[1][b][lane];
  if constexpr (G::kParity) {
    if (flipped) {
      const float in_high = in_rest + std::min(costs.high_flip[0][a][lane], costs.high_flip[1][b][lane]);
      for (; at + 1 < end; ++at) {
        if (costs.low_flipped[index.low[at]][lane] + in_rest == least) return {at, false};
        if (costs.low[index.low[at]][lane] + in_high == least) return {at, true};
      }
      return {at, costs.low_flipped[index.low[at]][lane] + in_rest != least};
    }
  }
  while (at + 1 < end && costs.low[index.low[at]][lane] + in_rest != least) ++at;
  return {at, false};
}

template <class G>
ASSAY_INLINE void choose(const Octets& octets, ChosenOctets& chosen) {
  const Loaded o = load_octets<G>(octets);
  const GridIndex& index = G::index();
  Costs<G, G::kParity> costs[kPoints<G>];
  Least least[kPoints<G>];
  for (int p = 0; p < kPoints<G>; ++p) {
    cost_point<G, G::kParity>(o.x + p * G::kWidth, o.w + p * G::kWidth, o.scale, o.shift, o.odd, costs[p]);
    least[p] = least_of<G, G::kParity>(index, costs[p]);
  }
  Float16 sign_bits{};
  for (int j = 0; j < kOctet; ++j) sign_bits += static_cast<float>(1 << j) * o.negative[j];
  for (int lane = 0; lane < kLanes; ++lane) {
    // Of two points one holds the flipped sign, if there is one to flip: the one where that costs less.
    int flipped_point = G::kParity ? 0 : -1;
    if constexpr (G::kParity && kPoints<G> == 2) {
      const float in_second = least[0].plain[lane] + least[1].flipped[lane], in_first = least[0].flipped[lane] + least[1].plain[lane];
      flipped_point = in_second < in_first ? 1 : 0;
    }
    OctetCode code;
    unsigned signs = G::kShifted ? 0u : static_cast<unsigned>(static_cast<int>(sign_bits[lane]));
    for (int p = 0; p < kPoints<G>; ++p) {
      const bool flipped = p == flipped_point;
      const float bucket = flipped ? least[p].flipped_bucket[lane] : least[p].plain_bucket[lane];
      const float cost = flipped ? least[p].flipped[lane] : least[p].plain[lane];
      const Place place = place_of<G>(index, costs[p], static_cast<int>(bucket), lane, cost, flipped);
      code.point[p] = index.point[place.at];
      const int8_t* point = G::grid() + code.point[p] * G::kWidth;
      if (flipped && o.odd[lane] > 0) {
        const int first = place.high_half ? kHalf<G> : 0;
        int cheapest = first;
        float price = INFINITY;
        for (int j = first; j < first + kHalf<G>; ++j) {
          const int k = p * G::kWidth + j;
          const float extra = o.w[k][lane] * o.x[k][lane] * static_cast<float>(point[j]);
          if (extra < price) price = extra, cheapest = j;
        }
        signs ^= 1u << (p * G::kWidth + cheapest);
      }
    }
    code.signs = static_cast<uint8_t>(signs);
    code.lowered = G::kShifted && o.shift[lane] < 0;
    for (int p = 0; p < kPoints<G>; ++p)
      for (int j = 0; j < G::kWidth; ++j) {
        const int k = p * G::kWidth + j;
        const float value = static_cast<float>(G::grid()[code.point[p] * G::kWidth + j]) + (G::kShifted ? o.shift[lane] : 0.0f);
        chosen.level[k * kLanes + lane] = (signs >> k) & 1u ? -value : value;
      }
    chosen.code[lane] = code;
  }
  Float16 total{};
  for (int j = 0; j < kOctet; ++j) {
    const Float16 e = lanes::load(octets.x + j * kLanes) - o.scale * lanes::load(chosen.level + j * kLanes);
    total += o.w[j] * e * e;
  }
  lanes::store(chosen.error, total);
}

#pragma GCC diagnostic pop

}  // namespace assay::grid

// The functions of one grid, as compiled for the level in use: name##_loose, name##_errors, name##_choose.
#define ASSAY_GRID_KERNELS(name, G)                                                                                       \
  ASSAY_KERNEL(void, name##_loose, ::assay::grid::loose_errors<G>, (const Octets& octets, float* error), (octets, error)) \
  ASSAY_KERNEL(void, name##_choose, ::assay::grid::choose<G>, (const Octets& octets, ChosenOctets& chosen), (octets, chosen))
#define ASSAY_GRID_ERRORS(name, G) \
  ASSAY_KERNEL(void, name##_errors, ::assay::grid::errors<G>, (const Octets& octets, float* error), (octets, error))
