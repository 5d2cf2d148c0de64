#include "assay/file/imatrix_statistics.h"

#include <algorithm>
#include <climits>
#include <cmath>

namespace assay {
namespace {

constexpr double kActive = 1e-5;  // llama.cpp's limit

// "blk.7.attn_q.weight" -> 7, "attn_q.weight"; block -1 for other names.
struct BlockName {
  int block = -1;
  std::string_view rest;
};
BlockName block_name(std::string_view tensor) {
  if (!tensor.starts_with("blk.")) return {-1, tensor};
  const size_t dot = tensor.find('.', 4);
  int block = 0;
  for (const char c : tensor.substr(4, dot - 4)) {
    if (c < '0' || c > '9' || block > 100'000) return {-1, tensor};
    block = 10 * block + (c - '0');
  }
  return dot == std::string_view::npos ? BlockName{-1, tensor} : BlockName{block, tensor.substr(dot + 1)};
}

std::optional<double> cosine_of(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) return std::nullopt;
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    dot += x * y, aa += x * x, bb += y * y;
  }
  return aa > 0 && bb > 0 ? std::optional(dot / std::sqrt(aa * bb)) : std::nullopt;
}

ImatrixStatistics statistics_of(const std::string& tensor, const std::vector<float>& values) {
  ImatrixStatistics s;
  s.tensor = tensor;
  s.count = values.size();
  if (values.empty()) return s;
  const auto n = static_cast<double>(values.size());
  s.min = s.max = static_cast<double>(values[0]);
  for (const float value : values) {
    const auto a = static_cast<double>(value);
    s.sum += a;
    s.min = std::min(s.min, a);
    s.max = std::max(s.max, a);
    s.active += a > kActive ? 1 / n : 0;
  }
  s.mean = s.sum / n;
  double squares = 0;
  for (const float value : values) squares += (static_cast<double>(value) - s.mean) * (static_cast<double>(value) - s.mean);
  s.std = std::sqrt(squares / n);
  for (const float value : values) {
    const auto a = static_cast<double>(value);
    if (a > 0 && s.sum > 0) s.entropy -= a / s.sum * std::log2(a / s.sum);
    if (s.std > 0 && (a - s.mean) / s.std > 1) s.z_density += 1 / n;
  }
  s.normalised_entropy = values.size() > 1 ? s.entropy / std::log2(n) : 1;
  return s;
}

}  // namespace

std::vector<ImatrixStatistics> imatrix_statistics(const Imatrix& imatrix) {
  std::vector<ImatrixStatistics> all;
  for (const auto& [tensor, entry] : imatrix.entries) {
    const std::vector<float> values = imatrix.importance(tensor);
    all.push_back(statistics_of(tensor, values));
    const auto [block, rest] = block_name(tensor);
    if (block > 0) all.back().cosine = cosine_of(values, imatrix.importance("blk." + std::to_string(block - 1) + "." + std::string(rest)));
  }
  const auto order = [](const ImatrixStatistics& s) {
    const int block = block_name(s.tensor).block;
    return block < 0 ? INT_MAX : block;
  };
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
  return all;
}

}  // namespace assay
