// The journal's promises in good weather, and every refusal by name (R5 to R9, R11, R12 of the bad-input list; R1 to R4:
// journal_damage_test).
#include "assay/store/journal.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "tests/store/failing_disk.h"
#include "tests/store/journal_units.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_files::get_file;
using testing_files::put_file;
using testing_store::fill;
using testing_store::held;
using testing_store::key_of;
using testing_store::payload_of;
using testing_store::put;
using testing_store::ScratchDirectory;

Journal open(const ScratchDirectory& scratch, const std::string& worker = "w") {
  auto journal = Journal::open(scratch.path().string(), worker);
  if (!journal) throw std::runtime_error(journal.error().message);
  return *std::move(journal);
}

void sql(const std::string& path, const std::string& text) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

TEST(Journal, KeepsWhatWasPut) {
  const ScratchDirectory scratch;
  {
    Journal journal = open(scratch);
    EXPECT_FALSE(journal.get(key_of(1))->has_value());
    ASSERT_TRUE(put(journal, 1));
    EXPECT_EQ(**journal.get(key_of(1)), payload_of(1));
  }
  Journal again = open(scratch);
  EXPECT_EQ(**again.get(key_of(1)), payload_of(1));
  EXPECT_FALSE(again.get(key_of(2))->has_value());
  EXPECT_THAT(again.warnings(), IsEmpty());
}

TEST(Journal, PutsManyAtOnceOrNone) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  std::vector<FinishedUnit> units;
  for (int i = 0; i < 5; ++i) units.push_back({key_of(i), payload_of(i), {0.5, "here"}});
  ASSERT_TRUE(journal.put(units));
  EXPECT_EQ(held(journal, 6), "01234");
  // The same again is no work; one that contradicts takes the others with it.
  ASSERT_TRUE(journal.put(units));
  const std::vector<FinishedUnit> mixed = {{key_of(5), payload_of(5), {}}, {key_of(2), "something else", {}}};
  const Status refused = journal.put(mixed);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(held(journal, 6), "01234");
  EXPECT_TRUE(journal.put(std::span<const FinishedUnit>()));
}

TEST(Journal, OpensUnderTheFirstFreeName) {
  const ScratchDirectory scratch;
  {
    auto first = Journal::open_any(scratch.path().string());
    ASSERT_TRUE(first) << first.error().message;
    auto second = Journal::open_any(scratch.path().string());
    ASSERT_TRUE(second) << second.error().message;
    ASSERT_TRUE(put(*first, 1));
    ASSERT_TRUE(put(*second, 2));
    EXPECT_EQ(held(*second, 3), "12");  // it was there when the second one opened
  }
  auto again = Journal::open_any(scratch.path().string());
  ASSERT_TRUE(again);
  EXPECT_EQ(held(*again, 3), "12");
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "local.sqlite"));
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "local-2.sqlite"));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "local-3.sqlite"));
}

TEST(Journal, PayloadsAreBytes) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  const std::string zeros(3, '\0');
  ASSERT_TRUE(journal.put(key_of(1), zeros, {}));
  ASSERT_TRUE(journal.put(key_of(2), "", {}));
  EXPECT_EQ(**journal.get(key_of(1)), zeros);
  EXPECT_EQ(**journal.get(key_of(2)), "");
}

TEST(Journal, RunFactsStandBesideTheResult) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  ASSERT_TRUE(journal.put(key_of(1), "x", {1.25, "node-7"}));
  ASSERT_TRUE(journal.for_each("test", [](const Unit& unit) -> Status {
    EXPECT_EQ(unit.key, key_of(1).hex());
    EXPECT_EQ(unit.fields, key_of(1).text());
    EXPECT_EQ(unit.worker, "w");
    EXPECT_EQ(unit.facts.seconds, 1.25);
    EXPECT_EQ(unit.facts.host, "node-7");
    return {};
  }));
}

// The same sequence of units, whoever did them and in whatever order.
TEST(Journal, UnionDoesNotDependOnTheWorkers) {
  const auto sequence = [](const ScratchDirectory& scratch) {
    Journal journal = open(scratch, "reader");
    std::string all;
    EXPECT_TRUE(journal.for_each("test", [&](const Unit& unit) -> Status {
      all += unit.key + unit.payload;
      return {};
    }));
    return all;
  };
  const ScratchDirectory one, four;
  fill(one, 9);
  for (int worker = 3; worker >= 0; --worker) {
    Journal journal = open(four, "w" + std::to_string(worker));
    for (int i = 8; i >= 0; --i) ASSERT_TRUE(i % 4 != worker || put(journal, i));
  }
  EXPECT_EQ(sequence(one), sequence(four));
  Journal late = open(four, "late");
  EXPECT_EQ(held(late, 10), "012345678");
}

TEST(Journal, ForEachAsksForAKind) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  ASSERT_TRUE(journal.put(UnitKey("a").add("n", 1), "", {}));
  ASSERT_TRUE(journal.put(UnitKey("b").add("n", 1), "", {}));
  const auto count = [&](const char* kind) {
    int n = 0;
    EXPECT_TRUE(journal.for_each(kind, [&](const Unit&) -> Status { return ++n, Status(); }));
    return n;
  };
  EXPECT_EQ(count("a"), 1);
  EXPECT_EQ(count(""), 2);
  EXPECT_EQ(count("c"), 0);
  const Status stopped = journal.for_each("", [](const Unit&) -> Status { return fail(ErrorCode::kInterrupted, "stop"); });
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
}

TEST(Journal, WorkerNamesAreChecked) {
  const ScratchDirectory scratch;
  for (const char* name : {"", "../x", "a b", "a.b", ".", "a/b"})
    EXPECT_EQ(Journal::open(scratch.path().string(), name).error().code, ErrorCode::kUsage) << name;
  EXPECT_EQ(Journal::open(scratch.path().string(), std::string(65, 'a')).error().code, ErrorCode::kUsage);
  EXPECT_TRUE(Journal::open(scratch.path().string(), std::string(64, 'a')));
}

TEST(Journal, R5_NewerSchemaIsRefused) {
  const ScratchDirectory scratch;
  fill(scratch, 1);
  sql(scratch / "w.sqlite", "PRAGMA user_version = 2");
  const auto refused = Journal::open(scratch.path().string(), "w");
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("written by a newer assay"));
  sql(scratch / "w.sqlite", "PRAGMA user_version = 1");
  EXPECT_TRUE(Journal::open(scratch.path().string(), "w"));
}

TEST(Journal, R6_OlderSchemaIsRefused) {
  const ScratchDirectory scratch;
  fill(scratch, 1);
  sql(scratch / "w.sqlite", "PRAGMA user_version = 0");
  EXPECT_THAT(Journal::open(scratch.path().string(), "w").error().message, HasSubstr("written by an older assay"));
}

// Another model, corpus, seed or build is another key: nothing is found, and the journal can say why.
TEST(Journal, R7_UnitsOfAnotherRunAreNotFound) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  UnitKey done("test");
  done.add("model", "abc").add("corpus", "def").add("seed", 1).add("build", "0.1.0");
  ASSERT_TRUE(journal.put(done, "x", {}));
  UnitKey wanted("test");
  wanted.add("model", "abc").add("corpus", "d3f").add("seed", 2).add("build", "0.1.0");
  EXPECT_FALSE(journal.get(wanted)->has_value());
  EXPECT_THAT(*journal.differences(wanted), ElementsAre("corpus", "seed"));
  EXPECT_THAT(*journal.differences(done), IsEmpty());
  EXPECT_THAT(*journal.differences(UnitKey("other").add("model", "x")), IsEmpty());
}

TEST(Journal, R7_DatabasesOfOtherProgramsAreLeftAlone) {
  const ScratchDirectory scratch;
  sql(scratch / "w.sqlite", "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  const std::string before = get_file(scratch / "w.sqlite");
  EXPECT_EQ(Journal::open(scratch.path().string(), "w").error().code, ErrorCode::kMismatch);
  EXPECT_EQ(get_file(scratch / "w.sqlite"), before);
  put_file(scratch / "v.sqlite", std::string(5000, 'x'));
  EXPECT_EQ(Journal::open(scratch.path().string(), "v").error().code, ErrorCode::kMismatch);
  // As another worker's they are named and not read.
  Journal journal = open(scratch, "mine");
  EXPECT_EQ(journal.warnings().size(), 2u);
}

// A trigger in a database from elsewhere must not run when we write.
TEST(Journal, ForeignSchemaObjectsAreRefused) {
  for (const char* object : {"CREATE TRIGGER t AFTER INSERT ON unit BEGIN DELETE FROM unit; END", "CREATE VIEW v AS SELECT 1",
                             "CREATE TABLE more(x)", "ALTER TABLE unit ADD COLUMN extra TEXT"}) {
    const ScratchDirectory scratch;
    fill(scratch, 1);
    sql(scratch / "w.sqlite", object);
    EXPECT_EQ(Journal::open(scratch.path().string(), "w").error().code, ErrorCode::kMismatch) << object;
  }
}

TEST(Journal, R8_TwoWritersOfOneWorkerAreRefused) {
  const ScratchDirectory scratch;
  {
    Journal first = open(scratch);
    const auto second = Journal::open(scratch.path().string(), "w");
    EXPECT_EQ(second.error().code, ErrorCode::kIo);
    EXPECT_THAT(second.error().message, HasSubstr("held by another process"));
    EXPECT_TRUE(Journal::open(scratch.path().string(), "v"));
  }
  EXPECT_TRUE(Journal::open(scratch.path().string(), "w"));
}

TEST(Journal, R8_WorkersSeeEachOthersUnitsWhileWriting) {
  const ScratchDirectory scratch;
  Journal first = open(scratch, "a");
  Journal second = open(scratch, "b");  // sees a, which was there
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(put(first, i));
    ASSERT_TRUE(second.get(key_of(i))->has_value()) << i;
    ASSERT_TRUE(put(second, 100 + i));
  }
}

TEST(Journal, R9_TheSameUnitTwiceIsOneUnit) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  ASSERT_TRUE(put(journal, 1));
  ASSERT_TRUE(put(journal, 1));
  int count = 0;
  ASSERT_TRUE(journal.for_each("test", [&](const Unit&) -> Status { return ++count, Status(); }));
  EXPECT_EQ(count, 1);
  const Status other = journal.put(key_of(1), "another result", {});
  EXPECT_EQ(other.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(**journal.get(key_of(1)), payload_of(1));
}

TEST(Journal, R9_WorkersThatDisagreeAreNamed) {
  const ScratchDirectory scratch;
  for (const char* worker : {"a", "b"}) {
    Journal journal = open(scratch, worker);
    ASSERT_TRUE(journal.put(key_of(1), "agreed", {}));
  }
  Journal journal = open(scratch, "c");
  EXPECT_TRUE(journal.for_each("", [](const Unit&) { return Status(); }));
  {
    const ScratchDirectory apart;
    Journal other = open(apart, "d");
    ASSERT_TRUE(other.put(key_of(1), "disagreed", {}));
    std::filesystem::copy_file(apart / "d.sqlite", scratch / "d.sqlite");
  }
  Journal again = open(scratch, "e");
  const Status refused = again.for_each("", [](const Unit&) { return Status(); });
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().message, HasSubstr("'a' and 'd'"));
}

// Every change of a file that a put makes is made to fail in turn: a typed error, nothing lost, and the next put works.
TEST(Journal, R11_EveryFailedWriteOrSyncLeavesBeforeOrAfter) {
  using testing_store::Fault;
  for (const Fault fault : {Fault::kFailOnce, Fault::kFailForever, Fault::kFull}) {
    int n = 0;
    for (bool struck = true; struck; ++n) {
      ASSERT_LT(n, 200);
      const ScratchDirectory scratch;
      fill(scratch, 2);
      testing_store::FailingDisk disk;
      Journal journal = open(scratch);
      disk.arm(fault, n);
      const Status status = put(journal, 2);
      struck = disk.struck();
      disk.heal();
      EXPECT_TRUE(struck || status);
      const bool typed =
          status || status.error().code == ErrorCode::kIo || (fault == Fault::kFull && status.error().code == ErrorCode::kNoSpace);
      EXPECT_TRUE(typed) << status.error().message;
      const std::string now = held(journal, 3);
      EXPECT_TRUE(now == "012" || (now == "01" && !status)) << n << " " << now;
      EXPECT_TRUE(put(journal, 2)) << n;
      EXPECT_EQ(held(journal, 3), "012");
      EXPECT_THAT(journal.warnings(), IsEmpty());
    }
    EXPECT_GT(n, 5);
  }
}

TEST(Journal, R11_AFileSizeLimitIsNoSpace) {
  const ScratchDirectory scratch;
  fill(scratch, 2);
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{40000, 40000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    Journal journal = open(scratch);
    for (int i = 2; i < 10; ++i)
      if (const Status status = put(journal, i); !status) ::_exit(status.error().code == ErrorCode::kNoSpace ? 1 : 2);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  Journal journal = open(scratch);
  const std::string now = held(journal, 10);
  EXPECT_EQ(now, std::string("0123456789").substr(0, now.size()));
  EXPECT_GE(now.size(), 2u);
  EXPECT_LT(now.size(), 10u);
}

// Runs `body` as a user whom permissions bind.
int as_nobody(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(77);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(Journal, R12_AReadOnlyDirectoryIsAnError) {
  const ScratchDirectory scratch;
  fill(scratch, 1);
  ::chmod(scratch.path().c_str(), 0555);
  const auto attempt = [&](const char* worker) {
    return as_nobody([&] {
      const auto journal = Journal::open(scratch.path().string(), worker);
      return journal ? 0 : journal.error().code == ErrorCode::kIo ? 1 : 2;
    });
  };
  EXPECT_EQ(attempt("new"), 1);
  EXPECT_EQ(attempt("w"), 1);
  ::chmod(scratch.path().c_str(), 0777);
  EXPECT_EQ(attempt("new"), 0);
}

TEST(Journal, R12_AVanishedDirectoryIsAnError) {
  const ScratchDirectory scratch;
  const std::string dir = scratch / "run";
  auto journal = Journal::open(dir, "w");
  ASSERT_TRUE(journal);
  ASSERT_TRUE(put(*journal, 1));
  std::filesystem::remove_all(dir);
  const Status status = put(*journal, 2);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
}

TEST(Journal, OversizedPayloadsAreRefused) {
  const ScratchDirectory scratch;
  Journal journal = open(scratch);
  EXPECT_EQ(journal.put(key_of(1), std::string(Journal::kMaxPayloadBytes + 1, 'x'), {}).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
