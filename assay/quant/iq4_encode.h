// Encoders of the formats with the non-linear 4-bit table. importance may be null; inputs are finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_iq4_nl(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 32
void encode_iq4_xs(const float* row, const float* importance, uint64_t row_length, std::byte* out);  // blocks of 256

// The table of methods.md 4.2.3, ascending.
inline constexpr float kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace assay
