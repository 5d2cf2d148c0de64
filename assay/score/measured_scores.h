// Measured damages as scores; each file says what it changes.
#pragma once

#include <memory>

#include "assay/score/variant_score.h"

namespace assay {

std::unique_ptr<Score> measured_damage_score();  // one matrix at a type, all others as they are: measured_damage.cpp

}  // namespace assay
