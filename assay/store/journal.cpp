#include "assay/store/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>

#include "assay/base/text.h"
#include "assay/store/file_lock.h"
#include "assay/store/journal_file.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".sqlite";
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
constexpr size_t kMaxNameBytes = 64;

bool is_worker_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

std::string lock_path(const std::string& dir, const std::string& worker) { return (fs::path(dir) / (worker + ".lock")).string(); }

Status make_directory(const std::string& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return fail(ErrorCode::kIo, {"journal " + dir, "cannot be made", "a writable directory", error.message()});
  return {};
}

Result<Database> open_own(const std::string& path, std::vector<std::string>& warnings) {
  const auto intact = [&]() -> Result<Database> {
    ASSAY_ASSIGN(Database database, create_journal_file(path));
    ASSAY_TRY(check_pages(database, path));
    return database;
  };
  auto opened = intact();
  if (opened || !is_damage(opened.error())) return opened;
  ASSAY_ASSIGN(const Repair repair, repair_journal_file(path));
  warnings.push_back(
      fmt::format("{}; {} finished units were saved, the damaged file is kept as {}", opened.error().message, repair.rows, repair.aside));
  return intact();
}

}  // namespace

struct Journal::State {
  FileLock lock;
  std::string worker;
  std::map<std::string, Database> databases;  // by worker name, one's own included
  std::vector<std::string> notes;
  mutable std::mutex mutex;

  State(FileLock held, std::string name) : lock(std::move(held)), worker(std::move(name)) {}

  void warn(const std::string& text) {
    if (std::find(notes.begin(), notes.end(), text) == notes.end()) notes.push_back(text);
  }

  // The unit in one database. An unreadable row is an absent one, and named.
  Result<std::optional<Unit>> find(const std::string& name, Database& database, const std::string& key) {
    const auto read = [&]() -> Result<std::optional<Unit>> {
      const std::string sql = fmt::format("SELECT {} FROM unit WHERE key = ?", kUnitColumns);
      ASSAY_ASSIGN(Statement select, database.prepare(sql.c_str()));
      select.bind(1, key);
      ASSAY_ASSIGN(const bool row, select.step());
      if (!row) return std::optional<Unit>();
      std::optional<Unit> unit = row_of(select);
      if (!unit || unit->key != key) return fail(ErrorCode::kBadInput, "checksum");
      unit->worker = name;
      return unit;
    };
    auto found = read();
    if (found || !is_damage(found.error())) return found;
    warn(fmt::format("journal of worker '{}': unit {} is damaged and will be done again", name, printable(key)));
    return std::optional<Unit>();
  }
};

Journal::Journal(std::unique_ptr<State> state) : state_(std::move(state)) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;
Journal::~Journal() = default;

Result<Journal> Journal::open(const std::string& dir, const std::string& worker) {
  if (!is_worker_name(worker))
    return fail(ErrorCode::kUsage,
                {"journal: worker name '" + printable(worker) + "'", "is not one", "letters, digits, '-' and '_', at most 64", ""});
  ASSAY_TRY(make_directory(dir));
  const std::string path = lock_path(dir, worker);
  ASSAY_ASSIGN(std::optional<FileLock> lock, FileLock::take(path));
  if (!lock) {
    return fail(ErrorCode::kIo,
                {"journal " + path, "is held by another process", "one process per worker name", "the same command running twice?"});
  }
  return open_held(dir, worker, std::make_unique<State>(*std::move(lock), worker));
}

Result<Journal> Journal::open_any(const std::string& dir) {
  constexpr int kNames = 64;
  ASSAY_TRY(make_directory(dir));
  for (int i = 1; i <= kNames; ++i) {
    const std::string worker = i == 1 ? "local" : "local-" + std::to_string(i);
    ASSAY_ASSIGN(std::optional<FileLock> lock, FileLock::take(lock_path(dir, worker)));
    if (lock) return open_held(dir, worker, std::make_unique<State>(*std::move(lock), worker));
  }
  return fail(ErrorCode::kIo, {"journal " + dir, "is held by " + std::to_string(kNames) + " processes", "one free name", ""});
}

Result<Journal> Journal::open_held(const std::string& dir, const std::string& worker, std::unique_ptr<State> state) {
  std::error_code error;
  ASSAY_ASSIGN(Database own, open_own((fs::path(dir) / (worker + std::string(kSuffix))).string(), state->notes));
  state->databases.emplace(worker, std::move(own));
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().stem().string();
    if (at->path().extension() != kSuffix || !is_worker_name(name) || name == worker) continue;
    auto other = open_journal_file(at->path().string());
    if (other)
      state->databases.emplace(name, *std::move(other));
    else if (other.error().code != ErrorCode::kNotFound)
      state->warn(other.error().message + "; its units are not seen");
  }
  if (error) return fail(ErrorCode::kIo, {"journal " + dir, "cannot be listed", "", error.message()});
  return Journal(std::move(state));
}

Result<std::optional<std::string>> Journal::get(const UnitKey& key) {
  const std::lock_guard guard(state_->mutex);
  const std::string hex = key.hex();
  for (auto& [name, database] : state_->databases) {
    ASSAY_ASSIGN(std::optional<Unit> unit, state_->find(name, database, hex));
    if (unit) return std::optional<std::string>(std::move(unit->payload));
  }
  return std::optional<std::string>();
}

Status Journal::put(const UnitKey& key, std::string_view payload, const RunFacts& facts) {
  const FinishedUnit unit{key, std::string(payload), facts};
  return put(std::span(&unit, 1));
}

Status Journal::put(std::span<const FinishedUnit> units) {
  const std::lock_guard guard(state_->mutex);
  Database& own = state_->databases.at(state_->worker);
  std::vector<Unit> fresh;
  std::map<std::string, size_t> places;  // in `fresh`, by key
  for (const FinishedUnit& one : units) {
    if (one.payload.size() > kMaxPayloadBytes)
      return fail(ErrorCode::kUsage,
                  {"journal: unit of kind '" + one.key.kind() + "'", "has " + group_digits(one.payload.size()) + " bytes",
                   "at most " + group_digits(kMaxPayloadBytes), ""});
    const double seconds = std::isfinite(one.facts.seconds) ? one.facts.seconds : 0;
    Unit unit{one.key.hex(), one.key.kind(), one.key.text(), one.payload, {seconds, one.facts.host}, state_->worker};
    ASSAY_ASSIGN(std::optional<Unit> present, state_->find(state_->worker, own, unit.key));
    if (const auto twice = places.find(unit.key); twice != places.end()) present = fresh[twice->second];
    if (present && present->payload == unit.payload) continue;
    if (present)
      return fail(ErrorCode::kMismatch, {"journal: a unit of kind '" + unit.kind + "'", "was finished before with another result",
                                         "equal keys give equal results", "something that changes the result is missing from its key"});
    places[unit.key] = fresh.size();
    fresh.push_back(std::move(unit));
  }
  if (fresh.empty()) return {};
  ASSAY_TRY(own.run("BEGIN IMMEDIATE"));
  Status written;
  for (size_t i = 0; written && i < fresh.size(); ++i)
    written = set_row_aside(own, fresh[i].key).and_then([&] { return write_row(own, fresh[i]); });
  if (written) written = own.run("COMMIT");
  if (!written) (void)own.run("ROLLBACK");  // SQLite may have rolled back by itself: nothing to add to the first error
  return written;
}

Status Journal::for_each(std::string_view kind, const std::function<Status(const Unit&)>& visit) {
  const std::lock_guard guard(state_->mutex);
  std::map<std::string, std::vector<std::string>> workers;  // by key: the order of the report
  for (auto& [name, database] : state_->databases) {
    ASSAY_ASSIGN(Statement select, database.prepare("SELECT key FROM unit WHERE (?1 = '' OR kind = ?1) AND key NOT LIKE 'aside %'"));
    select.bind(1, kind);
    for (;;) {
      const auto row = select.step();
      if (!row && !is_damage(row.error())) return fail(row.error());
      if (!row) state_->warn(row.error().message + "; its units are not all seen");
      if (!row || !*row) break;
      workers[std::string(select.text(0))].push_back(name);
    }
  }
  for (const auto& [key, names] : workers) {
    std::optional<Unit> first;
    for (const std::string& name : names) {
      ASSAY_ASSIGN(std::optional<Unit> unit, state_->find(name, state_->databases.at(name), key));
      if (!unit) continue;
      if (first && first->payload != unit->payload)
        return fail(ErrorCode::kMismatch, {fmt::format("journal: workers '{}' and '{}'", first->worker, name),
                                           "finished a unit of kind '" + printable(unit->kind) + "' with different results",
                                           "equal keys give equal results", "something that changes the result is missing from its key"});
      if (!first) first = std::move(unit);
    }
    if (first) ASSAY_TRY(visit(*first));
  }
  return {};
}

Result<std::vector<std::string>> Journal::differences(const UnitKey& key) {
  const std::lock_guard guard(state_->mutex);
  const std::string ours = key.text();
  std::optional<std::vector<std::string>> nearest;
  for (auto& [name, database] : state_->databases) {
    ASSAY_ASSIGN(Statement select, database.prepare("SELECT fields FROM unit WHERE kind = ?"));
    select.bind(1, key.kind());
    for (;;) {
      const auto row = select.step();
      if (!row && !is_damage(row.error())) return fail(row.error());
      if (!row || !*row) break;
      auto fields = differing_fields(ours, select.text(0));
      if (!nearest || fields.size() < nearest->size()) nearest = std::move(fields);
    }
  }
  return nearest.value_or(std::vector<std::string>());
}

std::vector<std::string> Journal::warnings() const {
  const std::lock_guard guard(state_->mutex);
  return state_->notes;
}

}  // namespace assay
