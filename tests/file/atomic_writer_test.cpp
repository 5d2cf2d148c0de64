#include "assay/file/atomic_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>

#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using testing_files::get_file;
using testing_files::put_file;
using testing_files::ScratchDirectory;

// Runs `body` in a child whose limits and deaths do not touch the test; its value is the child's exit code (-1: killed).
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(AtomicWriter, NothingIsThereBeforeCommitAndAllAfter) {
  const ScratchDirectory scratch;
  {
    auto writer = AtomicWriter::create(scratch / "out", {});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->write(std::string_view("hello ")));
    ASSERT_TRUE(writer->write(testing_files::to_bytes("world")));
    EXPECT_EQ(writer->written(), 11u);
    EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
    ASSERT_EQ(scratch.names().size(), 1u);
    EXPECT_THAT(scratch.names().front(), ::testing::StartsWith("out.tmp-assay-" + std::to_string(::getpid()) + "-"));
    ASSERT_TRUE(writer->commit());
  }
  EXPECT_EQ(get_file(scratch / "out"), "hello world");
  EXPECT_THAT(scratch.names(), ElementsAre("out"));
}

TEST(AtomicWriter, PlacesAreWrittenInAnyOrder) {
  for (const uint64_t expected : {0, 12}) {  // not reserved, and reserved
    const ScratchDirectory scratch;
    auto writer = AtomicWriter::create(scratch / "out", {.expected_bytes = expected});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->write(std::string_view("head")));
    ASSERT_TRUE(writer->write_at(10, testing_files::to_bytes("zz")));
    EXPECT_EQ(writer->written(), 12u);
    ASSERT_TRUE(writer->write_at(4, testing_files::to_bytes("aaa")));
    EXPECT_EQ(writer->written(), 12u);
    ASSERT_TRUE(writer->commit());
    EXPECT_EQ(get_file(scratch / "out"), std::string("headaaa\0\0\0zz", 12));
  }
}

TEST(AtomicWriter, WithoutCommitTheOldFileStays) {
  const ScratchDirectory scratch;
  put_file(scratch / "out", "old");
  {
    auto writer = AtomicWriter::create(scratch / "out", {.force = true});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(std::string_view("new")));
  }
  EXPECT_EQ(get_file(scratch / "out"), "old");
  EXPECT_THAT(scratch.names(), ElementsAre("out"));
}

TEST(AtomicWriter, LargeAndSmallWritesKeepTheirOrder) {
  const ScratchDirectory scratch;
  auto writer = AtomicWriter::create(scratch / "out", {.expected_bytes = 10'000'000});
  ASSERT_TRUE(writer);
  std::string expected;
  for (size_t i = 0; i < 30; ++i) {
    const std::string piece(i % 7 == 0 ? 1'500'000 : 1 + i * 1000, static_cast<char>('a' + i));
    ASSERT_TRUE(writer->write(piece));
    expected += piece;
  }
  // Blocks were reserved for more than was written: the length is that of the bytes.
  const auto temporary = writer->flushed_path();
  ASSERT_TRUE(temporary);
  EXPECT_TRUE(get_file(*temporary) == expected);
  ASSERT_TRUE(writer->commit());
  EXPECT_TRUE(get_file(scratch / "out") == expected);
}

TEST(AtomicWriter, AnExistingFileNeedsForce) {
  const ScratchDirectory scratch;
  put_file(scratch / "out", "old");
  const auto refused = AtomicWriter::create(scratch / "out", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("--force"));
  ASSERT_TRUE(write_text_file(scratch / "out", "new", {.force = true}));
  EXPECT_EQ(get_file(scratch / "out"), "new");
}

TEST(AtomicWriter, AFileThatAppearsMeanwhileIsNotReplaced) {
  const ScratchDirectory scratch;
  auto writer = AtomicWriter::create(scratch / "out", {});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->write(std::string_view("ours")));
  put_file(scratch / "out", "theirs");
  const Status late = writer->commit();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kUsage);
  EXPECT_EQ(get_file(scratch / "out"), "theirs");
}

TEST(AtomicWriter, TheOutputMayNotBeAnInputByAnyName) {
  const ScratchDirectory scratch;
  put_file(scratch / "in", "input");
  std::filesystem::create_hard_link(scratch / "in", scratch / "hard");
  std::filesystem::create_symlink("in", scratch / "soft");
  for (const char* name : {"in", "hard", "soft"}) {
    const auto refused = AtomicWriter::create(scratch / name, {.force = true, .inputs = {scratch / "in"}});
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr("is the input"));
  }
  put_file(scratch / "other", "x");
  EXPECT_TRUE(AtomicWriter::create(scratch / "other", {.force = true, .inputs = {scratch / "in", scratch / "absent"}}));
}

TEST(AtomicWriter, ALinkKeepsPointingWhereItPoints) {
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "real");
  put_file(scratch / "real/file", "old");
  std::filesystem::create_symlink("real/file", scratch / "link");
  ASSERT_TRUE(write_text_file(scratch / "link", "new", {.force = true}));
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "link"));
  EXPECT_EQ(get_file(scratch / "real/file"), "new");
}

TEST(AtomicWriter, WhatIsNoFileNameIsRefused) {
  const ScratchDirectory scratch;
  EXPECT_EQ(AtomicWriter::create("", {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicWriter::create(scratch.path().string(), {.force = true}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicWriter::create(scratch / "new/", {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicWriter::create("/dev/null", {.force = true}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicWriter::create(scratch / "nowhere/out", {}).error().code, ErrorCode::kIo);
}

TEST(AtomicWriter, SpaceIsCheckedFirst) {
  const ScratchDirectory scratch;
  const auto refused = AtomicWriter::create(scratch / "out", {.expected_bytes = uint64_t{1} << 60});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(refused.error().message, HasSubstr("needs 1.00 EiB"));
  EXPECT_THAT(scratch.names(), IsEmpty());
}

// A file size limit stands for a full disk: reserving fails, and where the size is unknown, a later write does.
TEST(AtomicWriter, AFullDiskLeavesNothing) {
  const ScratchDirectory scratch;
  for (const uint64_t expected : {uint64_t{0}, uint64_t{8} << 20}) {
    const int code = in_child([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      const struct rlimit limit{4 << 20, 4 << 20};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      auto writer = AtomicWriter::create(scratch / "out", {.expected_bytes = expected});
      Status status = writer ? Status{} : Status(fail(writer.error()));
      for (int i = 0; i < 8 && status; ++i) status = writer->write(std::string(1 << 20, 'x'));
      if (status) status = writer->commit();
      return status ? 1 : status.error().code == ErrorCode::kNoSpace ? 0 : 2;
    });
    EXPECT_EQ(code, 0) << expected;
    EXPECT_THAT(scratch.names(), IsEmpty()) << expected;
  }
}

TEST(AtomicWriter, LeftoversOfKilledWritersAreRemovedAndThoseOfLivingOnesAreNot) {
  const ScratchDirectory scratch;
  const int killed = in_child([&] {
    auto writer = AtomicWriter::create(scratch / "out", {});
    if (!writer || !writer->write(std::string_view("half"))) return 1;
    ::raise(SIGKILL);
    return 2;
  });
  EXPECT_EQ(killed, -1);
  ASSERT_EQ(scratch.names().size(), 1u);
  put_file(scratch / "out2.tmp-assay-1-1", "another target's");
  auto living = AtomicWriter::create(scratch / "out", {});
  ASSERT_TRUE(living);
  EXPECT_EQ(scratch.names().size(), 2u) << "the dead one's is gone";
  ASSERT_TRUE(write_text_file(scratch / "out", "second", {}));
  ASSERT_TRUE(living->write(std::string_view("first")));
  EXPECT_FALSE(living->commit()) << "the second was faster";
  EXPECT_EQ(get_file(scratch / "out"), "second");
}

TEST(AtomicWriter, FilesGetTheUsualPermissions) {
  const ScratchDirectory scratch;
  const mode_t mask = ::umask(022);
  ASSERT_TRUE(write_text_file(scratch / "out", "x", {}));
  ::umask(mask);
  struct stat status{};
  ASSERT_EQ(::stat((scratch / "out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST(TextFile, IsReadUpToItsLimit) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_text_file(scratch / "text", "twelve bytes", {}));
  EXPECT_EQ(*read_text_file(scratch / "text"), "twelve bytes");
  EXPECT_EQ(*read_text_file(scratch / "text", 12), "twelve bytes");
  EXPECT_EQ(read_text_file(scratch / "text", 11).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(read_text_file(scratch / "absent").error().code, ErrorCode::kNotFound);
  put_file(scratch / "empty", "");
  EXPECT_EQ(*read_text_file(scratch / "empty"), "");
}

}  // namespace
}  // namespace assay
