#include "assay/base/simd.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

inline __attribute__((always_inline)) int doubled(int x) { return 2 * x; }
ASSAY_KERNEL(int, kernel, doubled, (int x), (x))

TEST(Simd, ALimitHoldsAndNeverRaisesTheLevel) {
  EXPECT_EQ(simd(), available_simd());
  limit_simd(Simd::kPortable);
  EXPECT_EQ(simd(), Simd::kPortable);
  limit_simd(Simd::kAvx2);
  EXPECT_LE(simd(), Simd::kAvx2);
  EXPECT_LE(simd(), available_simd());
  limit_simd(Simd::kAvx512);
  EXPECT_EQ(simd(), available_simd());
}

TEST(Simd, EveryLevelOfAKernelCanBeCalled) {
  for (const Simd level : {Simd::kPortable, Simd::kAvx2, Simd::kAvx512}) {
    limit_simd(level);
    EXPECT_EQ(kernel(21), 42);
  }
}

}  // namespace
}  // namespace assay
