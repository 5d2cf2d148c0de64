// Encoders of the ternary formats. importance may be null; inputs are finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_tq1_0(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 256
void encode_tq2_0(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 256

}  // namespace assay
