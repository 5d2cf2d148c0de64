// A worker that dies at any moment leaves every acknowledged unit and nothing of the others.
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/store/failing_disk.h"
#include "tests/store/journal_units.h"

namespace assay {
namespace {

using testing_store::FailingDisk;
using testing_store::Fault;
using testing_store::fill;
using testing_store::held;
using testing_store::put;
using testing_store::ScratchDirectory;

int exit_status(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Dies at the n-th write (half of it done), sync, truncation or deletion of a put, for every n.
TEST(JournalCrash, DeathAtEveryChangeOfAFile) {
  for (const int before : {0, 2}) {
    int n = 0, torn = 0;
    for (bool died = true; died; ++n) {
      ASSERT_LT(n, 200);
      const ScratchDirectory scratch;
      fill(scratch, before);
      const pid_t child = ::fork();
      if (child == 0) {
        FailingDisk disk;
        disk.arm(Fault::kDie, n);
        auto journal = Journal::open(scratch.path().string(), "w");
        ::_exit(journal && put(*journal, before) ? 0 : 1);
      }
      const int status = exit_status(child);
      died = status == FailingDisk::kDied;
      EXPECT_TRUE(died || status == 0) << status;
      auto journal = Journal::open(scratch.path().string(), "w");
      ASSERT_TRUE(journal) << n << journal.error().message;
      EXPECT_TRUE(journal->warnings().empty()) << n;
      const std::string now = held(*journal, before + 1);
      const std::string old = std::string("01").substr(0, static_cast<size_t>(before)), done = old + std::to_string(before);
      EXPECT_TRUE(now == old || now == done) << n << " " << now;
      EXPECT_TRUE(died || now == done) << now;
      torn += now == old;
      EXPECT_TRUE(put(*journal, before));
    }
    EXPECT_GT(torn, 5);
  }
}

// kill -9 at random instants; the child reports each acknowledged unit through a pipe.
TEST(JournalCrash, KilledAtRandomInstants) {
  const ScratchDirectory scratch;
  int next = 0;
  for (int round = 0; round < 40; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = Journal::open(scratch.path().string(), "w");
      if (!journal) ::_exit(1);
      for (int i = next;; ++i) {
        if (!put(*journal, i) || ::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(2);
      }
    }
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + round * 2));
    ::kill(child, SIGKILL);
    EXPECT_EQ(exit_status(child), -SIGKILL);
    int acknowledged = next - 1;
    for (int i = 0; ::read(ends[0], &i, sizeof i) == sizeof i;) acknowledged = i;
    ::close(ends[0]);
    auto journal = Journal::open(scratch.path().string(), "w");
    ASSERT_TRUE(journal) << journal.error().message;
    for (; next <= acknowledged; ++next) ASSERT_TRUE((*journal->get(testing_store::key_of(next))).has_value()) << next;
    // The one in flight may or may not be there, none after it is.
    if ((*journal->get(testing_store::key_of(next))).has_value()) ++next;
    EXPECT_FALSE((*journal->get(testing_store::key_of(next))).has_value());
  }
  EXPECT_GT(next, 20);
}

}  // namespace
}  // namespace assay
