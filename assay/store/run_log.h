// The runs of a store: what was asked for, where, of which files, by which build, and how far it came. One small JSON file per run,
// `<store>/runs/<id>.json`, replaced whole, written by nobody but the process that does the run (it holds `<id>.lock`); the report of a
// finished run beside it, `<id>.report.json`. The same command on the same files by the same build is the same run: given again it goes on.
// Records are not trusted: bounded, checked, a broken one is named and left out.
// Non-goals: the units themselves (journal.h), carrying runs out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/base/unit_cache.h"
#include "assay/store/file_lock.h"
#include "assay/store/run_listener.h"

namespace assay {

enum class RunState {
  kRunning,      // a process holds the run's lock
  kInterrupted,  // stopped by the user, or killed
  kFailed,       // ended with an error
  kDone,
};
// "running", "interrupted", "failed", "done".
const char* name_of(RunState state);

// A file that the run reads.
struct RunInput {
  std::string path;    // "-": standard input, which nobody can read again
  std::string sha256;  // empty: standard input, or not there
};

struct RunRecord {
  std::string id;  // 12 hexadecimal digits of arguments, directory, inputs and build; made by RunLog::begin()
  std::string command;
  std::vector<std::string> arguments;  // as given, the program's name left out
  std::string directory;               // the working directory
  std::string version, code;           // of the program; a hash of its bytes
  std::string host;
  std::string model;  // as given
  std::vector<RunInput> inputs;
  int64_t started = 0, updated = 0;  // seconds since 1970
  UnitCounts units;
  std::vector<std::string> journals;  // names of directories in the store
  RunState state = RunState::kRunning;
  std::string message;  // the error of a failed run
};

// The record of the run that this process does.
class RunLog final : public RunListener {
 public:
  // Nothing if another process does this very run now. Errors: kIo, kNoSpace.
  static Result<std::optional<RunLog>> begin(const std::string& store, RunRecord record);

  const RunRecord& record() const { return record_; }
  // Both write the record at most once a second; a failing disk is reported by finish().
  void works_in(const std::string& directory) override;
  void units(const UnitCounts& counts) override;
  // `report` (may be empty: none) is kept for `export`.
  Status finish(RunState state, const std::string& message, const std::string& report);

 private:
  RunLog(std::string store, RunRecord record, FileLock lock);
  Status write();
  std::string store_;
  RunRecord record_;
  FileLock lock_;
  std::chrono::steady_clock::time_point written_;
};

struct RunList {
  std::vector<RunRecord> runs;  // the most recently updated last
  std::vector<std::string> warnings;
};
// Every run of a store; of a store that does not exist, none.
Result<RunList> list_runs(const std::string& store);
// The run whose id begins with `prefix`. Errors: kNotFound, kUsage (several).
Result<RunRecord> find_run(const std::string& store, const std::string& prefix);
// What finish() was given; kNotFound if there is none.
Result<std::string> run_report(const std::string& store, const RunRecord& record);
// Deletes record and report, unless a process does the run now.
Status forget_run(const std::string& store, const RunRecord& record);

// In what its command, given now, would be another run: one clause per input that `inputs` has with other bytes, and for the build.
std::vector<std::string> changes_since(const RunRecord& record, const std::vector<RunInput>& inputs, const std::string& code);

}  // namespace assay
