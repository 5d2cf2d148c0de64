// Encoders of IQ3_XXS and IQ3_S. Internal to quant/; use assay::encode.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_iq3_xxs(const float* row, const float* importance, uint64_t n, std::byte* out);
void encode_iq3_s(const float* row, const float* importance, uint64_t n, std::byte* out);

}  // namespace assay
