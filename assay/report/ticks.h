// Where an axis is marked and what the marks say: steps of 1, 2 or 5 times a power of ten; on a log axis decades, and 2 and 5 where there
// is room.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace assay {

struct Tick {
  double at = 0;
  std::string label;  // empty: a minor mark
};

struct TickList {
  std::vector<Tick> ticks;
  int exponent = 0;  // labels are in units of 10^exponent
};

// At most `most` + 1 ticks inside [low, high]; `whole`: only at whole numbers. low < high, both finite.
TickList linear_ticks(double low, double high, size_t most, bool whole);
// At most `most` labelled ticks inside [low, high] besides minor ones; 0 < low < high.
TickList log_ticks(double low, double high, size_t most);

// At these places, each labelled with as many digits as it has (at most 6).
TickList given_ticks(const std::vector<double>& places);

// "10⁻³"
std::string power_of_ten(int exponent);

}  // namespace assay
