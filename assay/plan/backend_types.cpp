#include "assay/plan/backend_types.h"

#include <algorithm>
#include <array>

#include "assay/base/text.h"

namespace assay {
namespace {

using T = GgmlType;

// Of no matrix in a file.
constexpr std::array kNever = {T::kI8, T::kI16, T::kI32, T::kI64, T::kF64, T::kQ8_1, T::kQ8_K};
constexpr std::array kTernary = {T::kTQ1_0, T::kTQ2_0};
constexpr std::array kMetalLacks = {T::kTQ1_0, T::kTQ2_0, T::kNVFP4};

constexpr Backend kBackends[] = {
    {"cpu", {}},          {"cuda", kTernary},     {"rocm", kTernary}, {"musa", kTernary},
    {"vulkan", kTernary}, {"metal", kMetalLacks}, {"sycl", kTernary},
};

bool contains(std::span<const GgmlType> types, GgmlType type) { return std::find(types.begin(), types.end(), type) != types.end(); }

}  // namespace

std::span<const Backend> all_backends() { return kBackends; }

Result<const Backend*> find_backend(std::string_view name) {
  const std::string wanted = lower_ascii(name);
  std::vector<std::string> known;
  for (const Backend& backend : kBackends) {
    if (backend.name == wanted) return &backend;
    known.emplace_back(backend.name);
  }
  return fail(ErrorCode::kUsage, {"backend '" + printable(name) + "'", "is not known", "one of " + join(known, ", "), ""});
}

bool multiplies(const Backend& backend, GgmlType type) {
  return find_type(type) != nullptr && !contains(kNever, type) && !contains(backend.lacks, type);
}

std::vector<GgmlType> types_of(const Backend& backend) {
  std::vector<GgmlType> types;
  for (const GgmlTypeInfo& info : all_types())
    if (multiplies(backend, info.type)) types.push_back(info.type);
  return types;
}

}  // namespace assay
