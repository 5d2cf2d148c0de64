// How the codes of a quantized tensor are chosen once type and scales are settled. Torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace assay {

enum class Codes : uint8_t {
  kNearest,   // each weight's nearest code under importance-weighted scales
  kFeedback,  // column by column, the remaining error carried on to the columns that follow (GPTQ / LDLQ)
  kBest,      // feedback, then codes and scales improved in turn until the error stops falling
};

// What choosing did to a tensor.
struct CodesReport {
  // Sums over rows of e H e^T: nearest codes, then after feedback, then in the end. Each at most the one before, row by row.
  double nearest = 0, feedback = 0, final = 0;
  double sweeps = 0;  // of descent, mean over rows
};

std::string_view name_of(Codes codes);  // "nearest", "feedback", "best"
std::optional<Codes> find_codes(std::string_view name);

}  // namespace assay
