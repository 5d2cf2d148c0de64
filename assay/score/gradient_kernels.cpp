#include "assay/score/gradient_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "assay/base/parallel.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call

// Without FMA: a*b+c is never contracted, so all levels give equal bytes.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define GRADIENT_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GRADIENT_CLONES
#endif

namespace assay {
namespace {

constexpr size_t kLanes = 4, kStep = 2 * kLanes, kBlock = size_t{1} << 16;
using Float4 = float __attribute__((vector_size(16)));
using Double4 = double __attribute__((vector_size(32)));
// Four lanes and four more: two chains of additions.
struct Pair {
  Double4 low, high;
};

inline __attribute__((always_inline)) Double4 load4(const float* at) {
  Float4 value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_convertvector(value, Double4);
}
inline __attribute__((always_inline)) Double4 absolute(Double4 x) { return x < 0 ? -x : x; }
inline __attribute__((always_inline)) double total(const Pair& sums) {
  const Double4 both = sums.low + sums.high;
  return (both[0] + both[1]) + (both[2] + both[3]);
}

GRADIENT_CLONES
DotSums dot_block(const float* a, const float* b, size_t n) {
  Pair sums = {}, sizes = {};
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Double4 low = load4(a + i) * load4(b + i), high = load4(a + i + kLanes) * load4(b + i + kLanes);
    sums.low += low;
    sums.high += high;
    sizes.low += absolute(low);
    sizes.high += absolute(high);
  }
  DotSums all{total(sums), total(sizes)};
  for (; i < n; ++i) {
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    all.signed_sum += product;
    all.absolute_sum += product < 0 ? -product : product;
  }
  return all;
}

GRADIENT_CLONES
double square_block(const float* f, const float* d, size_t n) {
  Pair sums = {};
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Double4 low = load4(d + i), high = load4(d + i + kLanes);
    sums.low += load4(f + i) * (low * low);
    sums.high += load4(f + i + kLanes) * (high * high);
  }
  double all = total(sums);
  for (; i < n; ++i) all += static_cast<double>(f[i]) * (static_cast<double>(d[i]) * static_cast<double>(d[i]));
  return all;
}

GRADIENT_CLONES
double squared_product_block(const float* a, const float* b, size_t n) {
  Pair sums = {};
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Double4 low = load4(a + i) * load4(b + i), high = load4(a + i + kLanes) * load4(b + i + kLanes);
    sums.low += low * low;
    sums.high += high * high;
  }
  double all = total(sums);
  for (; i < n; ++i) {
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    all += product * product;
  }
  return all;
}

GRADIENT_CLONES
void product_block(double scale, const float* a, const float* b, float* c, size_t n) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Float4 sum = __builtin_convertvector(load4(c + i) + scale * (load4(a + i) * load4(b + i)), Float4);
    std::memcpy(c + i, &sum, sizeof sum);
  }
  for (; i < n; ++i) c[i] = static_cast<float>(static_cast<double>(c[i]) + scale * (static_cast<double>(a[i]) * static_cast<double>(b[i])));
}

// body(first, count) over blocks of weights.
template <class Body>
void for_blocks(size_t size, int threads, const Body& body) {
  parallel_for((size + kBlock - 1) / kBlock, threads, [&](size_t b) { body(b, b * kBlock, std::min(kBlock, size - b * kBlock)); });
}

template <class Body>
double sum_blocks(size_t size, int threads, const Body& body) {
  std::vector<double> parts((size + kBlock - 1) / kBlock);
  for_blocks(size, threads, [&](size_t p, size_t first, size_t n) { parts[p] = body(first, n); });
  double all = 0;
  for (const double part : parts) all += part;
  return all;
}

}  // namespace

DotSums dot_sums(std::span<const float> a, std::span<const float> b, int threads) {
  std::vector<DotSums> parts((a.size() + kBlock - 1) / kBlock);
  for_blocks(a.size(), threads, [&](size_t p, size_t first, size_t n) { parts[p] = dot_block(a.data() + first, b.data() + first, n); });
  DotSums all;
  for (const DotSums& part : parts) {
    all.signed_sum += part.signed_sum;
    all.absolute_sum += part.absolute_sum;
  }
  return all;
}

double weighted_square(std::span<const float> f, std::span<const float> d, int threads) {
  return sum_blocks(f.size(), threads, [&](size_t first, size_t n) { return square_block(f.data() + first, d.data() + first, n); });
}

double squared_products(std::span<const float> a, std::span<const float> b, int threads) {
  return sum_blocks(a.size(), threads,
                    [&](size_t first, size_t n) { return squared_product_block(a.data() + first, b.data() + first, n); });
}

void add_products(double scale, std::span<const float> a, std::span<const float> b, std::span<float> c, int threads) {
  for_blocks(a.size(), threads,
             [&](size_t, size_t first, size_t n) { product_block(scale, a.data() + first, b.data() + first, c.data() + first, n); });
}

double absolute_sum(std::span<const float> c, int threads) {
  const std::vector<float> ones(std::min(c.size(), kBlock), 1.0f);
  return sum_blocks(c.size(), threads, [&](size_t first, size_t n) { return dot_block(c.data() + first, ones.data(), n).absolute_sum; });
}

}  // namespace assay
