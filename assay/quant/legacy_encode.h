// Encoders of the 32-weight formats. row_length is a multiple of 32; importance may be null; inputs are finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_q4_0(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q4_1(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q5_0(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q5_1(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q8_0(const float* row, const float* importance, uint64_t row_length, std::byte* out);

}  // namespace assay
