// The journal of finished work: a unit that was acknowledged survives kill -9 and power loss and is never computed again; an unfinished one
// is never seen. One SQLite database per worker, `<dir>/<worker>.sqlite`, one writer each; a run is the union of its workers' databases, so
// nothing shared is ever written and network file systems are fine. A put costs two or three fsyncs (about 10 ms on a local disk).
// Databases are not trusted: bounded, foreign ones refused, every row under a checksum, damage repaired as far as rows can be read - what
// was there is kept beside as `<worker>.sqlite.damaged-N`.
// Non-goals: large files (they stay files; the unit holds their hash), queries over results, scheduling.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/store/key.h"

namespace assay {

// What may differ between two runs of equal units: stored beside the payload, never part of it.
struct RunFacts {
  double seconds = 0;
  std::string host;
};

// A unit on its way into the journal.
struct FinishedUnit {
  UnitKey key;
  std::string payload;
  RunFacts facts;
};

struct Unit {
  std::string key;     // UnitKey::hex()
  std::string kind;    // UnitKey::kind()
  std::string fields;  // UnitKey::text()
  std::string payload;
  RunFacts facts;
  std::string worker;
};

class Journal {
 public:
  // Opens the worker's database (made if absent, repaired if damaged) and, for reading, those of all other workers in `dir`. The worker's
  // lock is held until the journal is destroyed. Errors: kUsage (worker name: letters, digits, '-', '_', at most 64), kIo (another
  // process has this worker, nothing can be written), kNoSpace, kMismatch (not a journal), kUnsupported (another schema version).
  static Result<Journal> open(const std::string& dir, const std::string& worker);
  // As open(), under the first of the names "local", "local-2" ... "local-64" that no other process holds.
  static Result<Journal> open_any(const std::string& dir);
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // A finished unit's payload, whichever worker finished it (the first by name). Damaged rows count as absent; warnings() names them.
  Result<std::optional<std::string>> get(const UnitKey& key);
  // On return the unit is on the disk. The same unit again is no work; with another payload it is kMismatch: something that changes
  // the result is missing from the key. Thread-safe, as get() is.
  Status put(const UnitKey& key, std::string_view payload, const RunFacts& facts);
  // Many at the price of one: all of them are on the disk on return, or none.
  Status put(std::span<const FinishedUnit> units);

  // Every finished unit of a kind (empty: of all) in the order of their keys, each once: the same sequence however many workers did them.
  // The visitor must not call the journal. Errors: kMismatch (two workers finished one unit differently), and the visitor's.
  Status for_each(std::string_view kind, const std::function<Status(const Unit&)>& visit);
  // Why nothing was found for `key`: the fields in which it differs from the most similar unit of its kind; empty if there is none.
  Result<std::vector<std::string>> differences(const UnitKey& key);

  // Repairs, damaged rows, unreadable databases of other workers, each named once.
  std::vector<std::string> warnings() const;

  static constexpr uint64_t kMaxPayloadBytes = uint64_t{1} << 28;

 private:
  struct State;
  static Result<Journal> open_held(const std::string& dir, const std::string& worker, std::unique_ptr<State> state);
  explicit Journal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace assay
