// The median: of an even number of values, the mean of the two in the middle.
#pragma once

#include <algorithm>
#include <vector>

namespace assay {

// Not empty.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

}  // namespace assay
