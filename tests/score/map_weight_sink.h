// Takes values of single weights in memory, for tests of who makes them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "assay/score/weight_values.h"

namespace assay::testing_weights {

class MapWeightSink final : public WeightSink {
 public:
  using Key = std::tuple<std::string, std::optional<GgmlType>, std::string>;  // score, type, tensor

  bool wants(const Score& score) const override { return score.has_weight_values(); }
  Status expect(const Score& score, std::span<const WeightedMatrix> matrices) override {
    const ScoreInfo info = score.info();
    for (const WeightedMatrix& matrix : matrices) {
      if (!info.by_type) expected[{std::string(info.name), std::nullopt, matrix.shape.tensor}] = matrix.shape.elements();
      if (info.by_type)
        for (const GgmlType type : matrix.types) expected[{std::string(info.name), type, matrix.shape.tensor}] = matrix.shape.elements();
    }
    return {};
  }
  Status take(const Score& score, std::optional<GgmlType> type, const std::string& tensor, std::span<const float> terms) override {
    const Key key{std::string(score.info().name), type, tensor};
    EXPECT_FALSE(taken.contains(key)) << std::get<0>(key) << " " << tensor;
    taken[key].assign(terms.begin(), terms.end());
    return {};
  }
  // All that was announced came, and nothing else.
  void check() const {
    EXPECT_EQ(taken.size(), expected.size());
    for (const auto& [key, elements] : expected) {
      const auto found = taken.find(key);
      EXPECT_TRUE(found != taken.end() && found->second.size() == elements) << std::get<0>(key) << " " << std::get<2>(key);
    }
  }
  // Of one matrix: the terms' sum and that of their sizes.
  std::pair<double, double> sums(const Key& key) const {
    std::pair<double, double> sums;
    for (const float term : taken.at(key)) {
      sums.first += static_cast<double>(term);
      sums.second += static_cast<double>(term < 0 ? -term : term);
    }
    return sums;
  }

  std::map<Key, uint64_t> expected;
  std::map<Key, std::vector<float>> taken;
};

}  // namespace assay::testing_weights
