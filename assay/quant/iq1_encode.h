// Encoders of IQ1_S and IQ1_M. Internal to quant/; use assay::encode.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_iq1_s(const float* row, const float* importance, uint64_t n, std::byte* out);
void encode_iq1_m(const float* row, const float* importance, uint64_t n, std::byte* out);

}  // namespace assay
