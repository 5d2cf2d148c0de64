#include "assay/base/simd.h"

#include <algorithm>
#include <atomic>

namespace assay {
namespace {

Simd detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return Simd::kPortable;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? Simd::kAvx512 : Simd::kAvx2;
#else
  return Simd::kPortable;
#endif
}

std::atomic<Simd>& level() {
  static std::atomic<Simd> value{available_simd()};
  return value;
}

}  // namespace

Simd available_simd() {
  static const Simd best = detect();
  return best;
}

Simd simd() { return level().load(std::memory_order_relaxed); }

void limit_simd(Simd most) { level().store(std::min(most, available_simd()), std::memory_order_relaxed); }

}  // namespace assay
