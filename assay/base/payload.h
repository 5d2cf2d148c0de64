// Results as bytes for the journal, and back: numbers little-endian, arrays and texts after their length. The writer refuses NaN and
// infinite numbers by name - a unit that failed numerically is not a finished unit -, the reader trusts nothing it reads.
// Non-goals: schemas, versions (both belong in the unit's key).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

class PayloadWriter {
 public:
  void add(uint64_t number);
  void add(std::string_view text);
  // `name` says what the number is, should it not be finite.
  void add(double number, std::string_view name);
  void add(std::span<const double> numbers, std::string_view name);
  void add(std::span<const float> numbers, std::string_view name);
  // The bytes, or kBadInput naming the first number that was not finite.
  Result<std::string> finish() &&;

 private:
  template <class T>
  void add_array(std::span<const T> numbers, std::string_view name);
  std::string bytes_;
  std::string complaint_;
};

// Reads in the order written. After the first failure everything reads as zero or empty, and finish() tells.
class PayloadReader {
 public:
  // `bytes` must outlive the reader.
  explicit PayloadReader(std::string_view bytes) : rest_(bytes) {}
  explicit PayloadReader(std::string&&) = delete;

  uint64_t number();
  double real();
  std::string text();
  std::vector<double> reals();
  std::vector<float> floats();
  // Something was not there: what was read since means nothing.
  bool failed() const { return failed_; }
  // kBadInput unless everything was there, finite, and read to the last byte.
  Status finish() const;

 private:
  std::string_view take(uint64_t count);
  uint64_t length(uint64_t bytes_each);
  template <class T>
  std::vector<T> array();
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace assay
