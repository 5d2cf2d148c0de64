// The finished units of jobs: found again by a second run of the same command, or after a kill. One journal per model (store/journal.h);
// what was finished in the last second is written together, so that short units cost no fsync each. Internal to job/.
// Every key holds the model's bytes, the program's own bytes, the numeric mode, the CPU capability and the seed; a piece of work adds the
// rest. Threads and machine names are in no key: results do not depend on them (docs/numerics.md). Nor does --memory on the CPU; elsewhere
// the size of tile it picks is in the key.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "assay/base/progress.h"
#include "assay/base/unit_cache.h"
#include "assay/file/imatrix.h"
#include "assay/job/inputs.h"
#include "assay/model/fingerprint.h"
#include "assay/store/key.h"

namespace assay {

class UnitStore {
 public:
  // settings.store empty: nothing is found and nothing kept. A store that cannot be used is named in the log and done without.
  // `progress` must outlive it: once interrupted, no unit is begun.
  static Result<UnitStore> open(const RunSettings& settings, const OpenModel& model, Progress& progress);
  ~UnitStore();
  UnitStore(UnitStore&&) noexcept;
  UnitStore& operator=(UnitStore&&) noexcept;

  // A key with the shared fields in it.
  UnitKey key(std::string_view kind) const;
  // The units of one piece of work. Must not outlive the store.
  std::unique_ptr<UnitCache> units(UnitKey key);
  // What was kept and not yet written goes to the disk; the destructor does it too.
  Status flush();
  // As UnitCache::plan(), for work that asks for its units one by one.
  void plan(uint64_t units);
  UnitCounts counts() const;

 private:
  struct State;
  explicit UnitStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// measure_noise_floor() of a base model as one unit; 0 (unknown) where only finished work is wanted and it is not finished.
Result<double> noise_floor(UnitStore& store, const OpenModel& base, std::span<const Window> windows, const RunSettings& settings);
// The units of an importance matrix: the same for `imatrix` and `optimize`.
std::unique_ptr<UnitCache> imatrix_units(UnitStore& store, std::span<const Window> windows, bool process_output);

// Hash of the program's own bytes: another build may compute something else.
Result<std::string> code_version();
// What the value of a result depends on, as hashes: tokens, labels and scored range of windows; names and sums of an imatrix. Of a model:
// model/fingerprint.h.
std::string fingerprint(std::span<const Window> windows);
std::string fingerprint(const Imatrix& imatrix);

}  // namespace assay
