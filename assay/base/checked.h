// Checked sizes: the only arithmetic allowed on numbers that come from a file.
// Once an operation overflows the value stays invalid; ask `value()` at the end.
#pragma once

#include <cstdint>
#include <optional>

namespace assay {

class CheckedSize {
 public:
  constexpr CheckedSize() = default;
  constexpr CheckedSize(uint64_t value) : value_(value) {}  // NOLINT: implicit on purpose, so that formulas read as formulas

  static constexpr CheckedSize invalid() {
    CheckedSize result;
    result.valid_ = false;
    return result;
  }

  constexpr bool valid() const { return valid_; }
  constexpr std::optional<uint64_t> value() const { return valid_ ? std::optional<uint64_t>(value_) : std::nullopt; }
  constexpr uint64_t value_or(uint64_t other) const { return valid_ ? value_ : other; }
  // Valid and at most `limit`.
  constexpr bool fits(uint64_t limit) const { return valid_ && value_ <= limit; }

  friend constexpr CheckedSize operator+(CheckedSize a, CheckedSize b) {
    uint64_t sum = 0;
    if (!a.valid_ || !b.valid_ || __builtin_add_overflow(a.value_, b.value_, &sum)) return invalid();
    return sum;
  }
  friend constexpr CheckedSize operator-(CheckedSize a, CheckedSize b) {
    if (!a.valid_ || !b.valid_ || b.value_ > a.value_) return invalid();
    return a.value_ - b.value_;
  }
  friend constexpr CheckedSize operator*(CheckedSize a, CheckedSize b) {
    uint64_t product = 0;
    if (!a.valid_ || !b.valid_ || __builtin_mul_overflow(a.value_, b.value_, &product)) return invalid();
    return product;
  }
  // The exact quotient; invalid when the divisor is 0 or does not divide.
  constexpr CheckedSize divide_exact(uint64_t divisor) const {
    if (!valid_ || divisor == 0 || value_ % divisor != 0) return invalid();
    return value_ / divisor;
  }
  // Rounded up to a multiple of `multiple`; invalid when `multiple` is 0.
  constexpr CheckedSize round_up(uint64_t multiple) const {
    if (!valid_ || multiple == 0) return invalid();
    const uint64_t rest = value_ % multiple;
    return rest == 0 ? *this : *this + CheckedSize(multiple - rest);
  }

 private:
  uint64_t value_ = 0;
  bool valid_ = true;
};

}  // namespace assay
