// Encoders of the 4-bit floating point formats. importance may be null; inputs are finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_mxfp4(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 32
void encode_nvfp4(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 64

}  // namespace assay
