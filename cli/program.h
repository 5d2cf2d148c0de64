// One command line, from its arguments to its exit code: parsed, run, recorded in the store, printed. `resume` and `export` give it the
// command that a run recorded.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace assay::cli {

struct Invocation {
  std::string program;  // as typed, for messages
  std::vector<std::string> arguments;
};

int run_program(const Invocation& invocation);

// The report of a recorded run (the JSON envelope without `run`) from its finished units alone, and how many those are. Errors: kNotFound
// where a report needs units that are not finished, and the command's own.
struct PartialReport {
  Json report;
  UnitCounts units;
};
Result<PartialReport> partial_report(const std::vector<std::string>& arguments);

// Files as a record holds them: hashed, directories file by file, "-" for standard input, the rest without a hash.
std::vector<RunInput> hash_inputs(const std::vector<std::string>& paths);

// The directory of a command's store; empty: nowhere.
std::string store_dir(const Common& common);
// What the default store is kept below: $ASSAY_STORE_LIMIT, else 10 GiB; 0: nothing is deleted.
uint64_t store_limit();

// "assay resume 0123456789ab", with --store where the run's is not the default one.
std::string resume_command(const std::string& program, const std::string& id, const Common& common);

}  // namespace assay::cli
