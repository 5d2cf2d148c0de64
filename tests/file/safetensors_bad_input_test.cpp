// Every case S1-S30 of bad safetensors input, by name: a control that loads, then one fault, a typed error that names field, byte
// and tensor, and the same verdict from disk, from memory and from a callback that gives 4 KiB at a time.
#include <chrono>

#include "assay/base/text.h"
#include "assay/file/safetensors.h"
#include "tests/file/raw_safetensors.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace testing_files;

constexpr uint64_t kAllOnes = ~uint64_t{0};

// The header of one tensor 'a' with these fields, as they stand in the JSON.
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return std::string(R"({"a":{"dtype":)")
      .append(dtype)
      .append(R"(,"shape":)")
      .append(shape)
      .append(R"(,"data_offsets":)")
      .append(offsets)
      .append("}}");
}

class SafetensorsBadInput : public ::testing::TestWithParam<SourceKind> {
 protected:
  void SetUp() override {
    EXPECT_THAT(accept(raw_safetensors(kControlHeader, kControlData)).warnings(), IsEmpty());
    accept(raw_safetensors(one(R"("U8")", "[4]", "[0,4]"), "data"));
  }
  Result<Safetensors> load(const std::string& bytes) const { return Safetensors::parse(make_source(GetParam(), bytes, scratch_)); }
  Safetensors accept(const std::string& bytes) const {
    auto file = load(bytes);
    if (file) return std::move(*file);
    ADD_FAILURE() << file.error().message;
    return {};
  }
  void refuse_bytes(const std::string& bytes, const std::vector<std::string>& fragments, ErrorCode code = ErrorCode::kBadInput) const {
    const auto file = load(bytes);
    ASSERT_FALSE(file) << "accepted; expected: " << fragments.front();
    EXPECT_EQ(name_of(file.error().code), name_of(code)) << file.error().message;
    EXPECT_THAT(file.error().message, HasSubstr("file.under.test"));
    EXPECT_THAT(file.error().message, HasSubstr("byte"));
    for (const std::string& fragment : fragments) EXPECT_THAT(file.error().message, HasSubstr(fragment));
  }
  void refuse(std::string_view header, const std::vector<std::string>& fragments, std::string_view data = "data") const {
    refuse_bytes(raw_safetensors(header, data), fragments);
  }
  ScratchDirectory scratch_;
};

INSTANTIATE_TEST_SUITE_P(Sources, SafetensorsBadInput, ::testing::Values(SourceKind::kDisk, SourceKind::kMemory, SourceKind::kCallback),
                         source_name);

TEST_P(SafetensorsBadInput, S1_ZeroToSevenBytes) {
  const std::string whole = raw_safetensors(kControlHeader, kControlData);
  for (size_t size = 0; size < 8; ++size)
    refuse_bytes(whole.substr(0, size), {"header length at byte 0", "the file has " + std::to_string(size)});
  for (size_t size = 8; size < whole.size(); ++size) EXPECT_FALSE(load(whole.substr(0, size))) << size;
}

TEST_P(SafetensorsBadInput, S2_HeaderLengthZero) { refuse_bytes(raw_safetensors("", "data"), {"header length at byte 0", "is 0"}); }

TEST_P(SafetensorsBadInput, S3_HeaderLongerThanTheFile) {
  refuse_bytes(raw_safetensors("{}", "", 3), {"header length at byte 0", "is 3", "2 bytes follow"});
}

TEST_P(SafetensorsBadInput, S4_HeaderLengthWraps) {
  refuse_bytes(raw_safetensors("{}", "", kAllOnes), {"header length at byte 0", "is 18,446,744,073,709,551,615"});
  refuse_bytes(raw_safetensors("{}", "", kAllOnes - 7), {"header length at byte 0"});
}

TEST_P(SafetensorsBadInput, S5_HeaderOf100000001Bytes) {
  if (GetParam() != SourceKind::kCallback) return;  // one source is enough for 100 MB
  const auto reader = [](uint64_t offset, std::span<std::byte> out) -> Status {
    const uint64_t length = 100'000'001;
    std::fill(out.begin(), out.end(), std::byte{' '});
    if (offset == 0) std::memcpy(out.data(), &length, 8);
    return {};
  };
  const auto file = Safetensors::parse(callback_source(100'000'009, reader, "file.under.test"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(file.error().message, ::testing::AllOf(HasSubstr("is 100,000,001"), HasSubstr("at most 100,000,000")));
}

// Valid, useless and large: within a second per 10 MB and in memory twice the file. 20 MB of each kind stand for 100 MB.
TEST_P(SafetensorsBadInput, S6_Bloat) {
  constexpr size_t kBytes = 20'000'000;
  std::string note = R"({"__metadata__":{"note":")" + std::string(kBytes, 'x') + "\"}}";
  std::string spaces = "{" + std::string(kBytes, ' ') + "}";
  std::string entries = R"({"__metadata__":{"a":"")";
  for (int i = 0; entries.size() < kBytes; ++i) entries += ",\"" + std::to_string(i) + "\":\"\"";
  std::string tensors = "{";
  for (int i = 0; tensors.size() < kBytes; ++i)
    tensors += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  struct Case {
    const char* label;
    std::string bytes;
    bool loads;
  };
  const Case cases[] = {{"a long note", raw_safetensors(note, ""), true},
                        {"spaces", raw_safetensors(spaces, ""), true},
                        {"2 million notes", raw_safetensors(entries + "}}", ""), false},
                        {"300,000 empty tensors", raw_safetensors(tensors + "}", ""), false}};
  for (const Case& bloat : cases) {
    const auto source = make_source(GetParam(), bloat.bytes, scratch_);
    reset_peak_memory();
    const long before = peak_memory_kib();
    const auto start = std::chrono::steady_clock::now();
    const auto file = Safetensors::parse(source);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_EQ(file.has_value(), bloat.loads) << bloat.label;
    if (!file) {
      EXPECT_EQ(file.error().code, ErrorCode::kUnsupported) << file.error().message;
    }
    if (!kMemoryIsMeasurable) continue;
    EXPECT_LT(peak_memory_kib() - before, 64 * 1024 + 2 * static_cast<long>(bloat.bytes.size() / 1024)) << bloat.label;
    EXPECT_LT(seconds, static_cast<double>(bloat.bytes.size()) / 10e6) << bloat.label;
  }
}

TEST_P(SafetensorsBadInput, S7_NotUtf8) {
  for (const char* text : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
    refuse(R"({"__metadata__":{"a":")" + std::string(text) + "\"}}", {"header at byte 8", "is not UTF-8"}, "");
  accept(raw_safetensors(R"({"__metadata__":{"a":"\ud83d\ude00"}})", ""));
  refuse(R"({"__metadata__":{"a":"\ud83d"}})", {"header near byte", "is not JSON"}, "");
}

TEST_P(SafetensorsBadInput, S8_NotJson) {
  for (const char* text :
       {"{", "{]", "{'a':1}", "{\"a\"}", "{\"a\":}", "{,}", "{} {}", "{\"a\":nan}", "{/**/}", "{\"__metadata__\":{\"a\":\"\t\"}}"}) {
    const auto file = load(raw_safetensors(text, ""));
    ASSERT_FALSE(file) << text;
    EXPECT_EQ(file.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(file.error().message, HasSubstr("header ")) << text;
  }
}

TEST_P(SafetensorsBadInput, S9_TopLevelIsNoObject) {
  for (const char* text : {"[]", "null", "3", "\"text\"", "true", "\xef\xbb\xbf{}"})
    refuse(text, {"header at byte 8", "does not start with '{'"}, "");
  for (const char* value : {"[]", "null", "3", "\"text\"", "true", "1.5", "-1"})
    refuse("{\"a\":" + std::string(value) + "}", {"tensor 'a' near byte", "an object with dtype, shape and data_offsets is needed"}, "");
}

TEST_P(SafetensorsBadInput, S10_Nesting) {
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "{\"a\":";
  refuse(deep + "1" + std::string(10'000, '}'), {"tensor 'a'", "field 'a'", "is unknown"}, "");
  refuse(one(R"("U8")", std::string(10'000, '[') + std::string(10'000, ']'), "[0,4]"), {"tensor 'a': field 'shape'", "holds an array"});
  refuse(R"({"__metadata__":{"a":{}}})", {"__metadata__ 'a'", "is an object"}, "");
}

TEST_P(SafetensorsBadInput, S11_TrailingBytesInTheHeader) {
  accept(raw_safetensors(std::string(kControlHeader) + "   ", kControlData));
  for (const std::string& tail :
       {std::string("x"), std::string("\n"), std::string("\t "), std::string(1, '\0'), std::string("{}"), std::string("]")}) {
    const auto file = load(raw_safetensors(std::string(kControlHeader) + tail, kControlData));
    ASSERT_FALSE(file) << printable(tail);
    EXPECT_THAT(file.error().message, HasSubstr("header near byte"));
  }
}

TEST_P(SafetensorsBadInput, S12_LeadingWhiteSpace) {
  const Safetensors file = accept(raw_safetensors(" \n" + std::string(kControlHeader), kControlData));
  EXPECT_THAT(file.tensors(), SizeIs(2));
  EXPECT_THAT(file.warnings(), Contains(HasSubstr("starts with white space")));
}

TEST_P(SafetensorsBadInput, S13_DuplicateTensor) {
  refuse(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
         {"tensor 'a' near byte", "is given twice"});
  refuse(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
         {"tensor 'a'", "is given twice"});
}

TEST_P(SafetensorsBadInput, S14_DuplicateField) {
  refuse(R"({"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}})", {"tensor 'a': field 'dtype'", "is given twice"});
  refuse(R"({"a":{"dtype":"U8","shape":[4],"shape":[2,2],"data_offsets":[0,4]}})", {"tensor 'a': field 'shape'", "is given twice"});
}

TEST_P(SafetensorsBadInput, S15_DuplicateMetadata) {
  refuse(R"({"__metadata__":{},"__metadata__":{}})", {"'__metadata__'", "is given twice"}, "");
  refuse(R"({"__metadata__":{"k":"1","k":"2"}})", {"__metadata__ 'k'", "is given twice"}, "");
}

TEST_P(SafetensorsBadInput, S16_MetadataValueIsNoString) {
  for (const char* value : {"1", "1.5", "-1", "null", "true", "[]", "{}"})
    refuse(R"({"__metadata__":{"k":)" + std::string(value) + "}}", {"__metadata__ 'k' near byte", "a string is needed"}, "");
}

TEST_P(SafetensorsBadInput, S17_MissingField) {
  refuse(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", {"tensor 'a'", "no field 'dtype'"});
  refuse(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", {"tensor 'a'", "no field 'shape'"});
  refuse(R"({"a":{"dtype":"U8","shape":[4]}})", {"tensor 'a'", "no field 'data_offsets'"});
  refuse(R"({"a":{}})", {"tensor 'a'", "no field"});
}

TEST_P(SafetensorsBadInput, S18_UnknownField) {
  refuse(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]}})", {"tensor 'a': field 'strides'", "is unknown"});
}

TEST_P(SafetensorsBadInput, S19_UnknownDtype) {
  for (const char* dtype : {"\"Q4_K\"", "\"u8\"", "\"\"", "\"F128\""})
    refuse_bytes(raw_safetensors(one(dtype, "[4]", "[0,4]"), "data"), {"tensor 'a': field 'dtype'", "is '"}, ErrorCode::kUnsupported);
  refuse(one("8", "[4]", "[0,4]"), {"tensor 'a': field 'dtype'", "a string is needed"});
}

TEST_P(SafetensorsBadInput, S20_Dimensions) {
  for (const char* dim : {"-4", "4.0", "4e0", "9007199254740993", "99999999999999999999", "\"4\"", "null", "true"}) {
    refuse(one(R"("U8")", "[" + std::string(dim) + "]", "[0,4]"), {"tensor 'a': field 'shape'", "whole numbers from 0 to 2^53"});
  }
  refuse(one(R"("U8")", "4", "[0,4]"), {"tensor 'a': field 'shape'", "an array of whole numbers is needed"});
}

TEST_P(SafetensorsBadInput, S21_DimensionsWrap) {
  refuse(one(R"("U8")", "[4294967296,4294967296]", "[0,0]"), {"tensor 'a'", "size overflows"}, "");
  refuse(one(R"("U8")", "[4194305,4194305,211106198978564]", "[0,4]"), {"tensor 'a'", "size overflows"});
  refuse(one(R"("F64")", "[2305843009213693952]", "[0,0]"), {"tensor 'a'"}, "");
}

TEST_P(SafetensorsBadInput, S22_RankZero) {
  const Safetensors file = accept(raw_safetensors(one(R"("F32")", "[]", "[0,4]"), "data"));
  EXPECT_THAT(file.find("a")->shape, IsEmpty());
  refuse(one(R"("F32")", "[]", "[0,0]"), {"tensor 'a'", "span 0 bytes"}, "");
}

// The format allows tensors without values; they hold no weights and take no place.
TEST_P(SafetensorsBadInput, S23_DimensionZero) {
  accept(raw_safetensors(one(R"("F32")", "[3,0,5]", "[0,0]"), ""));
  refuse(one(R"("F32")", "[3,0,5]", "[0,4]"), {"tensor 'a'", "span 4 bytes", "need 0"});
}

TEST_P(SafetensorsBadInput, S24_Rank10000) {
  std::string ones = "[1";
  for (int i = 1; i < 64; ++i) ones += ",1";
  accept(raw_safetensors(one(R"("U8")", ones + "]", "[0,1]"), "d"));
  for (int i = 64; i < 10'000; ++i) ones += ",1";
  refuse(one(R"("U8")", ones + "]", "[0,1]"), {"tensor 'a': field 'shape'", "more than 64 dimensions"}, "d");
}

TEST_P(SafetensorsBadInput, S25_Offsets) {
  refuse(one(R"("U8")", "[4]", "[4,0]"), {"tensor 'a'", "data_offsets 4 to 0"});
  refuse(one(R"("U8")", "[4]", "[0,4,8]"), {"tensor 'a': field 'data_offsets'", "more than two"});
  refuse(one(R"("U8")", "[4]", "[4]"), {"tensor 'a': field 'data_offsets'", "has 1 numbers"});
  refuse(one(R"("U8")", "[4]", "[]"), {"tensor 'a': field 'data_offsets'", "has 0 numbers"});
  for (const char* offsets : {"[-4,0]", "[0,4.0]", "[0,\"4\"]", "[0,null]", "[0,[4]]"})
    refuse(one(R"("U8")", "[4]", offsets), {"tensor 'a': field 'data_offsets'", "two whole numbers"});
}

TEST_P(SafetensorsBadInput, S26_SizeMismatch) {
  refuse(one(R"("F32")", "[2]", "[0,4]"), {"tensor 'a'", "span 4 bytes", "need 8"});
  refuse(one(R"("U8")", "[3]", "[0,4]"), {"tensor 'a'", "span 4 bytes", "need 3"});
}

TEST_P(SafetensorsBadInput, S27_OverlapAndHole) {
  const auto two = [](const char* first, const char* second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + std::string(first) + R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" +
           second + "}}";
  };
  accept(raw_safetensors(two("[0,4]", "[4,8]"), "datadata"));
  accept(raw_safetensors(two("[4,8]", "[0,4]"), "datadata"));
  refuse(two("[0,4]", "[2,6]"), {"tensor 'b': data_offsets", "tensors overlap", "byte"}, "datada");
  refuse(two("[0,4]", "[0,4]"), {"tensors overlap"}, "data");
  refuse(two("[0,4]", "[5,9]"), {"tensor 'b': data_offsets", "belong to no tensor"}, "data data");
  refuse(one(R"("U8")", "[4]", "[1,5]"), {"tensor 'a': data_offsets", "belong to no tensor"}, " data");
  const std::string shared =
      R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"c":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_THAT(accept(raw_safetensors(shared, "data")).tensors(), SizeIs(3)) << "empty tensors may share a place";
}

TEST_P(SafetensorsBadInput, S28_TrailingOrMissingBytes) {
  refuse(one(R"("U8")", "[4]", "[0,4]"), {"data after byte", "1 bytes that belong to no tensor"}, "datax");
  refuse(one(R"("U8")", "[4]", "[0,4]"), {"tensor 'a': data_offsets", "end at byte 4 of the data", "truncated"}, "dat");
  refuse("{}", {"data after byte 10"}, "x");
}

TEST_P(SafetensorsBadInput, S29_SubByteTypes) {
  accept(raw_safetensors(one(R"("F4")", "[8]", "[0,4]"), "data"));
  accept(raw_safetensors(one(R"("F6_E2M3")", "[4]", "[0,3]"), "dat"));
  refuse(one(R"("F4")", "[7]", "[0,4]"), {"tensor 'a'", "ends within a byte (dtype F4)"});
  refuse(one(R"("F6_E3M2")", "[5]", "[0,4]"), {"tensor 'a'", "ends within a byte"});
}

// S30: the index of a sharded model.
class SafetensorsIndex : public ::testing::Test {
 protected:
  void SetUp() override {
    write_shard("one.safetensors", "a");
    write_shard("two.safetensors", "b");
    write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
    ASSERT_TRUE(load()) << load().error().message;
    EXPECT_THAT(load()->warnings(), IsEmpty());
  }
  void write_shard(const std::string& name, const std::string& tensor) const {
    put_file(scratch_ / name, raw_safetensors("{\"" + tensor + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "data"));
  }
  void write_index(const std::string& map, const std::string& total = "8") const {
    put_file(scratch_ / "model.safetensors.index.json", R"({"metadata":{"total_size":)" + total + R"(},"weight_map":)" + map + "}");
  }
  Result<Safetensors> load() const { return Safetensors::open_directory(scratch_.path().string()); }
  void refuse(const std::vector<std::string>& fragments, ErrorCode code = ErrorCode::kBadInput) const {
    const auto file = load();
    ASSERT_FALSE(file) << fragments.front();
    EXPECT_EQ(name_of(file.error().code), name_of(code)) << file.error().message;
    for (const std::string& fragment : fragments) EXPECT_THAT(file.error().message, HasSubstr(fragment));
  }
  ScratchDirectory scratch_;
};

TEST_F(SafetensorsIndex, S30_ShardOutsideTheDirectory) {
  for (const char* path : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ".", "", "a\\\\b"}) {
    write_index(R"({"a":")" + std::string(path) + R"(","b":"two.safetensors"})");
    refuse({"index.json: tensor 'a'", "a file name in the same directory is needed"});
  }
}

TEST_F(SafetensorsIndex, S30_SymlinkLoop) {
  std::filesystem::remove(scratch_ / "one.safetensors");
  std::filesystem::create_symlink("two-way", scratch_ / "one.safetensors");
  std::filesystem::create_symlink("one.safetensors", scratch_ / "two-way");
  refuse({"shard 'one.safetensors'"}, ErrorCode::kIo);
}

TEST_F(SafetensorsIndex, S30_SymlinkToAShardIsFine) {  // the layout of the hub's cache
  std::filesystem::create_directory(scratch_ / "blobs");
  std::filesystem::rename(scratch_ / "one.safetensors", scratch_ / "blobs/abc");
  std::filesystem::create_symlink("blobs/abc", scratch_ / "one.safetensors");
  EXPECT_TRUE(load());
}

TEST_F(SafetensorsIndex, S30_MissingShard) {
  std::filesystem::remove(scratch_ / "two.safetensors");
  refuse({"shard 'two.safetensors'", "is not there"}, ErrorCode::kNotFound);
}

TEST_F(SafetensorsIndex, S30_TensorInTwoShards) {
  write_shard("two.safetensors", "a");
  refuse({"two.safetensors: tensor 'a'", "in an earlier shard"});
  write_index(R"({"a":"one.safetensors","a":"two.safetensors"})");
  refuse({"key 'a' is given twice"});
}

TEST_F(SafetensorsIndex, S30_TensorInAnotherShardThanListed) {
  write_index(R"({"b":"one.safetensors","a":"two.safetensors"})");
  refuse({"tensor 'a'", "the index says 'two.safetensors'"});
}

TEST_F(SafetensorsIndex, S30_ListedButAbsent) {
  write_index(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})");
  refuse({"index.json: tensor 'c'", "is not in its shard 'two.safetensors'"});
}

// Published models have wrong totals and surplus tensors, and every reader loads them: noted, not refused.
TEST_F(SafetensorsIndex, S30_TotalSizeWrongOrTensorUnlisted) {
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})", "9");
  ASSERT_TRUE(load());
  EXPECT_THAT(load()->warnings(), Contains(HasSubstr("promises 9 bytes")));
  put_file(scratch_ / "two.safetensors", raw_safetensors(kControlHeader, kControlData));
  write_index(R"({"b":"two.safetensors"})", "12");
  ASSERT_TRUE(load());
  EXPECT_THAT(load()->warnings(), Contains(HasSubstr("tensor 'a' is not listed")));
}

TEST_F(SafetensorsIndex, S30_NotAnIndex) {
  for (const char* text : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":null}})"}) {
    put_file(scratch_ / "model.safetensors.index.json", text);
    refuse({"model.safetensors.index.json"});
  }
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "[";
  put_file(scratch_ / "model.safetensors.index.json", deep + std::string(10'000, ']'));
  refuse({"nests deeper"});
}

}  // namespace
}  // namespace assay
