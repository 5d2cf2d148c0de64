// Measures of single weights, on the same sample of weights: which weights, and what each measure says of them. Internal to job/.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/score/path_gradients.h"

namespace assay {

class WeightSample {
 public:
  // About `most` weights, or all if there are fewer: one of each stretch of equal length, matrices by their size.
  WeightSample(const std::vector<PathMatrix>& matrices, uint64_t most, uint64_t seed) {
    uint64_t all = 0;
    for (const PathMatrix& matrix : matrices) all += matrix.elements;
    for (size_t m = 0; m < matrices.size(); ++m) {
      const uint64_t n = matrices[m].elements;
      const auto share = static_cast<double>(n) / static_cast<double>(all);
      const uint64_t count = all <= most ? n : std::min(n, static_cast<uint64_t>(share * static_cast<double>(most)) + 1);
      CounterRandom random(seed, m);
      Place place{size_, {}};
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t begin = i * n / count, end = (i + 1) * n / count;
        place.indices.push_back(begin + (end - begin > 1 ? random.next_below(end - begin) : 0));
      }
      size_ += count;
      places_[matrices[m].tensor] = std::move(place);
    }
  }

  size_t size() const { return size_; }
  bool holds(const std::string& tensor) const { return places_.contains(tensor); }
  // Of a whole matrix, to its places in `out`, which has size() entries.
  template <class Value>
  void take(const std::string& tensor, std::vector<double>& out, const Value& value) const {
    const Place& place = places_.at(tensor);
    out.resize(size_);
    for (size_t i = 0; i < place.indices.size(); ++i) out[place.first + i] = value(place.indices[i]);
  }

 private:
  struct Place {
    size_t first = 0;
    std::vector<uint64_t> indices;
  };
  std::map<std::string, Place> places_;
  size_t size_ = 0;
};

}  // namespace assay
