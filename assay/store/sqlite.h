// SQLite in the house's terms: Result instead of codes, limits for databases that nobody vouches for. Internal to store/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "assay/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace assay {

class Statement {
 public:
  void bind(int at, std::string_view text);
  void bind_blob(int at, std::string_view bytes);
  void bind(int at, double number);
  void bind(int at, int64_t number);
  // True: a row is there; false: no more. The views below live until the next step.
  Result<bool> step();
  std::string_view text(int column);
  double real(int column);
  int64_t number(int column);
  // Ready for new values.
  void reset();

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  // kSalvage: for reading what is left of a damaged database, cut short as it may be.
  enum class Mode { kRead, kWrite, kCreate, kSalvage };
  // Foreign code in the file (triggers, views, functions) does not run; values beyond 1 GB are refused.
  static Result<Database> open(const std::string& path, Mode mode);
  Status run(const char* sql);
  Result<int64_t> number(const char* sql);
  Result<Statement> prepare(const char* sql);
  // Refuse writes from here on (rolling back another process's torn transaction excepted).
  Status make_read_only() { return run("PRAGMA query_only = ON"); }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

// The pages of a database contradict each other: what repair is for.
bool is_damage(const Error& error);

}  // namespace assay
