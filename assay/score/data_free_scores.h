// Scores of the weights alone. Each is declared with its source in its own file.
#pragma once

#include <memory>

#include "assay/score/score_run.h"

namespace assay {

std::unique_ptr<Score> random_score();            // controls.cpp
std::unique_ptr<Score> size_score();              // controls.cpp
std::unique_ptr<Score> weight_norm_score();       // weight_norm.cpp
std::unique_ptr<Score> kurtosis_score();          // kurtosis.cpp
std::unique_ptr<Score> kurt_boost_score();        // kurtosis.cpp
std::unique_ptr<Score> zd_score();                // z_density.cpp
std::unique_ptr<Score> two_bit_error_score();     // two_bit_error.cpp
std::unique_ptr<Score> ewq_score();               // ewq.cpp
std::unique_ptr<Score> weight_error_score();      // weight_error.cpp
std::unique_ptr<Score> importance_error_score();  // weight_error.cpp
std::unique_ptr<Score> target_bpw_score();        // target_bpw.cpp

}  // namespace assay
