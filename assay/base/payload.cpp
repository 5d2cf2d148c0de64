#include "assay/base/payload.h"

#include <cmath>
#include <cstring>

namespace assay {
namespace {

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

void PayloadWriter::add(uint64_t number) { bytes_ += bytes_of(number); }

void PayloadWriter::add(std::string_view text) {
  add(uint64_t{text.size()});
  bytes_ += text;
}

void PayloadWriter::add(double number, std::string_view name) {
  if (!std::isfinite(number) && complaint_.empty()) complaint_ = "'" + std::string(name) + "' is not finite";
  bytes_ += bytes_of(number);
}

template <class T>
void PayloadWriter::add_array(std::span<const T> numbers, std::string_view name) {
  add(uint64_t{numbers.size()});
  for (size_t i = 0; i < numbers.size(); ++i)
    if (!std::isfinite(numbers[i]) && complaint_.empty())
      complaint_ = "'" + std::string(name) + "' [" + std::to_string(i) + "] is not finite";
  if (!numbers.empty()) bytes_.append(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes());
}

void PayloadWriter::add(std::span<const double> numbers, std::string_view name) { add_array(numbers, name); }
void PayloadWriter::add(std::span<const float> numbers, std::string_view name) { add_array(numbers, name); }

Result<std::string> PayloadWriter::finish() && {
  if (!complaint_.empty())
    return fail(ErrorCode::kBadInput, {"result", complaint_, "a finished unit holds numbers only", "NaN or infinite weights or logits?"});
  return std::move(bytes_);
}

std::string_view PayloadReader::take(uint64_t count) {
  if (failed_ || count > rest_.size()) {
    failed_ = true;
    return {};
  }
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

// A count of things that are still there; so a lying count never allocates.
uint64_t PayloadReader::length(uint64_t bytes_each) {
  const uint64_t count = number();
  if (count > rest_.size() / bytes_each) failed_ = true;
  return failed_ ? 0 : count;
}

uint64_t PayloadReader::number() {
  const std::string_view bytes = take(sizeof(uint64_t));
  uint64_t value = 0;
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

double PayloadReader::real() {
  const std::string_view bytes = take(sizeof(double));
  double value = 0;
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  if (!std::isfinite(value)) failed_ = true;
  return failed_ ? 0 : value;
}

std::string PayloadReader::text() { return std::string(take(length(1))); }

template <class T>
std::vector<T> PayloadReader::array() {
  std::vector<T> values(length(sizeof(T)));
  const std::string_view bytes = take(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  for (const T value : values)
    if (!std::isfinite(value)) failed_ = true;
  if (failed_) values.clear();
  return values;
}

std::vector<double> PayloadReader::reals() { return array<double>(); }
std::vector<float> PayloadReader::floats() { return array<float>(); }

Status PayloadReader::finish() const {
  if (failed_)
    return fail(ErrorCode::kBadInput,
                {"journal: payload", "is shorter than it says or holds a number that is not finite", "", "written by another version?"});
  if (!rest_.empty())
    return fail(ErrorCode::kBadInput,
                {"journal: payload", "has " + std::to_string(rest_.size()) + " bytes too many", "", "written by another version?"});
  return {};
}

}  // namespace assay
