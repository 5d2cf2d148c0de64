// One worker's database as a file: its identity, its rows, their checksums, and what can be saved from a damaged one. Internal to store/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "assay/store/journal.h"
#include "assay/store/sqlite.h"

namespace assay {

// Columns in the order row_of() reads them.
inline constexpr const char* kUnitColumns = "key, kind, fields, payload, checksum, seconds, host";

// Opens, makes or checks. kMismatch: another program's database; kUnsupported: another schema version; kBadInput: damaged.
Result<Database> create_journal_file(const std::string& path);
Result<Database> open_journal_file(const std::string& path);
// kBadInput if pages or index contradict each other. Reads the whole file.
Status check_pages(Database& database, const std::string& path);

std::string checksum_of(const Unit& unit);
// The row under a statement that selects kUnitColumns; nothing if its key or checksum does not fit its content.
std::optional<Unit> row_of(Statement& statement);
// A row that is there under this key (damaged, or it would not be written again) is kept as "aside N KEY": nobody reads it as a unit.
Status set_row_aside(Database& database, const std::string& key);
// Adds the unit, or replaces a row of its key. In the caller's transaction.
Status write_row(Database& database, const Unit& unit);

struct Repair {
  uint64_t rows = 0;  // saved
  std::string aside;  // where the damaged file is now
};
// Copies every intact row to a new database and puts it in place of the damaged one, which is kept. The caller holds the worker's lock.
Result<Repair> repair_journal_file(const std::string& path);

}  // namespace assay
