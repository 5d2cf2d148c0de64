// A disk for SQLite that fails, or whose process dies, at the n-th change of a file (write, sync, truncate, delete): the way SQLite tests
// itself. Becomes the default file system of the test process for as long as it lives. Counts from arm(n); n = 0 is the first change.
#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace assay::testing_store {

enum class Fault {
  kFailOnce,     // one change fails, as after a passing I/O error
  kFailForever,  // and every one after it
  kFull,         // writes fail for want of space from there on
  kDie,          // half of the write reaches the disk, then the process is gone
};

class FailingDisk {
 public:
  static constexpr int kDied = 9;

  FailingDisk() {
    original() = sqlite3_vfs_find(nullptr);
    vfs_ = *original();
    vfs_.zName = "failing";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + original()->szOsFile;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FailingDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(original(), 1);
    state() = {};
  }
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  void arm(Fault fault, int n) { state() = {fault, n, true, false}; }
  void heal() { state().armed = false; }
  bool struck() const { return state().struck; }

 private:
  struct State {
    Fault fault = Fault::kFailOnce;
    int left = 0;
    bool armed = false, struck = false;
  };
  struct File {
    sqlite3_file base;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static State& state() {
    static State value;
    return value;
  }
  static sqlite3_vfs*& original() {
    static sqlite3_vfs* value = nullptr;
    return value;
  }
  static bool strikes() {
    State& now = state();
    if (!now.armed) return false;
    if (now.left-- > 0) return false;
    if (now.struck && now.fault == Fault::kFailOnce) return false;
    now.struck = true;
    return true;
  }
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 at) {
    sqlite3_file* real = of(file)->real();
    if (!strikes()) return real->pMethods->xWrite(real, bytes, count, at);
    if (state().fault == Fault::kDie) {
      real->pMethods->xWrite(real, bytes, count / 2, at);
      ::_exit(kDied);
    }
    return state().fault == Fault::kFull ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }
  static int sync(sqlite3_file* file, int flags) {
    sqlite3_file* real = of(file)->real();
    if (!strikes()) return real->pMethods->xSync(real, flags);
    if (state().fault == Fault::kDie) ::_exit(kDied);
    return SQLITE_IOERR_FSYNC;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    sqlite3_file* real = of(file)->real();
    if (!strikes()) return real->pMethods->xTruncate(real, size);
    if (state().fault == Fault::kDie) ::_exit(kDied);
    return SQLITE_IOERR_TRUNCATE;
  }
  static int remove(sqlite3_vfs*, const char* name, int sync_directory) {
    if (!strikes()) return original()->xDelete(original(), name, sync_directory);
    if (state().fault == Fault::kDie) ::_exit(kDied);
    return SQLITE_IOERR_DELETE;
  }
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    sqlite3_file* real = of(file)->real();
    real->pMethods = nullptr;
    const int code = original()->xOpen(original(), name, real, flags, out_flags);
    file->pMethods = real->pMethods ? methods() : nullptr;
    return code;
  }
  static const sqlite3_io_methods* methods() {
    static sqlite3_io_methods table{};
    table.iVersion = 1;
    table.xClose = [](sqlite3_file* f) { return of(f)->real()->pMethods->xClose(of(f)->real()); };
    table.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      return of(f)->real()->pMethods->xRead(of(f)->real(), to, n, at);
    };
    table.xWrite = write;
    table.xTruncate = truncate;
    table.xSync = sync;
    table.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return of(f)->real()->pMethods->xFileSize(of(f)->real(), size); };
    table.xLock = [](sqlite3_file* f, int level) { return of(f)->real()->pMethods->xLock(of(f)->real(), level); };
    table.xUnlock = [](sqlite3_file* f, int level) { return of(f)->real()->pMethods->xUnlock(of(f)->real(), level); };
    table.xCheckReservedLock = [](sqlite3_file* f, int* held) { return of(f)->real()->pMethods->xCheckReservedLock(of(f)->real(), held); };
    table.xFileControl = [](sqlite3_file* f, int op, void* arg) { return of(f)->real()->pMethods->xFileControl(of(f)->real(), op, arg); };
    table.xSectorSize = [](sqlite3_file* f) { return of(f)->real()->pMethods->xSectorSize(of(f)->real()); };
    table.xDeviceCharacteristics = [](sqlite3_file* f) { return of(f)->real()->pMethods->xDeviceCharacteristics(of(f)->real()); };
    return &table;
  }

  sqlite3_vfs vfs_{};
};

}  // namespace assay::testing_store
