#include "assay/store/prune.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <set>

#include "assay/base/text.h"
#include "assay/store/file_lock.h"
#include "assay/store/run_log.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

int64_t now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// "0123456789abcdef" or "0123456789abcdef-01234567": model, and the build that works on it.
bool is_journal_directory(const std::string& name) {
  const bool digits = name.find_first_not_of("0123456789abcdef-") == std::string::npos;
  return digits && (name.size() == 16 || (name.size() == 25 && name[16] == '-'));
}

bool is_ours(const std::string& file) { return file.ends_with(".lock") || file.find(".sqlite") != std::string::npos; }

std::vector<fs::path> files_of(const std::string& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    if (at->is_regular_file(error) && is_ours(at->path().filename().string())) files.push_back(at->path());
  return files;
}

// Its files, unless a process works there: every worker's lock is held meanwhile.
bool delete_directory(const std::string& directory) {
  std::vector<FileLock> locks;
  for (const fs::path& file : files_of(directory)) {
    if (file.extension() != ".lock") continue;
    auto lock = FileLock::take(file.string());
    if (!lock || !*lock) return false;
    locks.push_back(**std::move(lock));
  }
  std::error_code error;
  bool gone = true;
  for (const fs::path& file : files_of(directory)) gone = fs::remove(file, error) && gone;
  fs::remove(directory, error);  // unless something of others is in it
  return gone;
}

}  // namespace

Result<std::vector<StoreDirectory>> store_directories(const std::string& store) {
  std::vector<StoreDirectory> directories;
  std::error_code error;
  if (!fs::exists(store, error)) return directories;
  for (fs::directory_iterator at(store, error), end; !error && at != end; at.increment(error)) {
    StoreDirectory one{at->path().filename().string()};
    if (!is_journal_directory(one.name) || !at->is_directory(error)) continue;
    for (const fs::path& file : files_of(at->path().string())) {
      struct stat facts{};
      if (::stat(file.c_str(), &facts) != 0) continue;
      one.bytes += static_cast<uint64_t>(facts.st_blocks) * 512;
      one.used = std::max<int64_t>(one.used, facts.st_mtime);
      one.in_use = one.in_use || (file.extension() == ".lock" && FileLock::is_held(file.string()));
    }
    directories.push_back(std::move(one));
  }
  if (error) return fail(ErrorCode::kIo, {"store " + store, "cannot be listed", "", error.message()});
  std::sort(directories.begin(), directories.end(),
            [](const StoreDirectory& a, const StoreDirectory& b) { return std::tie(a.used, a.name) < std::tie(b.used, b.name); });
  return directories;
}

Result<PruneRule> parse_prune_rule(const std::string& text) {
  PruneRule rule;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const int64_t seconds = unit == "d" ? 86400 : unit == "h" ? 3600 : 0;
  if (error == std::errc() && seconds > 0 && number >= 0 && number < 1'000'000) {
    rule.keep_seconds = number * seconds;
    return rule;
  }
  const auto bytes = parse_size(text);
  if (!bytes || unit.empty())
    return fail(ErrorCode::kUsage, {"--prune " + printable(text), "is no rule", "an age (30d, 12h) or a size to keep (2GiB)", ""});
  rule.keep_bytes = *bytes;
  return rule;
}

Result<Pruned> prune_store(const std::string& store, const PruneRule& rule) {
  Pruned pruned;
  ASSAY_ASSIGN(const std::vector<StoreDirectory> directories, store_directories(store));
  uint64_t total = 0;
  for (const StoreDirectory& directory : directories) total += directory.bytes;
  std::set<std::string> left;
  for (const StoreDirectory& directory : directories) {
    const bool goes = total > rule.keep_bytes || (rule.keep_seconds != INT64_MAX && now() - directory.used >= rule.keep_seconds);
    if (directory.in_use || !goes || !delete_directory((fs::path(store) / directory.name).string())) {
      left.insert(directory.name);
      continue;
    }
    total -= directory.bytes;
    pruned.bytes += directory.bytes;
    ++pruned.directories;
  }
  ASSAY_ASSIGN(const RunList list, list_runs(store));
  for (const RunRecord& run : list.runs) {
    const bool old = rule.keep_seconds != INT64_MAX && now() - run.updated >= rule.keep_seconds;
    const bool bare = pruned.directories > 0 && !run.journals.empty() &&
                      std::none_of(run.journals.begin(), run.journals.end(), [&](const auto& name) { return left.contains(name); });
    if (run.state == RunState::kRunning || (!old && !bare)) continue;
    ASSAY_TRY(forget_run(store, run));
    ++pruned.runs;
  }
  return pruned;
}

}  // namespace assay
