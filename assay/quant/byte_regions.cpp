// What each byte of a block holds. Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/code_move.h"

namespace assay {
namespace {

using R = ByteRegion;

constexpr std::string_view kScale = "block scale", kMinimum = "block minimum", kSubScales = "sub-scales", kCodes = "codes",
                           kHighBits = "high bits", kPoints = "grid points", kSigns = "signs";

constexpr R kF64[] = {R{"values", 0, 8}}, kF32[] = {R{"values", 0, 4}}, kF16[] = {R{"values", 0, 2}};

constexpr R kQ4_0[] = {R{kScale, 0, 2}, R{kCodes, 2, 16}};
constexpr R kQ4_1[] = {R{kScale, 0, 2}, R{kMinimum, 2, 2}, R{kCodes, 4, 16}};
constexpr R kQ5_0[] = {R{kScale, 0, 2}, R{kHighBits, 2, 4}, R{kCodes, 6, 16}};
constexpr R kQ5_1[] = {R{kScale, 0, 2}, R{kMinimum, 2, 2}, R{kHighBits, 4, 4}, R{kCodes, 8, 16}};
constexpr R kQ8_0[] = {R{kScale, 0, 2}, R{kCodes, 2, 32}};

// The sub-scales of Q2_K, Q4_K and Q5_K include the sub-blocks' minima.
constexpr std::string_view kScalesAndMinima = "sub-scales and minima";
constexpr R kQ2_K[] = {R{kScalesAndMinima, 0, 16}, R{kCodes, 16, 64}, R{kScale, 80, 2}, R{kMinimum, 82, 2}};
constexpr R kQ3_K[] = {R{kHighBits, 0, 32}, R{kCodes, 32, 64}, R{kSubScales, 96, 12}, R{kScale, 108, 2}};
constexpr R kQ4_K[] = {R{kScale, 0, 2}, R{kMinimum, 2, 2}, R{kScalesAndMinima, 4, 12}, R{kCodes, 16, 128}};
constexpr R kQ5_K[] = {R{kScale, 0, 2}, R{kMinimum, 2, 2}, R{kScalesAndMinima, 4, 12}, R{kHighBits, 16, 32}, R{kCodes, 48, 128}};
constexpr R kQ6_K[] = {R{kCodes, 0, 128}, R{kHighBits, 128, 64}, R{kSubScales, 192, 16}, R{kScale, 208, 2}};

// Grid types: upper bits of points lie in bytes of their own or together with scales, signs and shifts.
constexpr R kIQ1_S[] = {R{kScale, 0, 2}, R{kPoints, 2, 32}, R{kHighBits, 34, 1, 2, 8}, R{"high bits, sub-scales and shifts", 35, 1, 2, 8}};
constexpr R kIQ1_M[] = {R{kPoints, 0, 32}, R{"high bits and shifts", 32, 16}, R{kSubScales, 48, 1, 2, 4},
                        R{"sub-scales and block scale", 49, 1, 2, 4}};
constexpr std::string_view kSignsAndScale = "signs and sub-scales";
constexpr R kIQ2_XXS[] = {R{kScale, 0, 2}, R{kPoints, 2, 4, 8, 8}, R{kSigns, 6, 3, 8, 8}, R{kSignsAndScale, 9, 1, 8, 8}};
constexpr R kIQ2_XS[] = {R{kScale, 0, 2}, R{kPoints, 2, 1, 2, 32}, R{"high bits and signs", 3, 1, 2, 32}, R{kSubScales, 66, 8}};
constexpr R kIQ2_S[] = {R{kScale, 0, 2}, R{kPoints, 2, 32}, R{kSigns, 34, 32}, R{kHighBits, 66, 8}, R{kSubScales, 74, 8}};
constexpr R kIQ3_XXS[] = {R{kScale, 0, 2}, R{kPoints, 2, 64}, R{kSigns, 66, 3, 4, 8}, R{kSignsAndScale, 69, 1, 4, 8}};
constexpr R kIQ3_S[] = {R{kScale, 0, 2}, R{kPoints, 2, 64}, R{kHighBits, 66, 8}, R{kSigns, 74, 32}, R{kSubScales, 106, 4}};

constexpr R kIQ4_NL[] = {R{kScale, 0, 2}, R{kCodes, 2, 16}};
constexpr R kIQ4_XS[] = {R{kScale, 0, 2}, R{kSubScales, 2, 6}, R{kCodes, 8, 128}};

constexpr R kTQ1_0[] = {R{kCodes, 0, 52}, R{kScale, 52, 2}};
constexpr R kTQ2_0[] = {R{kCodes, 0, 64}, R{kScale, 64, 2}};
constexpr R kQ1_0[] = {R{kScale, 0, 2}, R{kCodes, 2, 16}};

constexpr R kMXFP4[] = {R{kScale, 0, 1}, R{kCodes, 1, 16}};
constexpr R kNVFP4[] = {R{kSubScales, 0, 4}, R{kCodes, 4, 32}};

struct Entry {
  GgmlType type;
  std::span<const R> regions;
};

using T = GgmlType;
constexpr std::array kEntries = {
    Entry{T::kF32, kF32},         Entry{T::kF16, kF16},       Entry{T::kBF16, kF16},      Entry{T::kF64, kF64},
    Entry{T::kQ4_0, kQ4_0},       Entry{T::kQ4_1, kQ4_1},     Entry{T::kQ5_0, kQ5_0},     Entry{T::kQ5_1, kQ5_1},
    Entry{T::kQ8_0, kQ8_0},       Entry{T::kQ2_K, kQ2_K},     Entry{T::kQ3_K, kQ3_K},     Entry{T::kQ4_K, kQ4_K},
    Entry{T::kQ5_K, kQ5_K},       Entry{T::kQ6_K, kQ6_K},     Entry{T::kIQ1_S, kIQ1_S},   Entry{T::kIQ1_M, kIQ1_M},
    Entry{T::kIQ2_XXS, kIQ2_XXS}, Entry{T::kIQ2_XS, kIQ2_XS}, Entry{T::kIQ2_S, kIQ2_S},   Entry{T::kIQ3_XXS, kIQ3_XXS},
    Entry{T::kIQ3_S, kIQ3_S},     Entry{T::kIQ4_NL, kIQ4_NL}, Entry{T::kIQ4_XS, kIQ4_XS}, Entry{T::kTQ1_0, kTQ1_0},
    Entry{T::kTQ2_0, kTQ2_0},     Entry{T::kQ1_0, kQ1_0},     Entry{T::kQ2_0, kQ1_0},     Entry{T::kMXFP4, kMXFP4},
    Entry{T::kNVFP4, kNVFP4},
};

}  // namespace

bool ByteRegion::holds(uint64_t byte_of_block) const {
  if (byte_of_block < first) return false;
  const uint64_t past = byte_of_block - first;
  return repeats == 1 ? past < bytes : past / period < repeats && past % period < bytes;
}

std::span<const ByteRegion> byte_regions(GgmlType type) {
  for (const Entry& entry : kEntries)
    if (entry.type == type) return entry.regions;
  return {};
}

}  // namespace assay
