#include "assay/probe/sequential.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "assay/base/sum.h"
#include "assay/base/text.h"

namespace assay {
namespace {

// The boundary is narrowest near the first look.
constexpr double kNarrowestAt = 2.0 * StopRule::kLeast;

// The true standard deviation is below this multiple of that of `count` normal draws with 95 % confidence: (count - 1) over the 5 %
// quantile of chi square (Wilson and Hilferty 1931), its root.
double deviation_bound(double count) {
  constexpr double kNormalQuantile = 1.6448536269514722;
  const double spread = 2 / (9 * (count - 1));
  return std::pow(1 - spread - kNormalQuantile * std::sqrt(spread), -1.5);
}

struct Spread {
  double mean = 0, deviation = 0;
};

template <class ValueOf>
Spread spread_of(size_t count, const ValueOf& value_of) {
  CompensatedSum sum, squares;
  for (size_t i = 0; i < count; ++i) sum.add(value_of(i));
  const double mean = sum.value() / static_cast<double>(count);
  for (size_t i = 0; i < count; ++i) squares.add((value_of(i) - mean) * (value_of(i) - mean));
  return {mean, count > 1 ? std::sqrt(squares.value() / static_cast<double>(count - 1)) : 0};
}

Result<double> fraction(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value >= 1)
    return fail(ErrorCode::kUsage, {"--until", std::string(what) + " '" + printable(text) + "'", "a number between 0 and 1", ""});
  return value;
}

}  // namespace

Result<StopRule> parse_stop_rule(std::string_view text) {
  StopRule rule;
  const size_t comma = text.find(',');
  const std::string_view kind = text.substr(0, comma);
  if (kind.starts_with("ci=")) {
    rule.kind = StopRule::Kind::kWidth;
    ASSAY_ASSIGN(rule.width, fraction(kind.substr(3), "half-width"));
  } else if (kind != "rank-stable") {
    return fail(ErrorCode::kUsage, {"--until", "'" + printable(text) + "'", "ci=0.1 or rank-stable, either with ,error=0.01", ""});
  }
  if (comma == text.npos) return rule;
  const std::string_view rest = text.substr(comma + 1);
  if (!rest.starts_with("error="))
    return fail(ErrorCode::kUsage, {"--until", "'" + printable(rest) + "'", "error=0.01 after the comma", ""});
  ASSAY_ASSIGN(rule.error_rate, fraction(rest.substr(6), "error rate"));
  return rule;
}

double anytime_half_width(double deviation, uint64_t seen, uint64_t of, double error_rate) {
  if (seen >= of) return 0;
  if (seen < StopRule::kLeast) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(seen);
  const double left = 1 - n / static_cast<double>(of);
  const double time = n / left;
  // The mixture's scale, for a boundary that is narrowest relative to its time at `kNarrowestAt` draws.
  const double two_logs = -2 * std::log(error_rate);
  const double scale = kNarrowestAt / (two_logs + std::log(two_logs + 1));
  const double boundary = std::sqrt((time + scale) * (std::log((time + scale) / scale) + two_logs));
  return deviation * deviation_bound(n) * boundary * left / n;
}

Interval anytime_interval(std::span<const double> values, uint64_t of, double error_rate) {
  const Spread spread = spread_of(values.size(), [&](size_t i) { return values[i]; });
  const double half = anytime_half_width(spread.deviation, values.size(), of, error_rate);
  return {spread.mean, spread.mean - half, spread.mean + half};
}

SettledOrder::SettledOrder(size_t variants, uint64_t windows, double error_rate, double tie)
    : windows_(windows), error_rate_(error_rate), tie_(tie), values_(variants), segments_(1) {
  segments_[0].resize(variants);
  std::iota(segments_[0].begin(), segments_[0].end(), size_t{0});
  if (variants == 0) segments_.clear();
}

std::vector<size_t> SettledOrder::open() const {
  std::vector<size_t> open;
  for (const std::vector<size_t>& segment : segments_)
    if (segment.size() > 1)
      for (const size_t variant : segment)
        if (values_[variant].size() < windows_) open.push_back(variant);
  std::sort(open.begin(), open.end());
  return open;
}

void SettledOrder::add(std::span<const double> values) {
  const std::vector<size_t> variants = open();
  for (size_t i = 0; i < variants.size(); ++i) values_[variants[i]].push_back(values[i]);
}

void SettledOrder::split() {
  std::vector<std::vector<size_t>> parts;
  for (std::vector<size_t>& segment : segments_) {
    if (segment.size() == 1 || values_[segment[0]].size() < std::min<uint64_t>(StopRule::kLeast, windows_)) {
      parts.push_back(std::move(segment));
      continue;
    }
    for (std::vector<size_t>& part : cut(std::move(segment))) parts.push_back(std::move(part));
  }
  segments_ = std::move(parts);
}

std::vector<size_t> SettledOrder::order() const {
  std::vector<size_t> order;
  for (const std::vector<size_t>& segment : segments_) order.insert(order.end(), segment.begin(), segment.end());
  return order;
}

bool SettledOrder::settled(size_t above, size_t below) const {
  const std::vector<double>&a = values_[above], &b = values_[below];
  const Spread spread = spread_of(a.size(), [&](size_t i) { return a[i] - b[i]; });
  const double half = anytime_half_width(spread.deviation, a.size(), windows_, error_rate_);
  return spread.mean - half > 0 || (spread.mean + half <= tie_ && spread.mean - half >= -tie_);
}

// At every place where all pairs across it are settled.
std::vector<std::vector<size_t>> SettledOrder::cut(std::vector<size_t> segment) const {
  const size_t count = segment.size();
  std::vector<Interval> of(values_.size());  // at half the error rate each, for a comparison of two
  for (const size_t variant : segment) of[variant] = anytime_interval(values_[variant], windows_, error_rate_ / 2);
  std::stable_sort(segment.begin(), segment.end(), [&](size_t a, size_t b) { return of[a].value > of[b].value; });
  std::vector<double> lowest_above(count), highest_below(count);  // of segment[0 .. i] and of segment[i ..]
  for (size_t i = 0; i < count; ++i) lowest_above[i] = std::min(of[segment[i]].low, i > 0 ? lowest_above[i - 1] : INFINITY);
  for (size_t i = count; i-- > 0;) highest_below[i] = std::max(of[segment[i]].high, i + 1 < count ? highest_below[i + 1] : -INFINITY);
  const auto all_settled = [&](size_t last_above) {
    // From the nearest pair outwards: where a cut fails, it fails there.
    for (size_t a = last_above + 1; a-- > 0;) {
      if (lowest_above[a] > highest_below[last_above + 1]) break;  // so are all before it
      for (size_t b = last_above + 1; b < count && highest_below[b] >= of[segment[a]].low; ++b)
        if (of[segment[b]].high >= of[segment[a]].low && !settled(segment[a], segment[b])) return false;
    }
    return true;
  };
  std::vector<std::vector<size_t>> parts(1);
  for (size_t i = 0; i < count; ++i) {
    parts.back().push_back(segment[i]);
    if (i + 1 < count && all_settled(i)) parts.emplace_back();
  }
  return parts;
}

}  // namespace assay
