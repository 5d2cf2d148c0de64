// Codes of the grid types (IQ1, IQ2, IQ3): eight consecutive weights, an octet, share one or two points of a fixed grid, their signs, and
// for IQ1 a shift. Three steps that stay apart: scales (grid_scales.h), the codes of an octet under a fixed scale (`choose`), bytes
// (`pack`, and back by `unpack`); so a better choice of codes, with feedback for example, replaces the second (codes/octet_kernels.h).
// Layouts: methods.md 4.2.3. Non-goals: rows, importance that is missing (grid_scales.h takes care of both).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/file/gguf.h"

namespace assay {

constexpr int kOctet = 8;
constexpr int kLanes = 16;           // octets side by side, one per lane; they need not belong together
constexpr int kSuperBlock = 256;     // weights that share d
constexpr float kIq1Shift = 0.125f;  // added to or subtracted from every level of an octet (IQ1)

struct OctetCode {
  uint16_t point[2] = {};  // in the grid; the second where points have four weights
  uint8_t signs = 0;       // bit j: weight j is negative
  bool lowered = false;    // IQ1: the shift is -1/8
};

// All that a super-block stores. The scale of run r is d * unit * (2 levels[r] + 1).
struct GridBlock {
  float d = 0;  // a half
  uint8_t levels[kSuperBlock / 16] = {};
  OctetCode codes[kSuperBlock / kOctet] = {};
};

// Sixteen octets under scales of their own. Arrays are [weight of the octet][lane] or [lane].
struct Octets {
  const float* x = nullptr;      // [8][16]
  const float* w = nullptr;      // [8][16], >= 0
  const float* scale = nullptr;  // [16], >= 0
  const float* shift = nullptr;  // [16], +-kIq1Shift; read by IQ1 only
};

struct ChosenOctets {
  OctetCode code[kLanes];
  alignas(64) float level[kOctet * kLanes];  // [8][16]: the decoded weight is scale * level
  alignas(64) float error[kLanes];           // sum of w (x - scale * level)^2
};

enum class Shifts : uint8_t { kNone, kPerRun, kPerOctet };

struct GridFormat {
  GgmlType type{};
  int run = 0;                          // weights that share a scale
  int top = 0;                          // levels of scales: 0 .. top
  float unit = 0;                       // see GridBlock
  float least = 0, mean = 0, most = 0;  // magnitudes of levels of weights: least, root mean square, most
  Shifts shifts = Shifts::kNone;
  bool parity = false;  // of signs: each octet has an even number of negatives
  int refits = 0;       // rounds of fitting d to the codes
  int near_steps = 0;   // scales around the coarse search's that are compared by `errors`: an odd number up to 9
  // Errors under the scale, a bound from below that forgets the grid and the parity of signs: for a coarse search.
  void (*loose_errors)(const Octets& octets, float* error) = nullptr;
  // Errors under the scale with the best codes, or nearly so: which sign is turned for parity is guessed. nullptr where the grid is large.
  void (*errors)(const Octets& octets, float* error) = nullptr;
  // The best codes: the least error over the grid and all signs of the right parity.
  void (*choose)(const Octets& octets, ChosenOctets& chosen) = nullptr;
  void (*pack)(const GridBlock& block, std::byte* out) = nullptr;
  void (*unpack)(const std::byte* bytes, GridBlock& block) = nullptr;
};

// nullptr: not a grid type.
const GridFormat* find_grid_format(GgmlType type);
std::span<const GridFormat* const> all_grid_formats();

// A 7-bit sign index is the first seven signs; the eighth makes the number of negatives even.
constexpr unsigned even_signs(unsigned index) { return index | (static_cast<unsigned>(std::popcount(index)) & 1u) << 7; }

extern const GridFormat kIq1SFormat, kIq1MFormat;                  // iq1_encode.cpp
extern const GridFormat kIq2XxsFormat, kIq2XsFormat, kIq2SFormat;  // iq2_encode.cpp
extern const GridFormat kIq3XxsFormat, kIq3SFormat;                // iq3_encode.cpp

}  // namespace assay
