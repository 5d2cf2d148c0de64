// What long work asks before each of its units and tells after it, so that a finished unit is found again after a kill and never done
// twice. The work names its units among themselves and turns their results into bytes (payload.h); whoever hands the cache in knows the
// rest of what a value depends on. Non-goals: where units are kept (store/), what shares a key (job/unit_store.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

// Units of work of a run: those that an earlier run had finished, those done now, and how many there will be in all, as far as the work
// has told (a later stage may add to it).
struct UnitCounts {
  uint64_t found = 0, made = 0, planned = 0;
};

class UnitCache {
 public:
  virtual ~UnitCache() = default;
  // The payload of a finished unit, if there is one.
  // kInterrupted once the user asked to stop: a unit that was begun is finished, none is begun.
  virtual Result<std::optional<std::string>> find(std::string_view unit) = 0;
  // `seconds`: what the unit took, kept beside the payload for people.
  virtual Status keep(std::string_view unit, std::string payload, double seconds) = 0;
  // The work will ask for `units` units (more), for whoever shows how far it is.
  virtual void plan(uint64_t units) { (void)units; }
  // Unfinished work is to be left out, not done: a report of what there is.
  virtual bool only_finished() const { return false; }
};

// Finds nothing and keeps nothing.
UnitCache& no_unit_cache();

// A unit's payload: the one kept, or what `work` makes, which is kept then; kNotFound where only finished work is wanted. Callers read
// their result from the payload either way, so that a resumed run and an uninterrupted one go through the same bytes.
Result<std::string> find_or_make(UnitCache& units, std::string_view unit, const std::function<Result<std::string>()>& work);
// The same without looking for a kept one: something beside the payload is wanted of `work`.
Result<std::string> make_anew(UnitCache& units, std::string_view unit, const std::function<Result<std::string>()>& work);
// The unit is not finished and is to be left out of a report.
bool is_left_out(const UnitCache& units, const Error& error);

}  // namespace assay
