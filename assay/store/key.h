// The name of a unit of work: everything that could change its value, field by field, and the hash of it all.
// Equal keys mean equal results, so a finished unit is found by its key and never computed again; units that differ in anything - a
// seed, a byte of the corpus, the version of the code - never meet.
// Non-goals: deciding what belongs in a key (the job does), secrecy.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay {

class UnitKey {
 public:
  // `kind`: what sort of payload the unit has ("imatrix", "curvature", "sweep"); keys of different kinds differ.
  explicit UnitKey(std::string_view kind) : kind_(kind) {}

  UnitKey& add(std::string_view name, std::string_view value);
  UnitKey& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  // Every bit of the number counts.
  UnitKey& add(std::string_view name, double value);
  template <std::integral T>
  UnitKey& add(std::string_view name, T value) {
    return add(name, std::string_view(std::to_string(value)));
  }

  const std::string& kind() const { return kind_; }
  // One line "name=value" per field in the order added; line breaks and backslashes of values are escaped.
  std::string text() const;
  // SHA-256 of kind and text(), 64 hexadecimal digits.
  std::string hex() const;

 private:
  std::string kind_;
  std::vector<std::pair<std::string, std::string>> fields_;
};

// The fields in which two key texts differ, in the order of `ours`, then those only `theirs` has.
std::vector<std::string> differing_fields(std::string_view ours, std::string_view theirs);

}  // namespace assay
