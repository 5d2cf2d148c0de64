// The command line: one file per command, one line each in registry.cpp. A command declares its options and returns a function that runs
// it; program.cpp does the rest (common options, records of runs, errors, exit codes, JSON envelope). Only this folder prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/engine.h"
#include "assay/hub/transfer.h"
#include "assay/store/run_log.h"

namespace assay::cli {

using Json = nlohmann::ordered_json;

// Options every command has.
struct Common {
  int threads = 0;
  uint64_t seed = 0;
  std::string compute = "float32";
  std::string device = "cpu";
  std::string memory;
  std::string store;  // "none": nowhere; empty: the default directory
  bool quiet = false;
  bool force = false;
  std::string json;    // file, or "-" for standard output
  std::string report;  // HTML page; empty: none
};

// What a command hands back: the machine-readable result and the human one.
struct Outcome {
  Json result;
  std::string text;
  std::vector<std::string> inputs;  // files whose hashes are recorded
  std::optional<double> noise_floor;
  Json run_facts = Json::object();  // times and the like: kept out of `result`
  UnitCounts units;
  std::string report_file;       // the envelope goes there too, beside what --json says
  std::optional<int> exit_code;  // another command ran in its place and said everything: nothing is printed
};

struct Context {
  const Common& common;
  Progress& progress;
  RunSettings settings;
  // Opens the engine library on first use.
  std::function<Result<Engine*>()> engine;
  // Opens the transfer library on first use.
  std::function<Result<TransferFactory*>()> transfers;
  // Records the run in the store, so that it can be listed, resumed and exported: called by commands that keep units, before any work,
  // with the files they read, the model first.
  std::function<Status(const std::vector<std::string>&)> begin;
  std::string program;  // as typed
};

using Run = std::function<Result<Outcome>(Context&)>;

struct Command {
  const char* name;
  const char* summary;
  const char* examples;
  Run (*declare)(CLI::App& app);
  bool deviations = false;  // takes --compute deviations: it runs changes of one model beside that model
  bool partial = false;     // makes a report from some of its units (RunSettings::only_finished)
};

const std::vector<Command>& all_commands();

// What MODEL and a text may be, for help texts.
inline constexpr const char* kModelHelp = "GGUF file, Hugging Face directory, .safetensors file, or OWNER/NAME[:TYPE] on the hub";
inline constexpr const char* kTextHelp = "text file, - for standard input, or wikitext-2:test|validation|train";
// A MODEL or text that is not on disk but on the hub is fetched (or found in the hub's cache), and its name replaced by its path. Every
// command calls these first for each of its models and texts (cli/locate.cpp).
Status locate_model(std::string& model, Context& context);
Status locate_text(std::string& text, Context& context);

// Options that several commands share.
struct TextOptions {
  std::string path;
  WindowOptions windows;
};
// --text, --ctx, --chunks, --max-tokens, --window, --join, --document-separator, --jsonl.
std::shared_ptr<TextOptions> add_text_options(CLI::App& app, bool with_path = true);
// "Q4_K,Q6_K" -> types; kUsage names the unknown one.
Result<std::vector<GgmlType>> parse_types(const std::string& list);
// A rule of an option, split at the last '='. `form`: what it should look like.
Result<std::pair<std::string, std::string>> rule_of(const std::string& option, const std::string& rule,
                                                    const std::string& form = "REGEX=TYPE");
// How many units of work a run found finished and how many it did, for `run` of the envelope.
void add_units(const UnitCounts& units, Outcome& outcome);
// value and its interval as an array of two.
Json interval_json(const Interval& interval);

}  // namespace assay::cli
