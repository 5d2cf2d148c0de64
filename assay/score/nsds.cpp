#include "assay/score/nsds.h"

#include <algorithm>
#include <cmath>

#include "assay/score/median.h"

namespace assay {
std::vector<double> robust_sigmoid(std::span<const double> values) {
  std::vector<double> out(values.begin(), values.end());
  if (out.empty()) return out;
  const double middle = median(out);
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::fabs(value - middle));
  const double spread = median(std::move(distances)) + 1e-12;
  for (double& value : out) value = 1 / (1 + std::exp(-(value - middle) / spread));
  return out;
}

double soft_or(std::span<const double> scores) {
  if (scores.empty()) return 0;
  double sum = 0;
  for (const double score : scores) sum += std::log(1 - score + 1e-12);
  return 1 - std::exp(sum / static_cast<double>(scores.size()));
}

std::vector<double> join_nsds(std::span<const std::vector<double>> layers) {
  std::vector<std::vector<double>> parts[2];  // NV, SE: [module][layer]
  for (size_t aspect = 0; aspect < 2; ++aspect)
    for (size_t module = 0; module < kNsdsModules; ++module) {
      std::vector<double> raw;
      for (const std::vector<double>& layer : layers) raw.push_back(layer[aspect * kNsdsModules + module]);
      if (std::any_of(raw.begin(), raw.end(), [](double value) { return value != 0; })) parts[aspect].push_back(robust_sigmoid(raw));
    }
  std::vector<double> scores;
  for (size_t l = 0; l < layers.size(); ++l) {
    double aspects[2];
    for (size_t aspect = 0; aspect < 2; ++aspect) {
      std::vector<double> own;
      for (const std::vector<double>& module : parts[aspect]) own.push_back(module[l]);
      aspects[aspect] = soft_or(own);
    }
    scores.push_back(soft_or(aspects));
  }
  return scores;
}

}  // namespace assay
