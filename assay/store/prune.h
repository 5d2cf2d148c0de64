// What a store takes on the disk, and deleting what was used longest ago: journals of finished units by directory (one per model and
// build), records of runs by their age. What a process uses now is never touched, nor is any file that a store does not write.
// Non-goals: deleting single units.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct StoreDirectory {
  std::string name;     // in the store
  uint64_t bytes = 0;   // of the files that the store wrote there
  int64_t used = 0;     // seconds since 1970
  bool in_use = false;  // a process works in it
};
// The journals' directories of a store, the one used longest ago first.
Result<std::vector<StoreDirectory>> store_directories(const std::string& store);

struct PruneRule {
  uint64_t keep_bytes = UINT64_MAX;  // of what was used last, that much stays
  int64_t keep_seconds = INT64_MAX;  // what was used within this time stays
};
// "30d", "12h", "0d": an age; "2GiB": a size. Error: kUsage.
Result<PruneRule> parse_prune_rule(const std::string& text);

struct Pruned {
  uint64_t directories = 0, runs = 0, bytes = 0;
};
// Deletes what the rule does not keep; a run goes with the last of its journals, or by its own age.
Result<Pruned> prune_store(const std::string& store, const PruneRule& rule);

}  // namespace assay
