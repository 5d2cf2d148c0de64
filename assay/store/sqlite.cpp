#include "assay/store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace assay {
namespace {

constexpr int kBusyMilliseconds = 10000;  // a worker's commit takes about 10 ms; ten seconds is a stuck disk
constexpr int kMaxValueBytes = 1 << 30;

// What the operating system said last about the database or its journal; SQLite itself tells ENOSPC only.
int system_error(sqlite3* database) {
  if (const int code = sqlite3_system_errno(database)) return code;
  int last = 0;
  sqlite3_file_control(database, "main", SQLITE_FCNTL_LAST_ERRNO, &last);
  sqlite3_file* journal = nullptr;
  if (last == 0 && sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal) == SQLITE_OK && journal &&
      journal->pMethods)
    journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &last);
  return last;
}

Error error_of(sqlite3* database, const std::string& path) {
  const int code = sqlite3_extended_errcode(database);
  const std::string who = "journal " + path;
  const std::string found = sqlite3_errmsg(database);
  const int system = system_error(database);
  switch (code & 0xFF) {
    case SQLITE_NOTADB:
      return make_error(ErrorCode::kMismatch, {who, "is not a database", "", "another program's file? choose another directory"});
    case SQLITE_CORRUPT:
      return make_error(ErrorCode::kBadInput, {who, "is damaged: " + found, "", ""});
    case SQLITE_TOOBIG:
      return make_error(ErrorCode::kBadInput, {who, "holds a value beyond 1 GiB", "", "damaged?"});
    case SQLITE_FULL:
      return make_error(ErrorCode::kNoSpace, {who, "cannot grow", "free disk space", ""});
    case SQLITE_NOMEM:
      return make_error(ErrorCode::kNoSpace, {who, "does not fit into memory", "", ""});
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make_error(ErrorCode::kIo, {who, "is locked by another process", "", "another run with the same worker name?"});
    case SQLITE_READONLY:
      return make_error(ErrorCode::kIo, {who, "cannot be written", "a writable file and directory", found});
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PERM: {
      const bool full = system == ENOSPC || system == EDQUOT || system == EFBIG;
      return make_error(full ? ErrorCode::kNoSpace : ErrorCode::kIo, {who, found, "", system ? std::strerror(system) : ""});
    }
    default:
      return make_error(ErrorCode::kInternal, {who, found, "", ""});
  }
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

void Statement::bind(int at, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), at, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}
void Statement::bind_blob(int at, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), at, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_TRANSIENT);
}
void Statement::bind(int at, double number) { sqlite3_bind_double(statement_.get(), at, number); }
void Statement::bind(int at, int64_t number) { sqlite3_bind_int64(statement_.get(), at, number); }

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(error_of(sqlite3_db_handle(statement_.get()), path_));
}

std::string_view Statement::text(int column) {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(bytes), static_cast<size_t>(size));
}
double Statement::real(int column) { return sqlite3_column_double(statement_.get(), column); }
int64_t Statement::number(int column) { return sqlite3_column_int64(statement_.get(), column); }

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

Result<Database> Database::open(const std::string& path, Mode mode) {
  const int flags = mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database;
  database.path_ = path;
  database.database_.reset(handle);
  if (handle == nullptr) return fail(ErrorCode::kNoSpace, {"journal " + path, "cannot be opened", "", "out of memory"});
  if (code != SQLITE_OK) return fail(error_of(handle, path));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, mode == Mode::kSalvage ? 0 : 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  ASSAY_TRY(database.run("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0"));
  // SQLite refuses a file that is shorter than its header says, unless it is told that the schema is being mended.
  if (mode == Mode::kSalvage) ASSAY_TRY(database.run("PRAGMA writable_schema = ON; PRAGMA query_only = ON"));
  return database;
}

Status Database::run(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return fail(error_of(database_.get(), path_));
}

Result<Statement> Database::prepare(const char* sql) {
  Statement statement;
  statement.path_ = path_;
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql, -1, &handle, nullptr) != SQLITE_OK) return fail(error_of(database_.get(), path_));
  statement.statement_.reset(handle);
  return statement;
}

Result<int64_t> Database::number(const char* sql) {
  ASSAY_ASSIGN(Statement statement, prepare(sql));
  ASSAY_ASSIGN(const bool row, statement.step());
  return row ? statement.number(0) : 0;
}

bool is_damage(const Error& error) { return error.code == ErrorCode::kBadInput; }

}  // namespace assay
