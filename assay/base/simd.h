// Which vector instructions a kernel uses: the best this CPU has, or fewer where a test asks for fewer. All levels give equal bytes.
// Not for kernels that differ by level: a kernel is one inlined body, compiled once per level (ASSAY_KERNEL).
#pragma once

#include <cstdint>

namespace assay {

enum class Simd : uint8_t { kPortable, kAvx2, kAvx512 };

// The best level of this CPU. kAvx512: F, BW, DQ and VL.
Simd available_simd();
// The level in use: at most what limit_simd() allows. Thread-safe.
Simd simd();
// Kernels called from now on use `most` or less, in the whole process. For tests.
void limit_simd(Simd most);

}  // namespace assay

// Defines `result name parameters`, which calls the always-inlined `body` as compiled for the level in use.
#if defined(__x86_64__)
#define ASSAY_KERNEL(result, name, body, parameters, arguments)                                                                   \
  static result name##_portable parameters { return body arguments; }                                                             \
  __attribute__((target("avx2"))) static result name##_avx2 parameters { return body arguments; }                                 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static result name##_avx512 parameters { return body arguments; } \
  result name parameters {                                                                                                        \
    switch (::assay::simd()) {                                                                                                    \
      case ::assay::Simd::kAvx512:                                                                                                \
        return name##_avx512 arguments;                                                                                           \
      case ::assay::Simd::kAvx2:                                                                                                  \
        return name##_avx2 arguments;                                                                                             \
      case ::assay::Simd::kPortable:                                                                                              \
        break;                                                                                                                    \
    }                                                                                                                             \
    return name##_portable arguments;                                                                                             \
  }
#else
#define ASSAY_KERNEL(result, name, body, parameters, arguments) \
  result name parameters { return body arguments; }
#endif
