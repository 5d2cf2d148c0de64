// The codecs of each family of formats: one file per family, one line in codec.cpp. Internal to quant/.
#pragma once

#include <span>

#include "assay/quant/codec.h"

namespace assay {

std::span<const Codec> plain_codecs();    // F32 F16 BF16 F64
std::span<const Codec> legacy_codecs();   // Q4_0 Q4_1 Q5_0 Q5_1 Q8_0
std::span<const Codec> kquant_codecs();   // Q2_K .. Q6_K
std::span<const Codec> iq_codecs();       // IQ1_S .. IQ4_XS
std::span<const Codec> ternary_codecs();  // TQ1_0 TQ2_0 Q1_0 Q2_0
std::span<const Codec> fp4_codecs();      // MXFP4 NVFP4

// Applies a one-block decoder to a row.
template <uint32_t kBlock, uint32_t kBytes, void (*kDecodeBlock)(const std::byte*, float*)>
void decode_blocks(const std::byte* row, uint64_t row_length, float* out) {
  for (uint64_t b = 0; b < row_length / kBlock; ++b) kDecodeBlock(row + b * kBytes, out + b * kBlock);
}

}  // namespace assay
