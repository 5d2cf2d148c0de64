// assay: the program. Parses the command line, runs one command, prints its result.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "assay/base/parallel.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "cli/command.h"
#include "cli/terminal_progress.h"

namespace assay::cli {
namespace {

using Clock = std::chrono::steady_clock;

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
}

// Beside the small caches; nowhere if there is no home.
std::string default_store_dir() {
  const std::string cache = default_cache_dir();
  return cache.empty() ? "" : cache + "/store";
}

// A library beside the program's own, opened on first use: commands that do not need it never pay for it. `entry` gives its one object.
template <class T>
Result<T*> open_library(const char* file, const char* entry, const char* cause) {
  static T* object = nullptr;
  if (object != nullptr) return object;
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
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

// The options as given, defaults included; paths of outputs are part of them, --json, --quiet and --threads are not.
Json options_of(const CLI::App& command) {
  Json options = Json::object();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name(false, true);
    if (option->get_lnames().empty() && option->get_positional()) continue;
    const std::string key = option->get_lnames().empty() ? name : option->get_lnames()[0];
    if (key == "help" || key == "json" || key == "quiet" || key == "threads" || key == "force" || key == "memory" || key == "store")
      continue;
    if (option->count() == 0) continue;
    const auto& values = option->results();
    options[key] = values.size() == 1 ? Json(values[0]) : Json(values);
  }
  return options;
}

Result<Json> hash_inputs(const std::vector<std::string>& paths) {
  Json inputs = Json::array();
  const std::string cache = default_cache_dir();
  for (const std::string& path : paths) {
    if (path.empty() || path == "-") continue;
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      std::vector<std::string> files;
      for (const auto& entry : std::filesystem::directory_iterator(path, error))
        if (entry.is_regular_file()) files.push_back(entry.path().string());
      std::sort(files.begin(), files.end());
      for (const std::string& file : files) {
        ASSAY_ASSIGN(const std::string hash, sha256_of_file(file, cache));
        inputs.push_back({{"path", file}, {"sha256", hash}});
      }
      continue;
    }
    ASSAY_ASSIGN(const std::string hash, sha256_of_file(path, cache));
    inputs.push_back({{"path", path}, {"sha256", hash}});
  }
  return inputs;
}

Status print(const Command& command, const CLI::App& app, const Common& common, const Outcome& outcome, double seconds) {
  if (common.json != "-") std::fputs(outcome.text.c_str(), stdout);
  if (common.json.empty()) return {};
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  Json envelope;
  envelope["assay"] = ASSAY_VERSION;
  envelope["command"] = command.name;
  ASSAY_ASSIGN(envelope["inputs"], hash_inputs(outcome.inputs));
  envelope["options"] = options_of(app);
  envelope["noise_floor"] = outcome.noise_floor ? Json(*outcome.noise_floor) : Json();
  envelope["result"] = outcome.result;
  Json run = {{"seconds", seconds},
              {"peak_memory_bytes", static_cast<uint64_t>(usage.ru_maxrss) * 1024},
              {"host", host},
              {"threads", common.threads > 0 ? common.threads : available_threads()}};
  run.update(outcome.run_facts);
  envelope["run"] = std::move(run);
  const std::string text = envelope.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (common.json == "-") {
    std::fputs(text.c_str(), stdout);
    return {};
  }
  OutputOptions output;
  output.force = common.force;
  output.inputs = outcome.inputs;
  return write_text_file(common.json, text, output);
}

int report(const Error& error, int count, char** arguments) {
  std::fprintf(stderr, "assay: %s\n", error.message.c_str());
  if (error.code == ErrorCode::kInterrupted) {
    std::string command;
    for (int i = 0; i < count; ++i) command += (i ? " " : "") + std::string(arguments[i]);
    std::fprintf(stderr, "assay: run again with: %s\n", command.c_str());
  }
  return exit_code_of(error.code);
}

int run(int count, char** arguments) {
  CLI::App app{"assay measures what quantization does to a language model and writes better GGUF files."};
  app.set_version_flag("--version", ASSAY_VERSION);
  app.require_subcommand(1);
  app.footer("assay COMMAND --help shows a command's options and examples.");
  Common common;
  std::vector<std::pair<const Command*, Run>> runs;
  std::vector<CLI::App*> subcommands;
  for (const Command& command : all_commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    runs.emplace_back(&command, command.declare(*sub));
    add_common(*sub, common);
    sub->footer(std::string("Examples:\n") + command.examples);
    subcommands.push_back(sub);
  }
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 64;
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!subcommands[i]->parsed()) continue;
    TerminalProgress progress(common.quiet);
    Context context{common, progress, {}, open_engine, open_transfers};
    const auto compute = compute_from_name(common.compute);
    if (!compute) return report(compute.error(), count, arguments);
    if (*compute == Compute::kDeviations && !runs[i].first->deviations) {
      return report(
          make_error(ErrorCode::kUsage, Complaint{"compute mode 'deviations'", std::string("is not for ") + runs[i].first->name,
                                                  "float32 or bf16", "it measures changes beside the model they are made to: sweep"}),
          count, arguments);
    }
    context.settings.compute = *compute;
    context.settings.device = common.device;
    context.settings.threads = common.threads;
    context.settings.seed = common.seed;
    if (common.store != "none") context.settings.store = common.store.empty() ? default_store_dir() : common.store;
    if (!common.memory.empty()) {
      const auto memory = parse_size(common.memory);
      if (!memory) return report(memory.error(), count, arguments);
      context.settings.memory = *memory;
    }
    const auto begin = Clock::now();
    const auto outcome = runs[i].second(context);
    if (!outcome) return report(outcome.error(), count, arguments);
    const Status printed =
        print(*runs[i].first, *subcommands[i], common, *outcome, std::chrono::duration<double>(Clock::now() - begin).count());
    return printed ? 0 : report(printed.error(), count, arguments);
  }
  return 64;
}

}  // namespace
}  // namespace assay::cli

int main(int count, char** arguments) {
  assay::cli::catch_interrupts();
  return assay::cli::run(count, arguments);
}
