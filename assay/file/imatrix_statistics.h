// What `assay imatrix --show-statistics` prints of each entry: llama.cpp's statistics of the mean squared activations a_j
// (methods.md 3.12). Non-goals: printing; scores of tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/file/imatrix.h"

namespace assay {

struct ImatrixStatistics {
  std::string tensor;
  size_t count = 0;                  // values: columns x matrices
  double sum = 0, min = 0, max = 0;  // of a
  double mean = 0, std = 0;          // std: divided by count
  double active = 0;                 // fraction with a > 1e-5
  double entropy = 0;                // bits, of a / sum
  double normalised_entropy = 0;     // entropy / log2(count); 1: all columns alike
  double z_density = 0;              // fraction whose z-score is above 1
  std::optional<double> cosine;      // with the same tensor of the previous block, if it is there and as wide
};

std::vector<ImatrixStatistics> imatrix_statistics(const Imatrix& imatrix);  // by block, then name; other tensors last

}  // namespace assay
