// How an encoder of rows is defined: one always-inlined body, compiled for every level of vector instructions. Internal to quant/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/base/simd.h"

#define ASSAY_ENCODER(name, body) \
  ASSAY_KERNEL(void, name, body, (const float* row, const float* importance, uint64_t n, std::byte* out), (row, importance, n, out))
