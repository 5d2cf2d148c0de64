// What long work asks before each of its units and tells after it, so that a finished unit is found again after a kill and never done
// twice. The work names its units among themselves and turns their results into bytes (payload.h); whoever hands the cache in knows the
// rest of what a value depends on. Non-goals: where units are kept (store/), what shares a key (job/unit_store.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

class UnitCache {
 public:
  virtual ~UnitCache() = default;
  // The payload of a finished unit, if there is one.
  virtual Result<std::optional<std::string>> find(std::string_view unit) = 0;
  // `seconds`: what the unit took, kept beside the payload for people.
  virtual Status keep(std::string_view unit, std::string payload, double seconds) = 0;
};

// Finds nothing and keeps nothing.
UnitCache& no_unit_cache();

// A unit's payload: the one kept, or what `work` makes, which is kept then. Callers read their result from the payload either way, so that
// a resumed run and an uninterrupted one go through the same bytes.
Result<std::string> find_or_make(UnitCache& units, std::string_view unit, const std::function<Result<std::string>()>& work);

}  // namespace assay
