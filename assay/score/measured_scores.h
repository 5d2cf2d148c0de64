// Measured damages as scores; each file says what it changes.
#pragma once

#include <cstdint>
#include <memory>

#include "assay/score/variant_score.h"

namespace assay {

std::unique_ptr<Score> measured_damage_score();  // one matrix at a type, all others as they are: measured_damage.cpp
std::unique_ptr<Score> dequantize_one_score();   // all at the type but one: dequantize_one.cpp
std::unique_ptr<Score> layer_removal_score();    // a block left out: removal.cpp
std::unique_ptr<Score> half_removal_score();     // its attention, or its feed-forward: removal.cpp

// Q-PSA (methods.md 3.1) of `samples` codes, or stored bytes, of every matrix: qpsa.cpp.
constexpr uint64_t kQpsaSamples = 25;
std::unique_ptr<Score> qpsa_level_score(uint64_t samples = kQpsaSamples);
std::unique_ptr<Score> qpsa_byte_score(uint64_t samples = kQpsaSamples);

}  // namespace assay
