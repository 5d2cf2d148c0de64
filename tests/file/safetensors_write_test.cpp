#include "assay/file/safetensors_write.h"

#include "assay/file/safetensors.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

const std::vector<SafetensorShape> kTensors = {{"a \"quoted\" name", {2, 3}}, {"empty", {0, 4}}, {"b", {5}}};
const std::vector<float> kFirst = {1, -2, 3, -4, 5, 1e-30f}, kSecond = {5, 4, 3, 2, 1};

std::vector<float> values_of(const Safetensors& file, std::string_view name) {
  const SafetensorInfo* const tensor = file.find(name);
  std::vector<float> values((tensor->end - tensor->begin) / sizeof(float));
  EXPECT_TRUE(file.read(*tensor, 0, std::as_writable_bytes(std::span(values))));
  return values;
}

TEST(SafetensorsWriter, TakesTensorsInAnyOrder) {
  const testing_files::ScratchDirectory scratch;
  const std::string path = scratch / "out.safetensors";
  auto writer = SafetensorsWriter::create(path, kTensors, {{"score", "fisher"}, {"unit", "nats^2"}}, {});
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(writer->write("b", kSecond));
  ASSERT_TRUE(writer->write("empty", {}));
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(writer->write(kTensors[0].name, kFirst));
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"out.safetensors"});
  EXPECT_EQ(std::filesystem::file_size(path), writer->bytes());
  const auto file = Safetensors::parse(*open_file(path));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->warnings().empty());
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"score", "fisher"}, {"unit", "nats^2"}}));
  ASSERT_EQ(file->tensors().size(), 3u);
  for (const SafetensorShape& tensor : kTensors) {
    EXPECT_EQ(file->find(tensor.name)->shape, tensor.shape);
    EXPECT_EQ(file->find(tensor.name)->dtype, "F32");
  }
  EXPECT_EQ(file->find(kTensors[0].name)->begin % 8, 0u);
  EXPECT_EQ(values_of(*file, kTensors[0].name), kFirst);
  EXPECT_EQ(values_of(*file, "b"), kSecond);
}

TEST(SafetensorsWriter, RefusesWhatWasNotAnnouncedAndLeavesNothing) {
  const testing_files::ScratchDirectory scratch;
  const std::string path = scratch / "out.safetensors";
  {
    auto writer = SafetensorsWriter::create(path, kTensors, {}, {});
    ASSERT_TRUE(writer);
    EXPECT_EQ(writer->write("c", kFirst).error().code, ErrorCode::kInternal);
    EXPECT_EQ(writer->write("b", kFirst).error().code, ErrorCode::kInternal);
    EXPECT_TRUE(writer->write("b", kSecond));
    EXPECT_EQ(writer->write("b", kSecond).error().code, ErrorCode::kInternal);
    EXPECT_EQ(writer->commit().error().code, ErrorCode::kInternal);  // two are missing
  }
  EXPECT_TRUE(scratch.names().empty());
  const std::vector<SafetensorShape> twice = {{"a", {1}}, {"a", {1}}}, large = {{"a", {uint64_t{1} << 40, uint64_t{1} << 40}}};
  EXPECT_EQ(SafetensorsWriter::create(path, twice, {}, {}).error().code, ErrorCode::kInternal);
  EXPECT_EQ(SafetensorsWriter::create(path, large, {}, {}).error().code, ErrorCode::kInternal);
  testing_files::put_file(path, "mine");
  EXPECT_EQ(SafetensorsWriter::create(path, kTensors, {}, {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(testing_files::get_file(path), "mine");
}

}  // namespace
}  // namespace assay
