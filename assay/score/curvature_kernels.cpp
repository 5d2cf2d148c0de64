#include "assay/score/curvature_kernels.h"

#include <algorithm>
#include <cmath>

#include "assay/base/lanes.h"
#include "assay/model/row_math.h"

namespace assay {
namespace {

// Independent sums per lane, so that the compiler may use vectors; double from the start.
constexpr size_t kLanes = 8, kFloatLanes = 16;

double sum(const double (&lanes)[kLanes]) {
  double total = 0;
  for (const double lane : lanes) total += lane;
  return total;
}

}  // namespace

ASSAY_CLONES
void softmax(std::span<float> row) {
  const float scale = 1.0f / assay::row::exponentials(row.data(), 0, row.size(), row.size());
  for (float& value : row) value *= scale;
}

void label_residual(CounterRandom& random, std::span<float> row) {
  double left = random.next_uniform();
  size_t label = row.size() - 1;
  bool found = false;
  for (size_t v = 0; v < row.size(); ++v) {
    left -= static_cast<double>(row[v]);
    if (left < 0 && !found) {
      label = v;
      found = true;
    }
    row[v] = -row[v];
  }
  row[label] += 1.0f;
}

ASSAY_CLONES
void sign_residual(CounterRandom& random, std::span<float> row) {
  constexpr size_t kBits = 32;
  // First sqrt(p) z in place, then p again as its square.
  double total = 0;
  for (size_t first = 0; first < row.size(); first += kBits) {
    const uint32_t bits = random.next_u32();
    const size_t n = std::min(kBits, row.size() - first);
    float part = 0;
    for (size_t i = 0; i < n; ++i) {
      const float root = std::sqrt(row[first + i]);
      row[first + i] = (bits >> i & 1) != 0 ? root : -root;
      part += row[first + i];
    }
    total += static_cast<double>(part);
  }
  const auto scale = static_cast<float>(total);
  for (float& value : row) value -= value * value * scale;
}

ASSAY_CLONES
LogitChange logit_change(std::span<const float> e, std::span<const float> p, std::span<const float> r, std::span<const float> common) {
  double mean[kLanes] = {}, square[kLanes] = {}, term[kLanes] = {};
  const auto add = [&](size_t v, size_t lane) {
    const double value = e[v], weighted = value * static_cast<double>(p[v]);
    mean[lane] += weighted;
    square[lane] += weighted * value;
    term[lane] += static_cast<double>(e[v] - common[v]) * static_cast<double>(r[v]);
  };
  const size_t whole = e.size() / kLanes * kLanes;
  for (size_t first = 0; first < whole; first += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(first + lane, lane);
  for (size_t v = whole; v < e.size(); ++v) add(v, 0);
  const double m = sum(mean);
  return {std::max(0.0, sum(square) - m * m), sum(term)};
}

ASSAY_CLONES
void window_mean(std::span<const float> x, std::span<const float> g, std::span<float> mean, std::span<float> sum) {
  const size_t in = mean.size(), out = sum.size(), tokens = x.size() / in;
  std::fill(mean.begin(), mean.end(), 0.0f);
  std::fill(sum.begin(), sum.end(), 0.0f);
  double total = 0;
  const auto add_row = [&](size_t t, float weight) {
    const float* row = x.data() + t * in;
    for (size_t i = 0; i < in; ++i) mean[i] += weight * row[i];
  };
  for (size_t t = 0; t < tokens; ++t) {
    const float* row = g.data() + t * out;
    float square[kFloatLanes] = {};
    const size_t whole = out / kFloatLanes * kFloatLanes;
    for (size_t first = 0; first < whole; first += kFloatLanes)
      for (size_t i = 0; i < kFloatLanes; ++i) square[i] += row[first + i] * row[first + i];
    for (size_t i = whole; i < out; ++i) square[0] += row[i] * row[i];
    float weight = 0;
    for (const float part : square) weight += part;
    if (weight == 0) continue;
    for (size_t i = 0; i < out; ++i) sum[i] += row[i];
    total += static_cast<double>(weight);
    add_row(t, weight);
  }
  if (total == 0) {
    for (size_t t = 0; t < tokens; ++t) add_row(t, 1.0f);
    total = static_cast<double>(tokens);
  }
  for (float& value : mean) value = static_cast<float>(value / total);
}

}  // namespace assay
