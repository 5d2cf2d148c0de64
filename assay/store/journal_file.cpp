#include "assay/store/journal_file.h"

#include <fmt/format.h>

#include "assay/base/sha256.h"

namespace assay {
namespace {

constexpr int64_t kApplicationId = 0x61737379;  // "assy"
constexpr int64_t kSchemaVersion = 1;
constexpr const char* kSchema =
    "CREATE TABLE unit(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, fields TEXT NOT NULL, "
    "payload BLOB NOT NULL, checksum TEXT NOT NULL, seconds REAL NOT NULL, host TEXT NOT NULL) STRICT";

// Empty, or ours in every respect: a database with other tables, triggers or views is never written to.
Status check_identity(Database& database, const std::string& path, bool* empty) {
  ASSAY_ASSIGN(const int64_t application, database.number("PRAGMA application_id"));
  ASSAY_ASSIGN(const int64_t version, database.number("PRAGMA user_version"));
  ASSAY_ASSIGN(const int64_t objects, database.number("SELECT count(*) FROM sqlite_schema"));
  *empty = application == 0 && version == 0 && objects == 0;
  if (*empty) return {};
  if (application != kApplicationId)
    return fail(ErrorCode::kMismatch, {"journal " + path, "is a database of another program", "", "choose another directory"});
  if (version != kSchemaVersion)
    return fail(ErrorCode::kUnsupported, {"journal " + path, fmt::format("has schema version {}", version),
                                          fmt::format("this program reads version {}", kSchemaVersion),
                                          version > kSchemaVersion ? "written by a newer assay" : "written by an older assay"});
  ASSAY_ASSIGN(Statement schema, database.prepare("SELECT type, sql FROM sqlite_schema WHERE sql IS NOT NULL"));
  ASSAY_ASSIGN(const bool found, schema.step());
  const bool ours = found && objects == 2 && schema.text(0) == "table" && schema.text(1) == kSchema;
  if (!ours) return fail(ErrorCode::kMismatch, {"journal " + path, "has other tables than a journal", "", "changed by another program?"});
  return {};
}

}  // namespace

Result<Database> create_journal_file(const std::string& path) {
  ASSAY_ASSIGN(Database database, Database::open(path, Database::Mode::kCreate));
  ASSAY_TRY(database.run("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL"));
  bool empty = false;
  ASSAY_TRY(check_identity(database, path, &empty));
  if (!empty) return database;
  const std::string make = fmt::format("BEGIN IMMEDIATE; PRAGMA application_id = {}; PRAGMA user_version = {}; {}; COMMIT", kApplicationId,
                                       kSchemaVersion, kSchema);
  ASSAY_TRY(database.run(make.c_str()));
  return database;
}

Result<Database> open_journal_file(const std::string& path) {
  auto opened = Database::open(path, Database::Mode::kWrite);  // so that a dead writer's torn transaction can be rolled back
  if (!opened) opened = Database::open(path, Database::Mode::kRead);
  ASSAY_ASSIGN(Database database, std::move(opened));
  ASSAY_TRY(database.make_read_only());
  bool empty = false;
  ASSAY_TRY(check_identity(database, path, &empty));
  if (empty) return fail(ErrorCode::kNotFound, {"journal " + path, "is empty", "", ""});
  return database;
}

Status check_pages(Database& database, const std::string& path) {
  ASSAY_ASSIGN(Statement check, database.prepare("PRAGMA integrity_check(1)"));
  ASSAY_ASSIGN(const bool row, check.step());
  if (row && check.text(0) == "ok") return {};
  return fail(ErrorCode::kBadInput, {"journal " + path, "is damaged: " + std::string(row ? check.text(0) : "no answer"), "", ""});
}

std::string checksum_of(const Unit& unit) {
  Sha256 hash;
  for (const std::string* part : {&unit.key, &unit.kind, &unit.fields, &unit.payload}) {
    hash.add(uint64_t{part->size()});
    hash.add(*part);
  }
  return hash.hex();
}

std::optional<Unit> row_of(Statement& statement) {
  Unit unit;
  unit.key = statement.text(0);
  unit.kind = statement.text(1);
  unit.fields = statement.text(2);
  unit.payload = statement.text(3);
  unit.facts = {statement.real(5), std::string(statement.text(6))};
  if (statement.text(4) != checksum_of(unit)) return std::nullopt;
  return unit;
}

Status set_row_aside(Database& database, const std::string& key) {
  ASSAY_ASSIGN(Statement rename, database.prepare("UPDATE unit SET key = 'aside ' || id || ' ' || key WHERE key = ?"));
  rename.bind(1, key);
  const auto renamed = rename.step();
  if (!renamed && !is_damage(renamed.error())) return fail(renamed.error());  // a row whose pages are broken is written over
  return {};
}

Status write_row(Database& database, const Unit& unit) {
  ASSAY_ASSIGN(
      Statement insert,
      database.prepare("INSERT INTO unit(key, kind, fields, payload, checksum, seconds, host) VALUES (?, ?, ?, ?, ?, ?, ?) "
                       "ON CONFLICT(key) DO UPDATE SET kind = excluded.kind, fields = excluded.fields, payload = excluded.payload, "
                       "checksum = excluded.checksum, seconds = excluded.seconds, host = excluded.host"));
  insert.bind(1, unit.key);
  insert.bind(2, unit.kind);
  insert.bind(3, unit.fields);
  insert.bind_blob(4, unit.payload);
  insert.bind(5, checksum_of(unit));
  insert.bind(6, unit.facts.seconds);
  insert.bind(7, unit.facts.host);
  ASSAY_ASSIGN(const bool row, insert.step());
  (void)row;
  return {};
}

}  // namespace assay
