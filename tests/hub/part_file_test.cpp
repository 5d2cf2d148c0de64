// Files in parts: written in any order, gone on with, and begun anew where what was left does not fit.
#include "assay/hub/part_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace assay {
namespace {

namespace fs = std::filesystem;

class PartFileTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        fs::path(testing::TempDir()) / ("assay-parts-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::unique_ptr<PartFile> open(uint64_t size = 10, uint64_t part = 4) const {
    auto file = PartFile::open(target(), size, part);
    EXPECT_TRUE(file) << file.error().message;
    return file ? std::move(*file) : nullptr;
  }
  static void write(PartFile& file, size_t part, std::string_view text) { ASSERT_TRUE(file.write(part, std::as_bytes(std::span(text)))); }
  std::string target() const { return (directory_ / "blobs" / "target").string(); }
  // Two parts of three, under a validator, as a killed process leaves them.
  void leave() const {
    const auto file = open();
    write(*file, 2, "89");
    write(*file, 0, "01");
    ASSERT_TRUE(file->set_validator("\"tag\""));
  }

  fs::path directory_;
};

TEST_F(PartFileTest, PartsInAnyOrderMakeTheFile) {
  const auto file = open();
  ASSERT_EQ(file->parts(), 3u);
  EXPECT_EQ(file->end(2), 10u);
  write(*file, 1, "4567");
  write(*file, 2, "89");
  write(*file, 0, "01");
  EXPECT_FALSE(file->complete(0));
  write(*file, 0, "23");
  EXPECT_EQ(file->done(), 10u);
  EXPECT_FALSE(fs::exists(target()));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(file->move_to_target());
  std::ifstream bytes(target());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(bytes), {}), "0123456789");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_ / "blobs"), {}), 1);
}

TEST_F(PartFileTest, GoesOnWithWhatWasLeft) {
  leave();
  const auto file = open();
  EXPECT_EQ(file->done(0), 2u);
  EXPECT_EQ(file->done(1), 0u);
  EXPECT_TRUE(file->complete(2));
  EXPECT_EQ(file->validator(), "\"tag\"");
  ASSERT_TRUE(file->restart());
  EXPECT_EQ(file->done(), 0u);
  EXPECT_EQ(file->validator(), "");
}

TEST_F(PartFileTest, BeginsAnewWhereWhatWasLeftDoesNotFit) {
  using Damage = std::function<void()>;
  const std::string bytes = target() + ".assay-part", record = target() + ".assay-parts";
  const auto poke = [&](std::streamoff at, char value) {
    std::fstream file(record, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put(value);
  };
  const Damage damages[] = {
      [&] { fs::resize_file(bytes, 9); },                           // shorter than its size
      [&] { fs::remove(bytes); },                                   // gone
      [&] { fs::resize_file(record, 100); },                        // a torn head
      [&] { fs::resize_file(record, fs::file_size(record) - 1); },  // a torn count
      [&] { poke(0, 'x'); },                                        // something else
      [&] { poke(16, 11); },                                        // another size
      [&] { poke(32 + 255, 'x'); },                                 // a validator without an end
      [&] { poke(32 + 256, 5); },                                   // more than the part has
  };
  leave();
  EXPECT_EQ(open()->done(), 4u);  // the control
  for (const Damage& damage : damages) {
    fs::remove_all(directory_);
    leave();
    damage();
    const auto file = open();
    EXPECT_EQ(file->done(), 0u) << &damage - damages;
    EXPECT_EQ(file->validator(), "");
    EXPECT_EQ(fs::file_size(bytes), 10u);
  }
  fs::remove_all(directory_);
  leave();
  EXPECT_EQ(open(10, 5)->done(), 0u);  // parts of another size
}

TEST_F(PartFileTest, LooksWithoutTouching) {
  EXPECT_EQ(PartFile::done_before(target(), 10, 4), 0u);
  EXPECT_FALSE(fs::exists(directory_));
  leave();
  EXPECT_EQ(PartFile::done_before(target(), 10, 4), 4u);
  EXPECT_EQ(PartFile::done_before(target(), 10, 5), 0u);
  EXPECT_EQ(open()->done(), 4u);
}

TEST_F(PartFileTest, CountsWhatIsOnDisk) {
  EXPECT_EQ(PartFile::bytes_on_disk(target()), 0u);
  leave();
  EXPECT_LE(PartFile::bytes_on_disk(target()), 10u);
}

}  // namespace
}  // namespace assay
