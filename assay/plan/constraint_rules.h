// Which types a tensor may take, by an AllocateConstraints: its regular expressions compiled once, each of which must match something.
// Internal to plan/. Non-goals: sizes and limits (plan_problem.h).
#pragma once

#include <cstdint>
#include <regex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/plan/allocate.h"

namespace assay {

// An option's regular expression and what it says of the tensors it is found in.
template <class Value>
struct NameRule {
  std::string text;
  std::regex pattern;
  Value value;
  bool used = false;
  bool matches(const std::string& name) {
    const bool found = std::regex_search(name, pattern);
    used = used || found;
    return found;
  }
};

class ConstraintRules {
 public:
  // kUsage: no regular expression; names option and text.
  static Result<ConstraintRules> make(const AllocateConstraints& constraints);

  // The types that --keep gives, by tensor. kUsage: a type the tensor cannot take.
  Result<std::unordered_map<std::string, GgmlType>> kept(std::span<const TensorInfo> tensors);
  // By all rules but --keep, and by what the tensor's rows can hold.
  bool allows(const TensorInfo& tensor, GgmlType type);
  // The fewest constraints that leave tensors which take one type together none of `types`, named for a message.
  std::string why_none(std::span<const GgmlType> types, std::span<const TensorInfo* const> members) const;
  size_t devices() const { return devices_.size(); }
  const NameRule<uint64_t>& device(size_t place) const { return devices_[place]; }
  bool on_device(const TensorInfo& tensor, size_t place) { return devices_[place].matches(tensor.name); }
  // kMismatch: a rule that matched no matrix. After all tensors were asked about.
  Status all_used() const;

 private:
  bool allows(GgmlType type) const;

  std::vector<GgmlType> types_;
  std::optional<GgmlType> min_type_;
  TypeSpeeds speeds_;
  const Backend* backend_ = nullptr;
  std::vector<NameRule<std::vector<GgmlType>>> type_rules_;
  std::vector<NameRule<GgmlType>> least_rules_;
  std::vector<NameRule<uint64_t>> devices_;
  std::vector<NameRule<GgmlType>> keep_;
};

}  // namespace assay
