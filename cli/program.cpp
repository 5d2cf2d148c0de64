#include "cli/program.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "assay/base/parallel.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/store/prune.h"
#include "cli/report_file.h"
#include "cli/terminal_progress.h"

namespace assay::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kStoreLimit = uint64_t{10} << 30;

void add_common(CLI::App& app, Common& common) {
  app.add_option("--threads", common.threads, "threads to use (0: all this process may use)")->check(CLI::NonNegativeNumber);
  app.add_option("--seed", common.seed, "seed of everything random");
  app.add_option("--compute", common.compute,
                 "float32, bf16 (faster; the noise floor says what it costs), or for sweep: deviations (base in float32, changes in bf16: "
                 "float32's noise floor at nearly bf16's speed)");
  app.add_option("--device", common.device, "cpu, cuda, cuda:N");
  app.add_option("--memory", common.memory, "memory to use, e.g. 6GiB (default: three quarters of the machine's)");
  app.add_option("--store", common.store,
                 "directory where finished work is kept and found again; none: nowhere (default: the cache directory)");
  app.add_flag("--quiet", common.quiet, "no progress on standard error");
  app.add_flag("--force", common.force, "replace existing output files");
  app.add_option("--json", common.json, "write the result as JSON to a file, or to standard output for '-'");
  app.add_option("--report", common.report, "write the result as one HTML page (assay report)");
}

// A library beside the program's own, opened on first use: commands that do not need it never pay for it. `entry` gives its one object.
template <class T>
Result<T*> open_library(const char* file, const char* entry, const char* cause) {
  static T* object = nullptr;
  if (object != nullptr) return object;
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error);
  const std::string path = (program.parent_path() / "lib" / file).string();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(ErrorCode::kInternal, {"library", dlerror(), "this command needs it", cause});
  const auto factory = reinterpret_cast<T* (*)()>(dlsym(library, entry));
  if (factory == nullptr) return fail(ErrorCode::kInternal, {path, "has no entry point", "", "another version?"});
  object = factory();
  return object;
}

Result<Engine*> open_engine() { return open_library<Engine>("libassay_engine.so", "assay_engine", "built without libtorch?"); }

Result<TransferFactory*> open_transfers() {
  return open_library<TransferFactory>("libassay_transfer.so", "assay_transfers", "is libcurl installed?");
}

// The options as given, defaults included; paths of outputs are part of them, --json, --report, --quiet and --threads are not.
Json options_of(const CLI::App& command) {
  Json options = Json::object();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name(false, true);
    if (option->get_lnames().empty() && option->get_positional()) continue;
    const std::string key = option->get_lnames().empty() ? name : option->get_lnames()[0];
    if (key == "help" || key == "json" || key == "report" || key == "quiet" || key == "threads" || key == "force" || key == "memory" ||
        key == "store")
      continue;
    if (option->count() == 0) continue;
    const auto& values = option->results();
    options[key] = values.size() == 1 ? Json(values[0]) : Json(values);
  }
  return options;
}

std::string host_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return host;
}

// As a shell reads it back.
std::string shell_word(const std::string& word) {
  constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// One parsed command line.
class Program {
 public:
  explicit Program(Invocation invocation) : invocation_(std::move(invocation)) {
    app_.set_version_flag("--version", ASSAY_VERSION);
    app_.require_subcommand(1);
    app_.footer("assay COMMAND --help shows a command's options and examples.");
    for (const Command& command : all_commands()) {
      CLI::App* sub = app_.add_subcommand(command.name, command.summary);
      declared_.push_back({&command, sub, command.declare(*sub)});
      add_common(*sub, common_);
      sub->footer(std::string("Examples:\n") + command.examples);
    }
  }

  // Nothing: go on. Else the exit code, after help, a version or a complaint was printed.
  std::optional<int> parse() {
    try {
      app_.parse(std::vector<std::string>(invocation_.arguments.rbegin(), invocation_.arguments.rend()));
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? 0 : 64;
    }
    const auto parsed = std::find_if(declared_.begin(), declared_.end(), [](const Declared& d) { return d.app->parsed(); });
    if (parsed == declared_.end()) return 64;
    chosen_ = &*parsed;
    return std::nullopt;
  }

  // The whole of it, printing included.
  int run() {
    TerminalProgress progress(common_.quiet);
    const auto begin = Clock::now();
    auto outcome = execute(progress, false);
    if (outcome && outcome->exit_code) return *outcome->exit_code;
    Status printed = outcome ? Status() : fail(outcome.error());
    std::string report;
    if (outcome) printed = write(*outcome, std::chrono::duration<double>(Clock::now() - begin).count(), report);
    const std::string next = go_on_with();
    close_record(printed, report, progress);
    if (printed) return 0;
    std::fprintf(stderr, "assay: %s\n", printed.error().message.c_str());
    if (printed.error().code == ErrorCode::kInterrupted) std::fprintf(stderr, "assay: %s\n", next.c_str());
    return exit_code_of(printed.error().code);
  }

  // From finished units only; nothing is recorded.
  Result<PartialReport> report_finished() {
    if (!chosen_->command->partial) return fail(ErrorCode::kNotFound, "it is made when all of them are finished");
    TerminalProgress progress(true);
    ASSAY_ASSIGN(const Outcome outcome, execute(progress, true));
    PartialReport partial;
    ASSAY_ASSIGN(partial.report, report_of(outcome));
    partial.units = outcome.units;
    return partial;
  }

 private:
  struct Declared {
    const Command* command;
    CLI::App* app;
    Run run;
  };

  Result<Outcome> execute(Progress& progress, bool only_finished) {
    Context context{common_, progress, {}, open_engine, open_transfers, {}, {}};
    ASSAY_ASSIGN(context.settings.compute, compute_from_name(common_.compute));
    if (context.settings.compute == Compute::kDeviations && !chosen_->command->deviations) {
      return fail(ErrorCode::kUsage, {"compute mode 'deviations'", std::string("is not for ") + chosen_->command->name, "float32 or bf16",
                                      "it measures changes beside the model they are made to: sweep"});
    }
    context.settings.device = common_.device;
    context.settings.threads = common_.threads;
    context.settings.seed = common_.seed;
    context.settings.store = store_dir(common_);
    context.settings.only_finished = only_finished;
    if (!common_.memory.empty()) {
      ASSAY_ASSIGN(context.settings.memory, parse_size(common_.memory));
    }
    context.program = invocation_.program;
    if (!common_.report.empty() && !only_finished) {
      ASSAY_TRY(check_report());
    }
    context.begin = [&](const std::vector<std::string>& inputs) -> Status {
      if (context.settings.store.empty() || only_finished) return {};
      ASSAY_TRY(open_record(inputs, context.settings.store, progress));
      if (log_) context.settings.run = &*log_;
      return {};
    };
    return chosen_->run(context);
  }

  // Before the work, not after it.
  Status check_report() const {
    ASSAY_TRY(report_template());
    std::error_code error;
    if (!common_.force && fs::exists(common_.report, error))
      return fail(ErrorCode::kUsage, {"--report", common_.report + " exists", "another name, or --force", ""});
    return {};
  }

  // A store that cannot be written costs the record, not the run.
  Status open_record(const std::vector<std::string>& inputs, const std::string& store, Progress& progress) {
    RunRecord record;
    record.command = chosen_->command->name;
    record.arguments = invocation_.arguments;
    std::error_code error;
    record.directory = fs::current_path(error).string();
    record.version = ASSAY_VERSION;
    ASSAY_ASSIGN(Engine * engine, open_engine());
    ASSAY_ASSIGN(record.code, engine->code_version());
    record.host = host_name();
    if (!inputs.empty()) record.model = inputs[0];
    record.inputs = hash_inputs(inputs);
    for (const RunInput& input : record.inputs)
      if (input.sha256.empty() && input.path != "-") return {};  // the command will say what is wrong with it
    auto log = RunLog::begin(store, std::move(record));
    if (!log)
      progress.log("warning: " + log.error().message + "; the run is not recorded");
    else if (!*log)
      progress.log("another process does this run: units that it has finished are not done again");
    else
      log_ = *std::move(*log);
    if (log_) show_after_second_interrupt("assay: stopped; finished work is kept\nassay: " + go_on_with() + "\n");
    return {};
  }

  void close_record(const Status& ended, const std::string& report, Progress& progress) {
    if (!log_) return;
    const RunState state = ended                                           ? RunState::kDone
                           : ended.error().code == ErrorCode::kInterrupted ? RunState::kInterrupted
                                                                           : RunState::kFailed;
    const Status closed = log_->finish(state, ended ? "" : ended.error().message, report);
    const RunRecord record = log_->record();
    log_.reset();
    if (state == RunState::kFailed && record.units.found + record.units.made == 0) (void)forget_run(store_dir(common_), record);
    if (!closed) progress.log("warning: " + closed.error().message + "; the run is not recorded");
    if (common_.store.empty() && store_limit() > 0) {
      const auto pruned = prune_store(store_dir(common_), {store_limit(), INT64_MAX});
      if (pruned && pruned->bytes > 0)
        progress.log(fmt::format("store: {} of work not used for longest deleted (ASSAY_STORE_LIMIT)", format_bytes(pruned->bytes)));
    }
  }

  std::string go_on_with() const {
    if (log_) return "go on with: " + resume_command(invocation_.program, log_->record().id, common_);
    std::string command = shell_word(invocation_.program);
    for (const std::string& argument : invocation_.arguments) command += " " + shell_word(argument);
    return "run again with: " + command;
  }

  Result<Json> report_of(const Outcome& outcome) const {
    Json report;
    report["assay"] = ASSAY_VERSION;
    report["command"] = chosen_->command->name;
    Json inputs = Json::array();
    for (const RunInput& input : hash_inputs(outcome.inputs)) {
      if (input.path == "-") continue;
      if (input.sha256.empty()) return fail(ErrorCode::kIo, {input.path, "cannot be read again to hash it", "", ""});
      inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
    }
    report["inputs"] = std::move(inputs);
    report["options"] = options_of(*chosen_->app);
    report["noise_floor"] = outcome.noise_floor ? Json(*outcome.noise_floor) : Json();
    report["result"] = outcome.result;
    return report;
  }

  Status write(const Outcome& outcome, double seconds, std::string& kept) const {
    if (common_.json != "-") std::fputs(outcome.text.c_str(), stdout);
    if (common_.json.empty() && common_.report.empty() && outcome.report_file.empty() && !log_) return {};
    ASSAY_ASSIGN(Json envelope, report_of(outcome));
    const auto text_of = [](const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; };
    if (log_) kept = text_of(envelope);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    Json run = {{"seconds", seconds},
                {"peak_memory_bytes", static_cast<uint64_t>(usage.ru_maxrss) * 1024},
                {"host", host_name()},
                {"threads", common_.threads > 0 ? common_.threads : available_threads()}};
    run.update(outcome.run_facts);
    envelope["run"] = std::move(run);
    const std::string text = text_of(envelope);
    if (common_.json == "-") std::fputs(text.c_str(), stdout);
    OutputOptions output;
    output.force = common_.force;
    output.inputs = outcome.inputs;
    for (const std::string& path : {common_.json, outcome.report_file})
      if (!path.empty() && path != "-") ASSAY_TRY(write_text_file(path, text, output));
    if (!common_.report.empty()) {
      ASSAY_ASSIGN(const std::string page_template, report_template());
      const ReportSource source{common_.json.empty() || common_.json == "-" ? common_.report : common_.json, text};
      ASSAY_TRY(write_report(common_.report, page_template, std::span(&source, 1), output));
    }
    return {};
  }

  Invocation invocation_;
  CLI::App app_{"assay measures what quantization does to a language model and writes better GGUF files."};
  Common common_;
  std::vector<Declared> declared_;
  Declared* chosen_ = nullptr;
  std::optional<RunLog> log_;
};

}  // namespace

int run_program(const Invocation& invocation) {
  Program program(invocation);
  if (const auto code = program.parse()) return *code;
  return program.run();
}

Result<PartialReport> partial_report(const std::vector<std::string>& arguments) {
  Program program({"assay", arguments});
  if (program.parse()) return fail(ErrorCode::kBadInput, "store: the run's command line is not one of this program's");
  return program.report_finished();
}

std::vector<RunInput> hash_inputs(const std::vector<std::string>& paths) {
  std::vector<RunInput> inputs;
  const std::string cache = default_cache_dir();
  const auto add = [&](const std::string& path) { inputs.push_back({path, sha256_of_file(path, cache).value_or("")}); };
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    std::error_code error;
    if (path == "-") {
      inputs.push_back({path, ""});
    } else if (fs::is_directory(path, error)) {
      std::vector<std::string> files;
      for (const auto& entry : fs::directory_iterator(path, error))
        if (entry.is_regular_file()) files.push_back(entry.path().string());
      std::sort(files.begin(), files.end());
      for (const std::string& file : files) add(file);
    } else {
      add(path);
    }
  }
  return inputs;
}

std::string store_dir(const Common& common) {
  if (common.store == "none") return "";
  if (!common.store.empty()) return common.store;
  const std::string cache = default_cache_dir();  // nowhere if there is no home
  return cache.empty() ? "" : cache + "/store";
}

uint64_t store_limit() {
  const char* limit = std::getenv("ASSAY_STORE_LIMIT");
  return limit == nullptr ? kStoreLimit : parse_size(limit).value_or(kStoreLimit);
}

std::string resume_command(const std::string& program, const std::string& id, const Common& common) {
  return shell_word(program) + " resume " + id + (common.store.empty() ? "" : " --store " + shell_word(common.store));
}

}  // namespace assay::cli
