// Encoders of IQ2_XXS, IQ2_XS, IQ2_S. Internal to quant/; use assay::encode.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay {

void encode_iq2_xxs(const float* row, const float* importance, uint64_t n, std::byte* out);
void encode_iq2_xs(const float* row, const float* importance, uint64_t n, std::byte* out);
void encode_iq2_s(const float* row, const float* importance, uint64_t n, std::byte* out);

}  // namespace assay
