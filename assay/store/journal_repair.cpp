#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "assay/store/journal_file.h"

namespace assay {
namespace {

constexpr uint64_t kLeastRowBytes = 128;  // two hashes in hexadecimal
constexpr int64_t kCleanGap = 10000;      // ids are dense: after so many absent ones there are no more

// Every row that can still be reached from the root of the table, asked for one by one, so that a broken page costs its own rows only.
Result<uint64_t> copy_rows(const std::string& from, Database& to) {
  ASSAY_ASSIGN(Database damaged, Database::open(from, Database::Mode::kSalvage));
  const std::string sql = fmt::format("SELECT {} FROM unit NOT INDEXED WHERE id = ?", kUnitColumns);
  auto prepared = damaged.prepare(sql.c_str());
  if (!prepared && prepared.error().code == ErrorCode::kInternal) return 0;  // the schema itself is gone
  ASSAY_ASSIGN(Statement select, std::move(prepared));
  std::error_code error;
  const auto most = static_cast<int64_t>(std::filesystem::file_size(from, error) / kLeastRowBytes + 1);
  uint64_t copied = 0;
  int64_t gap = 0;
  for (int64_t id = 1; id <= most && gap < kCleanGap; ++id) {
    select.reset();
    select.bind(1, id);
    const auto row = select.step();
    gap = row && !*row ? gap + 1 : 0;
    if (!row || !*row) continue;
    const std::optional<Unit> unit = row_of(select);
    if (!unit) continue;
    ASSAY_TRY(write_row(to, *unit));
    ++copied;
  }
  return copied;
}

Status sync_directory(const std::string& path) {
  const std::string dir = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(dir.empty() ? "." : dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) return fail(ErrorCode::kIo, {"journal " + path, "cannot be made durable", "", std::strerror(errno)});
  return {};
}

}  // namespace

Result<Repair> repair_journal_file(const std::string& path) {
  namespace fs = std::filesystem;
  const std::string fresh = path + ".tmp-assay-repair";
  std::error_code error;
  fs::remove(fresh, error);
  fs::remove(fresh + "-journal", error);
  Repair repair;
  {
    ASSAY_ASSIGN(Database database, create_journal_file(fresh));
    ASSAY_TRY(database.run("BEGIN IMMEDIATE"));
    const auto copied = copy_rows(path, database);
    if (!copied && copied.error().code != ErrorCode::kBadInput) return fail(copied.error());
    repair.rows = copied.value_or(0);
    ASSAY_TRY(database.run("COMMIT"));
  }
  for (int n = 1;; ++n) {
    repair.aside = fmt::format("{}.damaged-{}", path, n);
    if (!fs::exists(repair.aside, error)) break;
  }
  // Linked, then replaced: at every instant there is a database under the name. Where links are not to be had, renamed.
  fs::create_hard_link(path, repair.aside, error);
  if (error) fs::rename(path, repair.aside, error);
  if (!error && fs::exists(path + "-journal")) fs::rename(path + "-journal", repair.aside + "-journal", error);
  if (!error) fs::rename(fresh, path, error);
  if (error) return fail(ErrorCode::kIo, {"journal " + path, "cannot be repaired", "a writable directory", error.message()});
  ASSAY_TRY(sync_directory(path));
  return repair;
}

}  // namespace assay
