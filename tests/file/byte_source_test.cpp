#include "assay/file/byte_source.h"

#include <sys/stat.h>

#include <thread>

#include "assay/file/sequential_reader.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::HasSubstr;
using namespace testing_files;

class Sources : public ::testing::TestWithParam<SourceKind> {
 protected:
  ScratchDirectory scratch_;
};
INSTANTIATE_TEST_SUITE_P(All, Sources, ::testing::Values(SourceKind::kDisk, SourceKind::kMemory, SourceKind::kCallback), source_name);

std::string some_bytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

std::string read_text(const ByteSource& source, uint64_t offset, size_t length) {
  std::string out(length, '\0');
  EXPECT_TRUE(source.read(offset, std::as_writable_bytes(std::span(out))));
  return out;
}

TEST_P(Sources, ReadGivesTheBytesAtAnyPlace) {
  const std::string bytes = some_bytes(10'000);
  const auto source = make_source(GetParam(), bytes, scratch_);
  EXPECT_EQ(source->size(), bytes.size());
  EXPECT_THAT(source->name(), HasSubstr("file.under.test"));
  EXPECT_TRUE(source->still_intact());
  for (const auto& [offset, length] : {std::pair<uint64_t, size_t>{0, 10'000}, {0, 0}, {10'000, 0}, {1, 4096}, {5000, 5000}, {9999, 1}}) {
    EXPECT_TRUE(read_text(*source, offset, length) == bytes.substr(offset, length)) << offset << " " << length;
  }
}

TEST_P(Sources, ReadsPastTheEndAreRefusedAlsoWhereTheSumWraps) {
  const auto source = make_source(GetParam(), some_bytes(100), scratch_);
  std::vector<std::byte> out(10);
  for (const uint64_t offset : {uint64_t{91}, uint64_t{100}, uint64_t{1000}, ~uint64_t{0}, ~uint64_t{0} - 5}) {
    const Status status = source->read(offset, out);
    ASSERT_FALSE(status) << offset;
    EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
    EXPECT_TRUE(source->view(offset, 10).empty());
  }
}

TEST_P(Sources, AViewIsTheBytesOrNothing) {
  const std::string bytes = some_bytes(10'000);
  const auto source = make_source(GetParam(), bytes, scratch_);
  const auto view = source->view(100, 5000);
  if (GetParam() == SourceKind::kCallback) {
    EXPECT_TRUE(view.empty());
  } else {
    ASSERT_EQ(view.size(), 5000u);
    EXPECT_EQ(std::memcmp(view.data(), bytes.data() + 100, 5000), 0);
  }
}

TEST_P(Sources, SeveralThreadsReadAtOnce) {
  const std::string bytes = some_bytes(300'000);
  const auto source = make_source(GetParam(), bytes, scratch_);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 50; ++i) {
        const size_t offset = (t * 7919 + i * 104'729) % 200'000;
        std::string out(10'000, '\0');
        const bool read = source->read(offset, std::as_writable_bytes(std::span(out))).has_value();
        const auto view = source->view(offset, 10'000);
        wrong[t] +=
            !read || out != bytes.substr(offset, 10'000) || (!view.empty() && std::memcmp(view.data(), out.data(), out.size()) != 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST_P(Sources, TheSequentialReaderCrossesItsPieces) {
  const std::string bytes = some_bytes(3'000'000);  // three pieces of 1 MiB
  const auto source = make_source(GetParam(), bytes, scratch_);
  SequentialReader reader(*source, "test");
  size_t at = 0;
  for (size_t length = 1; at < bytes.size(); length = length * 3 + 1) {
    const size_t wanted = std::min(length, bytes.size() - at);
    EXPECT_EQ(reader.offset(), at);
    EXPECT_EQ(reader.remaining(), bytes.size() - at);
    const auto taken = reader.take(wanted, "piece");
    ASSERT_TRUE(taken);
    EXPECT_TRUE(*taken == std::string_view(bytes).substr(at, wanted)) << at;
    at += wanted;
  }
  reader.about("thing 7");
  const auto past = reader.take(1, "field");
  ASSERT_FALSE(past);
  EXPECT_THAT(past.error().message,
              ::testing::AllOf(HasSubstr("test: "), HasSubstr("thing 7: field at byte 3,000,000"), HasSubstr("0 are left")));
  EXPECT_FALSE(reader.number<uint64_t>("field"));
}

TEST(OpenFile, WhatIsNoFileIsRefused) {
  const ScratchDirectory scratch;
  EXPECT_EQ(open_file(scratch / "absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(open_file(scratch.path().string()).error().code, ErrorCode::kBadInput);
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_file(scratch / "pipe").error().code, ErrorCode::kBadInput) << "and it does not wait for a writer";
  EXPECT_EQ(open_file("/dev/zero").error().code, ErrorCode::kBadInput);
  put_file(scratch / "empty", "");
  const auto empty = open_file(scratch / "empty");
  ASSERT_TRUE(empty);
  EXPECT_EQ((*empty)->size(), 0u);
  EXPECT_TRUE((*empty)->view(0, 0).empty());
}

TEST(CallbackSource, ErrorsOfTheCallbackComeThrough) {
  const auto source =
      callback_source(100, [](uint64_t, std::span<std::byte>) -> Status { return fail(ErrorCode::kIo, "the line is dead"); });
  std::vector<std::byte> out(10);
  EXPECT_EQ(source->read(0, out).error().message, "the line is dead");
}

}  // namespace
}  // namespace assay
