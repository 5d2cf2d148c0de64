// Sums that keep their digits: Neumaier-compensated double accumulation, mergeable in any fixed order.
#pragma once

#include <cmath>
#include <cstdint>

namespace assay {

class CompensatedSum {
 public:
  void add(double value) {
    const double total = sum_ + value;
    error_ += std::abs(sum_) >= std::abs(value) ? (sum_ - total) + value : (value - total) + sum_;
    sum_ = total;
  }
  void merge(const CompensatedSum& other) {
    add(other.sum_);
    error_ += other.error_;
  }
  double value() const { return sum_ + error_; }

 private:
  double sum_ = 0;
  double error_ = 0;
};

// Count, mean and second moment of a stream of values; mergeable.
class Moments {
 public:
  void add(double value) {
    ++count_;
    sum_.add(value);
    square_.add(value * value);
  }
  void merge(const Moments& other) {
    count_ += other.count_;
    sum_.merge(other.sum_);
    square_.merge(other.square_);
  }
  uint64_t count() const { return count_; }
  double sum() const { return sum_.value(); }
  double mean() const { return count_ ? sum_.value() / static_cast<double>(count_) : 0; }
  double mean_square() const { return count_ ? square_.value() / static_cast<double>(count_) : 0; }
  // sqrt((E[x^2] - E[x]^2) / (n - 1)): the i.i.d. standard error llama.cpp prints (methods.md 1.2); 0 for n < 2.
  double iid_standard_error() const {
    if (count_ < 2) return 0;
    const double variance = mean_square() - mean() * mean();
    return variance > 0 ? std::sqrt(variance / static_cast<double>(count_ - 1)) : 0;
  }

 private:
  uint64_t count_ = 0;
  CompensatedSum sum_;
  CompensatedSum square_;
};

}  // namespace assay
