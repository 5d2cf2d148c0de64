// Encoders of the 256-weight K formats. row_length is a multiple of 256; importance may be null; inputs are finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_q2_k(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q3_k(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q4_k(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q5_k(const float* row, const float* importance, uint64_t row_length, std::byte* out);
void encode_q6_k(const float* row, const float* importance, uint64_t row_length, std::byte* out);

}  // namespace assay
