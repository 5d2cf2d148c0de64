#include "assay/report/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr double kEdge = 1e-9;  // relative slack, so that a tick on the edge of the range is inside it

constexpr std::string_view kMinus = "\u2212";

// The number with `decimals` digits after the point, thousands grouped from five digits on, a true minus sign.
std::string number_label(double value, int decimals) {
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  const size_t point = std::min(digits.find('.'), digits.size());
  if (point >= 5)
    for (size_t i = point; i > 3; i -= 3) digits.insert(i - 3, ",");
  const bool zero = digits.find_first_not_of("0.,") == std::string::npos;
  return value < 0 && !zero ? std::string(kMinus) + digits : digits;
}

struct Step {
  int mantissa = 1;  // 1, 2 or 5
  int exponent = 0;
  double value() const { return at(1); }
  // `count` steps; divides where the power is negative, so that 3 steps of 0.1 are 0.3.
  double at(double count) const {
    const double power = std::pow(10.0, std::abs(exponent));
    return exponent < 0 ? count * mantissa / power : count * mantissa * power;
  }
};

// The smallest 1, 2 or 5 times a power of ten that is at least `least`.
Step nice_step(double least) {
  const int exponent = static_cast<int>(std::floor(std::log10(least)));
  for (const int mantissa : {1, 2, 5}) {
    const Step step{mantissa, exponent};
    if (step.value() >= least * (1 - kEdge)) return step;
  }
  return {1, exponent + 1};
}

// Labels of decades: plain digits where all are short, otherwise powers.
std::string log_label(int mantissa, int exponent, bool plain) {
  if (plain) return number_label(Step{mantissa, exponent}.value(), std::max(0, -exponent));
  return mantissa == 1 ? power_of_ten(exponent) : fmt::format("{}\u00D7{}", mantissa, power_of_ten(exponent));
}

// Ticks at the labelled mantissas of every `stride`-th decade; the rest become minor marks.
std::vector<Tick> decade_ticks(double low, double high, std::span<const int> labelled, int stride) {
  const int first = static_cast<int>(std::floor(std::log10(low) - kEdge));
  const int last = static_cast<int>(std::ceil(std::log10(high) + kEdge));
  const bool plain = first >= -3 && last <= 5;
  const bool minors = stride == 1 && last - first <= 7;
  std::vector<Tick> ticks;
  for (int exponent = first; exponent <= last; ++exponent) {
    for (int mantissa = 1; mantissa < 10; ++mantissa) {
      const double at = mantissa * std::pow(10.0, exponent);
      if (at < low * (1 - kEdge) || at > high * (1 + kEdge)) continue;
      const bool wanted = std::ranges::find(labelled, mantissa) != labelled.end() && exponent % stride == 0;
      if (!wanted && !minors && mantissa != 1) continue;
      ticks.push_back({at, wanted ? log_label(mantissa, exponent, plain) : ""});
    }
  }
  return ticks;
}

size_t labels_in(const std::vector<Tick>& ticks) {
  return static_cast<size_t>(std::ranges::count_if(ticks, [](const Tick& tick) { return !tick.label.empty(); }));
}

}  // namespace

std::string power_of_ten(int exponent) {
  static constexpr std::array<std::string_view, 10> kRaised = {"\u2070", "\u00B9", "\u00B2", "\u00B3", "\u2074",
                                                               "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
  std::string text = exponent < 0 ? "10\u207B" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) text += kRaised[static_cast<size_t>(digit - '0')];
  return text;
}

TickList linear_ticks(double low, double high, size_t most, bool whole) {
  Step step = nice_step((high - low) / static_cast<double>(std::max<size_t>(most, 1)));
  if (whole && step.exponent < 0) step = {1, 0};
  const double slack = kEdge * (high - low);
  TickList list;
  const double first = std::ceil((low - slack) / step.value());
  for (double count = first; step.at(count) <= high + slack && list.ticks.size() <= most + 1; ++count)
    list.ticks.push_back({step.at(count) + 0.0, ""});
  double largest = 0;
  for (const Tick& tick : list.ticks) largest = std::max(largest, std::abs(tick.at));
  if (largest >= 1e6 || (largest > 0 && largest < 1e-3)) list.exponent = 3 * static_cast<int>(std::floor(std::log10(largest) / 3 + kEdge));
  const int decimals = std::max(0, list.exponent - step.exponent);
  for (Tick& tick : list.ticks) tick.label = number_label(Step{1, -list.exponent}.at(tick.at), decimals);
  return list;
}

TickList given_ticks(const std::vector<double>& places) {
  TickList list;
  for (const double place : places) {
    const double size = std::abs(place);
    const int exponent = size == 0 ? 0 : static_cast<int>(std::floor(std::log10(size) + kEdge));
    const bool power = exponent < -3 || exponent > 6;
    std::string label = fmt::format("{:.6g}", power ? size / std::pow(10.0, exponent) : size);
    if (const size_t point = label.find('.'); !power)
      label = number_label(size, point == std::string::npos ? 0 : static_cast<int>(label.size() - point - 1));
    else
      label = label == "1" ? power_of_ten(exponent) : label + "\u00D7" + power_of_ten(exponent);
    list.ticks.push_back({place, place < 0 ? std::string(kMinus) + label : label});
  }
  return list;
}

TickList log_ticks(double low, double high, size_t most) {
  static constexpr std::array<int, 4> kFour = {1, 2, 3, 5};
  static constexpr std::array<int, 3> kThree = {1, 2, 5};
  static constexpr std::array<int, 2> kTwo = {1, 3};
  static constexpr std::array<int, 1> kOne = {1};
  for (const std::span<const int> labelled : {std::span<const int>(kFour), std::span<const int>(kThree), std::span<const int>(kTwo)}) {
    std::vector<Tick> ticks = decade_ticks(low, high, labelled, 1);
    const size_t count = labels_in(ticks);
    if (count >= 3 && count <= most) return {std::move(ticks), 0};
  }
  if (high / low < 10) return linear_ticks(low, high, most, false);
  for (int stride = 1; stride < 700; ++stride) {
    std::vector<Tick> ticks = decade_ticks(low, high, kOne, stride);
    if (labels_in(ticks) <= std::max<size_t>(most, 1)) return {std::move(ticks), 0};
  }
  return linear_ticks(low, high, most, false);
}

}  // namespace assay
