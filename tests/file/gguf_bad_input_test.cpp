// Every case G1-G45 of bad GGUF input, by name: a control that loads, then one fault, a typed error that names field, byte and
// tensor, and the same verdict from disk, from memory and from a callback that gives 4 KiB at a time.
#include <algorithm>
#include <chrono>

#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "assay/file/gguf_semantics.h"
#include "tests/file/raw_gguf.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing_files;

constexpr uint64_t kHuge = uint64_t{1} << 40;
constexpr uint64_t kAllOnes = ~uint64_t{0};

class GgufBadInput : public ::testing::TestWithParam<SourceKind> {
 protected:
  void SetUp() override { accept(RawGguf().bytes(), "the control"); }

  Result<Gguf> load(const std::string& bytes) const { return Gguf::parse(make_source(GetParam(), bytes, scratch_)); }

  Gguf accept(const std::string& bytes, const std::string& label) const {
    auto file = load(bytes);
    if (file) return std::move(*file);
    ADD_FAILURE() << label << ": " << file.error().message;
    return {};
  }

  // Refused with `code` and a message that has every fragment.
  void refuse(const std::string& bytes, ErrorCode code, const std::vector<std::string>& fragments) const {
    const auto file = load(bytes);
    ASSERT_FALSE(file) << "accepted; expected: " << fragments.front();
    EXPECT_EQ(name_of(file.error().code), name_of(code)) << file.error().message;
    EXPECT_THAT(file.error().message, HasSubstr("file.under.test"));
    for (const std::string& fragment : fragments) EXPECT_THAT(file.error().message, HasSubstr(fragment));
  }
  void refuse(const RawGguf& file, const std::vector<std::string>& fragments) const {
    refuse(file.bytes(), ErrorCode::kBadInput, fragments);
  }

  static RawGguf with_key(const std::string& key) {
    RawGguf file;
    file.keys.push_back(key);
    return file;
  }
  // The fault is put into the second tensor, 'blk.0.b'.
  static RawGguf with_tensor(RawTensor tensor) {
    RawGguf file;
    file.tensors[1] = std::move(tensor);
    return file;
  }
  // Byte of the first thing after the control's keys / of the second tensor's info.
  static uint64_t end_of_keys() {
    RawGguf file;
    file.tensors.clear();
    return file.header().size();
  }
  static uint64_t second_info() { return end_of_keys() + RawTensor().bytes().size(); }
  static std::string at(uint64_t byte) { return "at byte " + group_digits(byte); }

  ScratchDirectory scratch_;
};

INSTANTIATE_TEST_SUITE_P(Sources, GgufBadInput, ::testing::Values(SourceKind::kDisk, SourceKind::kMemory, SourceKind::kCallback),
                         source_name);

TEST_P(GgufBadInput, G1_EmptyFile) { refuse("", ErrorCode::kBadInput, {"magic at byte 0", "the file is empty"}); }

TEST_P(GgufBadInput, G2_EveryPrefix) {
  const std::string whole = RawGguf().bytes();
  const size_t data_end = whole.size() - 20;  // the last tensor's padding may be missing
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto file = load(whole.substr(0, size));
    ASSERT_EQ(file.has_value(), size >= data_end) << size;
    if (file) {
      EXPECT_THAT(file->warnings(), ElementsAre(HasSubstr("padding after the last tensor")));
    } else {
      EXPECT_EQ(file.error().code, ErrorCode::kBadInput) << size;
    }
  }
}

TEST_P(GgufBadInput, G3_Magic) {
  RawGguf file;
  file.magic = "GGUX";
  refuse(file, {"magic at byte 0", "'GGUX'", "'GGUF' is needed"});
}

TEST_P(GgufBadInput, G4_AnotherFormatIsNamed) {
  refuse("<!DOCTYPE html><html><body>404</body></html>", ErrorCode::kBadInput, {"magic at byte 0", "HTML page"});
  refuse("  \n<html>", ErrorCode::kBadInput, {"HTML page"});
  refuse("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", ErrorCode::kBadInput, {"Git LFS pointer"});
  refuse(std::string("PK\x03\x04\x14\0\0\0", 8), ErrorCode::kBadInput, {"zip archive"});
  refuse("tjgg" + std::string(100, '\1'), ErrorCode::kBadInput, {"pre-GGUF"});
}

TEST_P(GgufBadInput, G5_VersionZero) {
  RawGguf file;
  file.version = 0;
  refuse(file, {"version at byte 4", "is 0"});
}

TEST_P(GgufBadInput, G6_VersionOne) {
  RawGguf file;
  file.version = 1;
  refuse(file.bytes(), ErrorCode::kUnsupported, {"version at byte 4", "is 1", "convert"});
}

TEST_P(GgufBadInput, G7_VersionFour) {
  RawGguf file;
  file.version = 4;
  refuse(file.bytes(), ErrorCode::kUnsupported, {"version at byte 4", "is 4", "newer"});
}

TEST_P(GgufBadInput, G8_BigEndian) {
  RawGguf file;
  file.version = 0x03000000;
  refuse(file.bytes(), ErrorCode::kUnsupported, {"version at byte 4", "is 3 in big-endian order"});
}

TEST_P(GgufBadInput, G9_TensorCountMinusOne) {
  RawGguf file;
  file.n_tensors = kAllOnes;
  refuse(file, {"tensor count at byte 8", "is -1"});
}

TEST_P(GgufBadInput, G10_TensorCount2To40) {
  RawGguf file;
  file.n_tensors = kHuge;
  refuse(file, {"tensor count at byte 8", "is 1,099,511,627,776", "hold at most"});
  file.n_tensors = 3;  // what follows the second info is padding and data
  refuse(file, {"tensor 2"});
}

TEST_P(GgufBadInput, G11_KeyCountMinusOne) {
  RawGguf file;
  file.n_keys = kAllOnes;
  refuse(file, {"metadata count at byte 16", "is -1"});
}

TEST_P(GgufBadInput, G12_KeyCount2To40) {
  RawGguf file;
  file.n_keys = kHuge;
  refuse(file, {"metadata count at byte 16", "is 1,099,511,627,776"});
}

TEST_P(GgufBadInput, G13_KeyLengthMax) {
  refuse(with_key(raw(kAllOnes) + "key"), {"metadata entry 2", "key " + at(end_of_keys()), "has length 18,446,744,073,709,551,615"});
}

TEST_P(GgufBadInput, G14_KeyLengthBeyondTheRest) {
  RawGguf file = with_key(raw<uint64_t>(5000) + "key" + raw<uint32_t>(4) + raw<uint32_t>(1));
  refuse(file, {"metadata entry 2", "key " + at(end_of_keys() + 8), "needs 5,000 bytes"});
}

TEST_P(GgufBadInput, G15_EmptyKey) { refuse(with_key(raw_u32("", 1)), {"key " + at(end_of_keys()), "is empty"}); }

TEST_P(GgufBadInput, G16_KeyOf65536Bytes) {
  accept(with_key(raw_u32(std::string(65535, 'k'), 1)).bytes(), "65,535 bytes");
  refuse(with_key(raw_u32(std::string(65536, 'k'), 1)), {"key " + at(end_of_keys()), "has length 65,536", "at most 65,535"});
}

TEST_P(GgufBadInput, G17_KeyThatIsNotText) {
  accept(with_key(raw_u32("caf\xc3\xa9", 1)).bytes(), "UTF-8");
  refuse(with_key(raw_u32(std::string("a\0b", 3), 1)), {"key " + at(end_of_keys()), "'a\\x00b' contains a NUL byte"});
  for (const char* text : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc3"})
    refuse(with_key(raw_u32(text, 1)), {"key " + at(end_of_keys()), "is not UTF-8"});
}

TEST_P(GgufBadInput, G18_DuplicateKey) {
  refuse(with_key(raw_u32("llama.block_count", 1)), {"key 'llama.block_count'", at(end_of_keys()), "is given twice"});
}

// Linear time: ten times the keys must not take a hundred times as long. Bounds are loose, the machine is shared.
TEST_P(GgufBadInput, G19_HundredThousandKeys) {
  const auto seconds = [&](int count) {
    RawGguf file;
    for (int i = 0; i < count; ++i) file.keys.push_back(raw_u32("key." + std::to_string(i), 7));
    const std::string bytes = file.bytes();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(accept(bytes, "many keys").metadata().entries().size(), static_cast<size_t>(count) + 2);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_LT(seconds(100'000), 40 * std::max(seconds(10'000), 0.005));
  RawGguf file;
  file.keys.assign(100'000, raw_u32("k", 7));
  refuse(file, {"key 'k'", "is given twice"});
}

TEST_P(GgufBadInput, G20_ValueType) {
  for (const uint32_t type : {13u, 0x7fffffffu, 0xffffffffu}) {
    refuse(with_key(raw_key("k", type) + raw<uint64_t>(1)), {"key 'k': value type " + at(end_of_keys() + 9), "is " + std::to_string(type)});
    refuse(with_key(raw_array("k", type, 1, "12345678")),
           {"key 'k': array element type " + at(end_of_keys() + 13), "is " + std::to_string(type)});
  }
}

TEST_P(GgufBadInput, G21_StringOfOneTerabyte) {
  accept(with_key(raw_key("k", 8) + raw_string("text")).bytes(), "string");
  refuse(with_key(raw_key("k", 8) + raw(kHuge) + "text"), {"key 'k': string " + at(end_of_keys() + 21), "needs 1,099,511,627,776 bytes"});
  refuse(with_key(raw_key("k", 8) + raw(kAllOnes) + "text"), {"key 'k': string"});
}

TEST_P(GgufBadInput, G22_ArrayLengthTimesSizeWraps) {
  accept(with_key(raw_array("k", 10, 2, std::string(16, '\1'))).bytes(), "array");
  refuse(with_key(raw_array("k", 10, (uint64_t{1} << 61) + 1, std::string(8, '\1'))),
         {"key 'k': array " + at(end_of_keys() + 25), "has 2,305,843,009,213,693,953 elements of 8 bytes"});
  refuse(with_key(raw_array("k", 8, uint64_t{1} << 61, std::string(8, '\0'))), {"key 'k': array", "strings"});
}

TEST_P(GgufBadInput, G23_ArrayBeyondTheRest) {
  refuse(with_key(raw_array("k", 4, 1'000'000'000, "")), {"key 'k': array " + at(end_of_keys() + 25), "has 1,000,000,000 elements"});
  refuse(with_key(raw_array("k", 0, 5000, "abc")), {"key 'k': array", "has 5,000 elements of 1 bytes"});
}

TEST_P(GgufBadInput, G24_StringInArrayPastTheEnd) {
  accept(with_key(raw_array("k", 8, 2, raw_string("one") + raw_string("two"))).bytes(), "strings");
  refuse(with_key(raw_array("k", 8, 2, raw_string("one") + raw<uint64_t>(9999) + "two")),
         {"key 'k': string 1 of the array " + at(end_of_keys() + 25 + 11), "has length 9,999"});
}

TEST_P(GgufBadInput, G25_NestedArrays) {
  std::string deep = raw_key("k", 9);
  for (int i = 0; i < 10'000; ++i) deep += raw<uint32_t>(9) + raw<uint64_t>(1);
  refuse(with_key(deep + raw<uint32_t>(4) + raw<uint64_t>(1) + raw<uint32_t>(7)).bytes(), ErrorCode::kUnsupported,
         {"key 'k': array element type " + at(end_of_keys() + 13), "is array"});
}

TEST_P(GgufBadInput, G26_BoolOfTwo) {
  accept(with_key(raw_key("k", 7) + "\1").bytes(), "bool");
  refuse(with_key(raw_key("k", 7) + "\2"), {"key 'k': value " + at(end_of_keys() + 13), "is 2"});
  refuse(with_key(raw_array("k", 7, 3, std::string("\1\0\xff", 3))), {"key 'k': array element " + at(end_of_keys() + 27), "is 255"});
}

TEST_P(GgufBadInput, G27_Alignment) {
  RawGguf control = with_key(raw_u32("general.alignment", 64));
  control.alignment = 64;
  control.tensors[1].offset = 64;
  control.data = std::string(128, 'D');
  EXPECT_EQ(accept(control.bytes(), "alignment 64").alignment(), 64u);
  for (const uint32_t alignment : {0u, 1u, 4u, 13u, 24u, 1u << 31}) {
    refuse(with_key(raw_u32("general.alignment", alignment)),
           {"key 'general.alignment': value", "is " + group_digits(alignment), "power of two from 8"});
  }
  refuse(with_key(raw_key("general.alignment", 10) + raw<uint64_t>(32)),
         {"key 'general.alignment': value", "has type u64", "u32 is needed"});
  refuse(with_key(raw_key("general.alignment", 8) + raw_string("32")), {"key 'general.alignment': value", "has type string"});
  RawGguf twice = with_key(raw_u32("general.alignment", 32));
  twice.keys.push_back(raw_u32("general.alignment", 32));
  refuse(twice, {"key 'general.alignment'", "is given twice"});
}

// 64 bytes are what the specification allows; llama.cpp stops at 63.
TEST_P(GgufBadInput, G28_TensorName) {
  EXPECT_NE(accept(with_tensor({.name = std::string(64, 'n'), .dims = {3}, .offset = 32}).bytes(), "64 bytes").find(std::string(64, 'n')),
            nullptr);
  refuse(with_tensor({.name = std::string(65, 'n'), .dims = {3}, .offset = 32}), {"tensor 1: name " + at(second_info()), "has length 65"});
  refuse(with_tensor({.name = "", .dims = {3}, .offset = 32}), {"tensor 1: name " + at(second_info()), "is empty"});
  refuse(with_tensor({.name = std::string("a\0b", 3), .dims = {3}, .offset = 32}), {"tensor 1: name", "contains a NUL byte"});
  refuse(with_tensor({.name = "\xff", .dims = {3}, .offset = 32}), {"tensor 1: name", "is not UTF-8"});
  refuse(with_tensor({.name = "b", .dims = {3}, .offset = 32, .name_length = kAllOnes}),
         {"tensor 1: name", "has length 18,446,744,073,709,551,615"});
}

TEST_P(GgufBadInput, G29_DuplicateTensor) {
  refuse(with_tensor({.dims = {3}, .offset = 32}), {"tensor 'a': name " + at(second_info()), "is given twice"});
}

TEST_P(GgufBadInput, G30_HundredThousandTensors) {
  const auto seconds = [&](uint64_t count) {
    RawGguf file;
    file.tensors.clear();
    for (uint64_t i = 0; i < count; ++i) file.tensors.push_back({.name = "blk.0." + std::to_string(i), .dims = {8}, .offset = 32 * i});
    file.data = std::string(32 * count, 'D');
    const std::string bytes = file.bytes();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(accept(bytes, "many tensors").tensors().size(), count);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_LT(seconds(100'000), 40 * std::max(seconds(10'000), 0.005));
}

// No dimensions: a scalar as NumPy writes it; gguf-py and llama.cpp take it, so it is read as one value, with a warning.
TEST_P(GgufBadInput, G31_NumberOfDimensions) {
  const Gguf scalar = accept(with_tensor({.name = "blk.0.b", .dims = {}, .offset = 32}).bytes(), "0 dimensions");
  ASSERT_NE(scalar.find("blk.0.b"), nullptr);
  EXPECT_EQ(scalar.find("blk.0.b")->elements(), 1u);
  EXPECT_EQ(scalar.find("blk.0.b")->n_dims, 1u);
  EXPECT_THAT(scalar.warnings(), ::testing::Contains(HasSubstr("no dimensions")));
  accept(with_tensor({.name = "blk.0.b", .dims = {3, 1, 1, 1}, .offset = 32}).bytes(), "4 dimensions");
  refuse(with_tensor({.name = "b", .dims = {3, 1, 1, 1, 1}, .offset = 32}),
         {"tensor 'b': number of dimensions " + at(second_info() + 9), "is 5"});
  refuse(with_tensor({.name = "b", .dims = {3}, .offset = 32, .n_dims = 0xffffffff}),
         {"tensor 'b': number of dimensions", "is 4,294,967,295"});
}

TEST_P(GgufBadInput, G32_NegativeDimension) {
  refuse(with_tensor({.name = "b", .dims = {3, kAllOnes}, .offset = 32}), {"tensor 'b': dimension 1 " + at(second_info() + 21), "is -1"});
}

// llama.cpp loads a tensor without values; no model has one, and every later room may divide by a row length.
TEST_P(GgufBadInput, G33_DimensionZero) {
  refuse(with_tensor({.name = "b", .dims = {0}, .offset = 32}), {"tensor 'b': dimension 0 " + at(second_info() + 13), "is 0"});
  refuse(with_tensor({.name = "b", .dims = {3, 0, 3}, .offset = 32}), {"tensor 'b': dimension 1", "is 0"});
}

TEST_P(GgufBadInput, G34_DimensionsWrapToZero) {
  const uint64_t half = uint64_t{1} << 32;
  refuse(with_tensor({.name = "b", .dims = {half, half}, .type = 24, .offset = 32}),
         {"tensor 'b': dimensions " + at(second_info() + 9), "product overflows"});
  refuse(with_tensor({.name = "b", .dims = {half, half, 8, 8}, .offset = 32}), {"tensor 'b': dimensions", "product overflows"});
}

TEST_P(GgufBadInput, G35_DimensionsWrapNegative) {
  refuse(with_tensor({.name = "b", .dims = {static_cast<uint64_t>(INT64_MAX), 2}, .type = 24, .offset = 32}),
         {"tensor 'b': dimensions", "product overflows"});
  refuse(with_tensor({.name = "b", .dims = {static_cast<uint64_t>(INT64_MAX), 3}, .type = 24, .offset = 32}),
         {"tensor 'b': dimensions", "product overflows"});
}

TEST_P(GgufBadInput, G36_DimensionsTimesTypeWrap) {
  refuse(with_tensor({.name = "b", .dims = {uint64_t{1} << 62}, .offset = 32}), {"tensor 'b': dimensions", "size in bytes that overflows"});
  refuse(with_tensor({.name = "b", .dims = {(uint64_t{1} << 62) + 1}, .offset = 32}),
         {"tensor 'b': dimensions", "size in bytes that overflows"});
}

// 2^63 - 1 bytes are representable, rounded up to the alignment they are not.
TEST_P(GgufBadInput, G37_PaddedSizeWraps) {
  refuse(with_tensor({.name = "b", .dims = {static_cast<uint64_t>(INT64_MAX)}, .type = 24, .offset = 32}),
         {"tensor 'b': data offset", "passes 2^63"});
}

TEST_P(GgufBadInput, G38_SumOfSizesWraps) {
  RawGguf file;
  const uint64_t quarter = uint64_t{1} << 61;
  file.tensors.clear();
  for (uint64_t i = 0; i < 9; ++i)
    file.tensors.push_back({.name = "t" + std::to_string(i), .dims = {quarter}, .type = 24, .offset = i * quarter});
  refuse(file, {"tensor 't3': data offset", "passes 2^63"});
}

TEST_P(GgufBadInput, G39_TensorType) {
  for (const uint32_t removed : {4u, 5u, 31u, 33u, 36u, 38u}) {
    refuse(with_tensor({.name = "b", .dims = {256}, .type = removed, .offset = 32}).bytes(), ErrorCode::kUnsupported,
           {"tensor 'b': type " + at(second_info() + 21), "ggml type id " + std::to_string(removed), "removed"});
  }
  for (const uint32_t future : {43u, 0x7fffffffu, 0xffffffffu}) {
    refuse(with_tensor({.name = "b", .dims = {256}, .type = future, .offset = 32}).bytes(), ErrorCode::kUnsupported,
           {"tensor 'b': type", "ggml type id " + std::to_string(future), "newer"});
  }
}

TEST_P(GgufBadInput, G40_RowNotAMultipleOfTheBlock) {
  RawGguf control = with_tensor({.name = "b", .dims = {32}, .type = 8, .offset = 32});
  control.data = std::string(96, 'D');
  accept(control.bytes(), "a whole block");
  refuse(with_tensor({.name = "b", .dims = {31}, .type = 8, .offset = 32}),
         {"tensor 'b': dimensions", "rows of 31 weights", "Q8_0 needs a multiple of 32"});
  refuse(with_tensor({.name = "b", .dims = {16, 2}, .type = 8, .offset = 32}), {"tensor 'b': dimensions", "rows of 16 weights"});
}

TEST_P(GgufBadInput, G41_Offset) {
  const auto moved = [](uint64_t offset) { return with_tensor({.name = "b", .dims = {3}, .offset = offset}); };
  accept(moved(32).bytes(), "where the first tensor ends");
  refuse(moved(33), {"tensor 'b': data offset " + at(second_info() + 25), "is 33", "not a multiple of the alignment"});
  refuse(moved(64), {"tensor 'b': data offset", "is 64", "a hole"});
  refuse(moved(0), {"tensor 'b': data offset", "is 0", "overlaps"});
  refuse(moved(kAllOnes), {"tensor 'b': data offset", "is 18,446,744,073,709,551,615"});
  refuse(moved(kAllOnes - 31), {"tensor 'b': data offset", "a hole"});  // base + offset lands inside the file again
  RawGguf swapped;
  std::swap(swapped.tensors[0], swapped.tensors[1]);
  refuse(swapped, {"tensor 'blk.0.b': data offset", "is 32", "out of order"});
}

// Parsing reads no tensor data, yet checks where it would be.
TEST_P(GgufBadInput, G42_ExtentPastTheEnd) {
  RawGguf file = with_tensor({.name = "b", .dims = {4096}, .offset = 32});
  refuse(file, {"tensor 'b': data " + at(file.bytes().size() - file.data.size() + 32), "the file has " + group_digits(file.bytes().size()),
                "truncated"});
}

TEST_P(GgufBadInput, G43_LastTensorShortByOneByte) {
  RawGguf file;
  file.data.resize(44);
  accept(file.bytes(), "no padding at the end");
  file.data.resize(43);
  refuse(file, {"tensor 'blk.0.b': data", "truncated download?"});
  file.data = RawGguf().data + "surplus";
  EXPECT_THAT(accept(file.bytes(), "surplus").warnings(), ElementsAre(HasSubstr("7 bytes follow the last tensor")));
}

TEST(GgufBadInputOnDisk, G44_TheFileChangesAfterOpening) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "m.gguf";
  RawGguf file;
  file.tensors[1] = {.name = "big", .dims = {1 << 18}, .offset = 32};
  file.data = std::string(32 + (1 << 20), 'D');
  const auto opened = [&] {
    put_file(path, file.bytes());
    return Gguf::open(path);
  };
  const auto control = opened();
  ASSERT_TRUE(control);
  ASSERT_TRUE(control->source().still_intact());
  ASSERT_TRUE(control->read(*control->find("big")));

  const auto shrunk = opened();
  ASSERT_TRUE(shrunk);
  std::filesystem::resize_file(path, 4096);
  EXPECT_EQ(shrunk->source().still_intact().error().code, ErrorCode::kIo);
  const auto data = shrunk->read(*shrunk->find("big"));  // pread: an error, no SIGBUS
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().code, ErrorCode::kIo);
  EXPECT_THAT(data.error().message, AllOf(HasSubstr("ends at byte 4,096"), HasSubstr("truncated while in use")));

  const auto replaced = opened();
  ASSERT_TRUE(replaced);
  put_file(path + ".new", file.bytes());
  std::filesystem::rename(path + ".new", path);
  EXPECT_THAT(replaced->source().still_intact().error().message, HasSubstr("replaced by another file"));
  EXPECT_TRUE(replaced->read(*replaced->find("big"))) << "the old file lives as long as it is open";

  const auto removed = opened();
  std::filesystem::remove(path);
  EXPECT_THAT(removed->source().still_intact().error().message, HasSubstr("was removed"));

  const auto written = opened();
  std::fstream(path, std::ios::in | std::ios::out).seekp(100).write("X", 1);
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(2));
  EXPECT_THAT(written->source().still_intact().error().message, HasSubstr("was written to"));
}

// The parts of G45 that need neither decoder nor architecture. NaN and infinite block scales and all-zero blocks are tested with
// the decoders in tests/quant.
class GgufSemantics : public ::testing::TestWithParam<SourceKind> {
 protected:
  static std::vector<std::string> good_keys() {
    return {raw_key("general.architecture", 8) + raw_string("llama"),
            raw_u32("llama.block_count", 2),
            raw_u32("llama.embedding_length", 24),
            raw_u32("llama.attention.head_count", 4),
            raw_u32("llama.attention.head_count_kv", 2),
            raw_array("tokenizer.ggml.tokens", 8, 2, raw_string("a") + raw_string("b")),
            raw_array("tokenizer.ggml.scores", 6, 2, raw(0.5F) + raw(1.5F)),
            raw_array("tokenizer.ggml.token_type", 5, 2, raw<int32_t>(1) + raw<int32_t>(3)),
            raw_array("tokenizer.ggml.merges", 8, 1, raw_string("a b"))};
  }
  // The good file with the key that starts like `changed` replaced by it (or added).
  Status check(const std::string& changed = {},
               std::vector<std::string> tensor_names = {"token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight"}) const {
    RawGguf file;
    file.keys = good_keys();
    if (!changed.empty()) {
      const size_t name_end = 8 + static_cast<size_t>(changed[0]);
      const auto same = [&](const std::string& key) { return key.substr(0, name_end) == changed.substr(0, name_end); };
      file.keys.erase(std::remove_if(file.keys.begin(), file.keys.end(), same), file.keys.end());
      file.keys.push_back(changed);
    }
    file.tensors.clear();
    for (const std::string& name : tensor_names) file.tensors.push_back({.name = name, .offset = 32 * file.tensors.size()});
    file.data = std::string(32 * file.tensors.size(), '\0');
    const auto parsed = Gguf::parse(make_source(GetParam(), file.bytes(), scratch_));
    EXPECT_TRUE(parsed) << parsed.error().message;
    if (!parsed) return fail(parsed.error());
    return check_model_semantics(parsed->metadata(), parsed->tensors());
  }
  static void expect_refused(const Status& status, const std::string& subject, const std::string& says) {
    ASSERT_FALSE(status) << subject << " " << says;
    EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(status.error().message, AllOf(HasSubstr(subject), HasSubstr(says)));
  }
  void SetUp() override { ASSERT_TRUE(check()) << check().error().message; }
  ScratchDirectory scratch_;
};

INSTANTIATE_TEST_SUITE_P(Sources, GgufSemantics, ::testing::Values(SourceKind::kDisk, SourceKind::kMemory, SourceKind::kCallback),
                         source_name);

TEST_P(GgufSemantics, G45_TokenizerArrays) {
  expect_refused(check(raw_array("tokenizer.ggml.scores", 1, 2, "ab")), "tokenizer.ggml.scores", "array of i8");
  expect_refused(check(raw_array("tokenizer.ggml.scores", 6, 1, raw(0.5F))), "tokenizer.ggml.scores", "has 1 entries");
  expect_refused(check(raw_array("tokenizer.ggml.token_type", 1, 2, "ab")), "tokenizer.ggml.token_type", "array of i8");
  expect_refused(check(raw_array("tokenizer.ggml.token_type", 5, 3, std::string(12, '\1'))), "tokenizer.ggml.token_type", "has 3 entries");
  expect_refused(check(raw_array("tokenizer.ggml.tokens", 4, 2, std::string(8, '\1'))), "tokenizer.ggml.tokens",
                 "array of string is needed");
  expect_refused(check(raw_array("tokenizer.ggml.tokens", 8, 0, "")), "tokenizer.ggml.tokens", "is empty");
  expect_refused(check(raw_u32("tokenizer.ggml.scores", 1)), "tokenizer.ggml.scores", "has type u32");
  expect_refused(check(raw_u32("tokenizer.ggml.merges", 1)), "tokenizer.ggml.merges", "has type u32");
}

TEST_P(GgufSemantics, G45_BlockCount) {
  expect_refused(check(raw_u32("llama.block_count", 0)), "llama.block_count", "is 0");
  expect_refused(check(raw_u32("llama.block_count", 1'000'000'000)), "llama.block_count", "is 1,000,000,000");
  expect_refused(check(raw_u32("llama.block_count", 3)), "llama.block_count", "the tensors have 2 blocks");
  expect_refused(check(raw_u32("llama.block_count", 1)), "llama.block_count", "the tensors have 2 blocks");
  expect_refused(check(raw_key("llama.block_count", 8) + raw_string("2")), "llama.block_count", "has type string");
  expect_refused(check({}, {"blk.1.attn_q.weight"}), "llama.block_count", "no tensor of block 0");
  expect_refused(check({}, {"blk.0.x", "blk.2000000000.x"}), "blk.2000000000.x", "at most 10,000 blocks");
  EXPECT_TRUE(check({}, {})) << "a vocabulary without weights";
}

TEST_P(GgufSemantics, G45_Heads) {
  expect_refused(check(raw_u32("llama.attention.head_count", 0)), "llama.attention.head_count", "is 0");
  expect_refused(check(raw_u32("llama.attention.head_count", 7)), "llama.attention.head_count", "must divide the embedding width 24");
  expect_refused(check(raw_u32("llama.attention.head_count_kv", 0)), "llama.attention.head_count_kv", "is 0");
  expect_refused(check(raw_u32("llama.attention.head_count_kv", 3)), "llama.attention.head_count_kv", "must divide the head count 4");
  expect_refused(check(raw_u32("llama.attention.key_length", 0)), "llama.attention.key_length", "is 0");
  expect_refused(check(raw_u32("llama.attention.value_length", 0)), "llama.attention.value_length", "is 0");
  expect_refused(check(raw_u32("llama.embedding_length", 0)), "llama.embedding_length", "is 0");
  expect_refused(check(raw_u32("llama.embedding_length", 0xffffffff)), "llama.embedding_length", "is 4,294,967,295");
  expect_refused(check(raw_array("llama.attention.head_count", 5, 2, raw<int32_t>(4) + raw<int32_t>(-4))), "llama.attention.head_count",
                 "holds -4");
  expect_refused(check(raw_array("llama.attention.head_count", 5, 2, std::string(8, '\0'))), "llama.attention.head_count",
                 "0 for every block");
  EXPECT_TRUE(check(raw_array("llama.attention.head_count", 5, 2, raw<int32_t>(4) + raw<int32_t>(0)))) << "a block without attention";
  EXPECT_TRUE(check(raw_u32("llama.attention.head_count", 0), {"blk.0.ssm_in.weight", "blk.1.ssm_in.weight"}))
      << "a model without attention";
}

TEST_P(GgufSemantics, G45_Architecture) {
  expect_refused(check(raw_key("general.architecture", 8) + raw_string("")), "general.architecture", "is empty");
}

class GgufSplit : public ::testing::Test {
 protected:
  static std::string part(uint16_t number, uint16_t count, const std::string& tensor, std::optional<int32_t> total = 3) {
    RawGguf file;
    file.keys.push_back(raw_key("split.no", 2) + raw(number));
    file.keys.push_back(raw_key("split.count", 2) + raw(count));
    if (total) file.keys.push_back(raw_key("split.tensors.count", 5) + raw(*total));
    file.tensors = {{.name = tensor}};
    file.data = std::string(32, static_cast<char>('0' + number));
    return file.bytes();
  }
  std::string path(int number) const { return scratch_ / ("m-0000" + std::to_string(number) + "-of-00003.gguf"); }
  void SetUp() override {
    for (uint16_t i = 0; i < 3; ++i) put_file(path(i + 1), part(i, 3, "t" + std::to_string(i)));
  }
  void expect_refused(int opened, ErrorCode code, const std::vector<std::string>& fragments) const {
    const auto file = Gguf::open(path(opened));
    ASSERT_FALSE(file) << fragments.front();
    EXPECT_EQ(name_of(file.error().code), name_of(code)) << file.error().message;
    for (const std::string& fragment : fragments) EXPECT_THAT(file.error().message, HasSubstr(fragment));
  }
  ScratchDirectory scratch_;
};

TEST_F(GgufSplit, G45_PartsAreOneModel) {
  const auto file = Gguf::open(path(1));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->parts(), 3u);
  EXPECT_THAT(file->paths(), ElementsAre(path(1), path(2), path(3)));
  EXPECT_EQ(file->file_bytes(), 3 * part(0, 3, "t0").size());
  for (uint32_t i = 0; i < 3; ++i) {
    const TensorInfo* tensor = file->find("t" + std::to_string(i));
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->part, i);
    EXPECT_EQ(*file->read(*tensor), std::vector<std::byte>(32, static_cast<std::byte>('0' + i)));
  }
}

TEST_F(GgufSplit, G45_MissingPart) {
  std::filesystem::remove(path(2));
  expect_refused(1, ErrorCode::kNotFound, {"m-00002-of-00003.gguf", "has 3 parts"});
}

TEST_F(GgufSplit, G45_RepeatedPart) {
  put_file(path(3), part(1, 3, "t1"));
  expect_refused(1, ErrorCode::kMismatch, {"m-00003-of-00003.gguf", "part 2 of 3", "part 3 of 3 is needed"});
  put_file(path(3), part(2, 3, "t1"));
  expect_refused(1, ErrorCode::kBadInput, {"m-00003-of-00003.gguf", "holds tensor 't1' again"});
}

TEST_F(GgufSplit, G45_PartOfAnotherModel) {
  put_file(path(2), part(1, 4, "t1"));
  expect_refused(1, ErrorCode::kMismatch, {"m-00002-of-00003.gguf", "part 2 of 4"});
}

TEST_F(GgufSplit, G45_TensorCountDiffers) {
  put_file(path(1), part(0, 3, "t0", 4));
  expect_refused(1, ErrorCode::kBadInput, {"has 3 tensors", "4 are promised"});
}

TEST_F(GgufSplit, G45_NotTheFirstPart) { expect_refused(2, ErrorCode::kUsage, {"is part 2 of 3", "m-00001-of-00003.gguf"}); }

TEST_F(GgufSplit, G45_RenamedPart) {
  std::filesystem::rename(path(1), scratch_ / "model.gguf");
  const auto file = Gguf::open(scratch_ / "model.gguf");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("must end in '-00001-of-00003.gguf'"));
}

TEST_F(GgufSplit, G45_ImpossibleNumbers) {
  put_file(path(1), part(3, 3, "t0"));
  expect_refused(1, ErrorCode::kBadInput, {"part 4 of 3"});
}

// The promise of bounded memory: 64 MiB and twice the file.
TEST(GgufBadInputMemory, WideningIsBounded) {
  if (!kMemoryIsMeasurable) GTEST_SKIP() << "memory is not measured under a sanitizer";
  RawGguf file;
  file.keys.push_back(raw_array("k", 0, 40'000'000, std::string(40'000'000, '\1')));  // 320 MB once widened
  const ScratchDirectory scratch;
  put_file(scratch / "m.gguf", file.bytes());
  const auto size_kib = static_cast<long>(file.bytes().size() / 1024);
  reset_peak_memory();
  const long before = peak_memory_kib();
  const auto opened = Gguf::open(scratch / "m.gguf");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("key 'k': array"));
  EXPECT_LT(peak_memory_kib() - before, 64 * 1024 + 2 * size_kib);
}

// A sparse file of terabytes may claim lengths that its size allows.
TEST(GgufBadInputMemory, ASparseFileCannotAskForItsSize) {
  const ScratchDirectory scratch;
  for (const uint32_t element : {8u, 10u}) {
    RawGguf file;
    file.keys.push_back(raw_array("k", element, uint64_t{1} << 36, ""));
    put_file(scratch / "m.gguf", file.header());
    std::error_code no_room;
    std::filesystem::resize_file(scratch / "m.gguf", uint64_t{1} << 40, no_room);
    if (no_room) GTEST_SKIP() << "this file system holds no sparse file of 1 TiB: " << no_room.message();
    const auto opened = Gguf::open(scratch / "m.gguf");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported) << opened.error().message;
  }
}

}  // namespace
}  // namespace assay
