#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/hub/fetch.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  std::string repository, kind = "model", revision = "main", part_size = "64MiB";
  std::vector<std::string> files;
  int connections = HubSettings().connections;
  bool dry_run = false;
};

Result<FetchRequest> request_of(const Options& options) {
  FetchRequest request;
  request.revision = options.revision;
  request.patterns = options.files;
  request.dry_run = options.dry_run;
  if (options.kind == "dataset") {
    ASSAY_ASSIGN(request.repository, parse_repository_id(options.repository, RepositoryKind::kDataset));
    if (options.files.empty())
      return fail(ErrorCode::kUsage, {"download: " + options.repository, "is a dataset", "name its FILE (\"*\" for all)", ""});
    return request;
  }
  ASSAY_ASSIGN(HubModelName name, parse_hub_model_name(options.repository));
  request.repository = name.repository;
  request.type = name.type;
  if (!request.type.empty() && !options.files.empty())
    return fail(ErrorCode::kUsage, {"download: " + options.repository, "has a type, and FILE is given too", "one of both", ""});
  return request;
}

Outcome outcome_of(const FetchResult& fetched, const FetchRequest& request, const Options& options) {
  Outcome outcome;
  Json files = Json::array();
  Table table({"file", "bytes", ""});
  uint64_t bytes = 0;
  for (const FetchedFile& entry : fetched.files) {
    files.push_back({{"path", entry.file.path},
                     {"bytes", entry.file.size},
                     {"checksum", entry.file.digest.empty() ? Json() : Json(entry.file.digest)}});
    table.add({entry.file.path, group_digits(entry.file.size), entry.was_there ? "was there" : request.dry_run ? "to fetch" : "fetched"});
    bytes += entry.file.size;
  }
  outcome.result = {{"repository", request.repository.text()},
                    {"kind", options.kind},
                    {"revision", request.revision},
                    {"commit", fetched.commit},
                    {"path", fetched.path},
                    {"bytes", bytes},
                    {"files", std::move(files)}};
  outcome.run_facts = {{"bytes_fetched", fetched.bytes_fetched}, {"from_cache", fetched.from_cache}};
  outcome.text =
      table.text() + fmt::format("{} bytes; commit {}{}\n{}\n", group_digits(bytes), fetched.commit,
                                 fetched.from_cache ? " (from the cache; the hub was not asked or did not answer)" : "", fetched.path);
  return outcome;
}

}  // namespace

Run declare_download(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("repository", options->repository, "OWNER/NAME, or OWNER/NAME:TYPE for one of its GGUF files")->required();
  app.add_option("file", options->files, "files of it, also as patterns like \"*.json\" (default: what MODEL would mean)");
  app.add_option("--revision", options->revision, "branch, tag or commit")->capture_default_str();
  app.add_option("--repo-type", options->kind, "model or dataset")->check(CLI::IsMember({"model", "dataset"}))->capture_default_str();
  app.add_option("--connections", options->connections, "at once, per file")->check(CLI::Range(1, 32))->capture_default_str();
  app.add_option("--part-size", options->part_size, "larger files are fetched in parts of this size")->capture_default_str();
  app.add_flag("--dry-run", options->dry_run, "list the files and what is missing, fetch nothing");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const FetchRequest request, request_of(*options));
    ASSAY_ASSIGN(HubSettings settings, hub_settings_from_environment());
    settings.connections = options->connections;
    ASSAY_ASSIGN(settings.part_bytes, parse_size(options->part_size));
    if (settings.part_bytes < 1024) return fail(ErrorCode::kUsage, {"--part-size", "is " + options->part_size, "at least 1KiB", ""});
    ASSAY_ASSIGN(const FetchResult fetched, fetch(request, settings, context.transfers, context.progress));
    return outcome_of(fetched, request, *options);
  };
}

}  // namespace assay::cli
