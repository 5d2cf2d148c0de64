// How far what random draws say of pairs of matrices repeats (cross_terms.h says how it is found). Apart, because plans carry it.
#pragma once

#include <cstdint>
#include <map>

#include "assay/file/gguf.h"

namespace assay {

struct CrossReliability {
  double all = 1;                    // of all pairs, 0 chance to 1 certain
  std::map<GgmlType, double> types;  // of pairs of cells of that type: its a^2
  uint64_t pairs = 0;                // of cells looked at
};

}  // namespace assay
