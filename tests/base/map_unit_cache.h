// A unit cache in memory, for tests of work that resumes.
#pragma once

#include <map>

#include "assay/base/unit_cache.h"

namespace assay::testing_units {

class MapUnitCache final : public UnitCache {
 public:
  Result<std::optional<std::string>> find(std::string_view unit) override {
    const auto found = units.find(std::string(unit));
    return found == units.end() ? std::optional<std::string>() : std::optional<std::string>(found->second);
  }
  Status keep(std::string_view unit, std::string payload, double) override {
    if (full) return fail(ErrorCode::kNoSpace, "full");
    ++kept;
    units[std::string(unit)] = std::move(payload);
    return {};
  }
  std::map<std::string, std::string> units;
  bool full = false;
  size_t kept = 0;
};

}  // namespace assay::testing_units
