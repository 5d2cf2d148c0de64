#include "assay/file/imatrix.h"

#include <limits>

#include "assay/file/gguf.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing_files::get_file;
using testing_files::put_file;
using testing_files::ScratchDirectory;

Imatrix example() {
  Imatrix imatrix;
  imatrix.entries["blk.0.attn_q.weight"] = {3, {1024, 2048, 0}, {1024}};
  imatrix.entries["blk.0.ffn_up_exps.weight"] = {2, {6, 8, 0, 0, 5, 10}, {2, 0, 5}};
  imatrix.datasets = {"calibration.txt"};
  imatrix.chunk_count = 2;
  imatrix.chunk_size = 512;
  return imatrix;
}

template <class T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::string dat_text(const std::string& text) { return le<int32_t>(static_cast<int32_t>(text.size())) + text; }

std::string floats(std::initializer_list<float> values) {
  std::string bytes;
  for (const float value : values) bytes += le(value);
  return bytes;
}

Result<Imatrix> parse_text(const std::string& bytes) { return parse_imatrix(memory_source(testing_files::to_bytes(bytes))); }

TEST(Imatrix, ImportanceIsTheMeanPerMatrixAndOneWhereNothingWasSeen) {
  const Imatrix imatrix = example();
  EXPECT_THAT(imatrix.importance("blk.0.attn_q.weight"), ElementsAre(1, 2, 0));
  EXPECT_THAT(imatrix.importance("blk.0.ffn_up_exps.weight"), ElementsAre(3, 4, 1, 1, 1, 2));
  EXPECT_THAT(imatrix.importance("absent"), IsEmpty());
}

TEST(Imatrix, TheGgufFormKeepsEverything) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_imatrix(scratch / "i.gguf", example(), ImatrixFormat::kGguf, {}));
  const auto file = Gguf::open(scratch / "i.gguf");
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->metadata().get_string("general.type"), "imatrix");
  EXPECT_EQ(file->metadata().find("imatrix.chunk_size")->type, MetaType::kU32);
  ASSERT_NE(file->find("blk.0.ffn_up_exps.weight.in_sum2"), nullptr);
  EXPECT_THAT(file->find("blk.0.ffn_up_exps.weight.in_sum2")->dims, ElementsAre(2, 3, 1, 1));
  EXPECT_THAT(file->find("blk.0.ffn_up_exps.weight.counts")->dims, ElementsAre(1, 3, 1, 1));

  const auto read = read_imatrix(scratch / "i.gguf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->datasets, example().datasets);
  EXPECT_EQ(read->chunk_count, 2u);
  EXPECT_EQ(read->chunk_size, 512u);
  ASSERT_EQ(read->entries.size(), 2u);
  for (const auto& [name, entry] : example().entries) {
    EXPECT_EQ(read->entries.at(name).columns, entry.columns);
    EXPECT_EQ(read->entries.at(name).sums, entry.sums);
    EXPECT_EQ(read->entries.at(name).counts, entry.counts);
  }
}

// calls = ceil(1024 / 512) = 2 and ceil(5 / 512) = 1; values = mean * calls.
TEST(Imatrix, TheDatFormIsTheHandComputedOne) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_imatrix(scratch / "i.dat", example(), ImatrixFormat::kDat, {}));
  const std::string expected = le<int32_t>(2) + dat_text("blk.0.attn_q.weight") + le<int32_t>(2) + le<int32_t>(3) + floats({2, 4, 0}) +
                               dat_text("blk.0.ffn_up_exps.weight") + le<int32_t>(1) + le<int32_t>(6) + floats({3, 4, 1, 1, 1, 2}) +
                               le<int32_t>(2) + dat_text("calibration.txt");
  EXPECT_EQ(get_file(scratch / "i.dat"), expected);
  const auto read = read_imatrix(scratch / "i.dat");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->importance("blk.0.attn_q.weight"), ElementsAre(1, 2, 0));
  EXPECT_THAT(read->importance("blk.0.ffn_up_exps.weight"), ElementsAre(3, 4, 1, 1, 1, 2));
  EXPECT_EQ(read->chunk_count, 2u);
  EXPECT_THAT(read->datasets, ElementsAre("calibration.txt"));
}

TEST(Imatrix, DatWithoutTrailerAndWithoutCallsIsRead) {
  const std::string entry = dat_text("blk.0.attn_q.weight") + le<int32_t>(4) + le<int32_t>(2) + floats({4, 8});
  const auto no_trailer = parse_text(le<int32_t>(1) + entry);
  ASSERT_TRUE(no_trailer) << no_trailer.error().message;
  EXPECT_THAT(no_trailer->importance("blk.0.attn_q.weight"), ElementsAre(1, 2));
  const auto chunks_only = parse_text(le<int32_t>(1) + entry + le<int32_t>(7));
  ASSERT_TRUE(chunks_only) << chunks_only.error().message;
  EXPECT_EQ(chunks_only->chunk_count, 7u);
  // The first form of 2024, which some tools still write: means, no number of calls.
  const std::string old_entry = dat_text("blk.0.attn_q.weight") + le<int32_t>(2) + floats({1, 2});
  const auto oldest = parse_text(le<int32_t>(1) + old_entry);
  ASSERT_TRUE(oldest) << oldest.error().message;
  EXPECT_THAT(oldest->importance("blk.0.attn_q.weight"), ElementsAre(1, 2));
}

TEST(Imatrix, ExtraTensorsOfNewerToolsAreReadPast) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_imatrix(scratch / "i.gguf", example(), ImatrixFormat::kGguf, {}));
  const auto file = Gguf::open(scratch / "i.gguf");
  std::vector<TensorInfo> tensors = file->tensors();
  for (const char* extra : {"blk.0.attn_q.weight.out_sum", "blk.0.attn_q.weight.stats"}) {
    TensorInfo info;
    info.name = extra;
    info.dims[0] = 12;
    tensors.push_back(info);
  }
  const auto fill = [&](const TensorInfo& info, std::span<std::byte> out) -> Status {
    const TensorInfo* known = file->find(info.name);
    return known == nullptr ? Status{} : file->read(*known, 0, out);
  };
  ASSERT_TRUE(write_gguf(scratch / "more.gguf", file->metadata(), tensors, fill, {}));
  const auto read = read_imatrix(scratch / "more.gguf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->entries, SizeIs(2));
}

TEST(Imatrix, SumsOfInputsAreKeptWhereTheyAre) {
  const ScratchDirectory scratch;
  Imatrix made = example();
  made.entries.at("blk.0.attn_q.weight").inputs = {512, -1024, 0};
  ASSERT_TRUE(write_imatrix(scratch / "i.gguf", made, ImatrixFormat::kGguf, {}));
  const auto read = read_imatrix(scratch / "i.gguf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->entries.at("blk.0.attn_q.weight").inputs, ElementsAre(512, -1024, 0));
  EXPECT_THAT(read->mean_inputs("blk.0.attn_q.weight"), ElementsAre(0.5, -1, 0));
  EXPECT_THAT(read->mean_inputs("blk.0.ffn_up_exps.weight"), testing::IsEmpty());
  // Known of both, added; known of one alone, unknown of both.
  Imatrix twice = made;
  ASSERT_TRUE(twice.merge(made));
  EXPECT_THAT(twice.mean_inputs("blk.0.attn_q.weight"), ElementsAre(0.5, -1, 0));
  ASSERT_TRUE(twice.merge(example()));
  EXPECT_THAT(twice.mean_inputs("blk.0.attn_q.weight"), testing::IsEmpty());
  // Of another shape: the rows that the sums have, one column less.
  const auto file = Gguf::open(scratch / "i.gguf");
  std::vector<TensorInfo> tensors = file->tensors();
  for (TensorInfo& tensor : tensors)
    if (tensor.name.ends_with(".in_sum")) tensor.dims[0] = 2;
  const auto fill = [&](const TensorInfo& info, std::span<std::byte> out) -> Status {
    return info.name.ends_with(".in_sum") ? Status{} : file->read(*file->find(info.name), 0, out);
  };
  ASSERT_TRUE(write_gguf(scratch / "short.gguf", file->metadata(), tensors, fill, {}));
  const auto refused = read_imatrix(scratch / "short.gguf");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr(".in_sum"));
}

TEST(Imatrix, MergingAddsSumsAndCounts) {
  Imatrix merged = example();
  Imatrix other = example();
  other.entries.erase("blk.0.ffn_up_exps.weight");
  other.entries["output.weight"] = {1, {9}, {3}};
  other.datasets = {"more.txt"};
  ASSERT_TRUE(merged.merge(other));
  EXPECT_THAT(merged.entries.at("blk.0.attn_q.weight").sums, ElementsAre(2048, 4096, 0));
  EXPECT_THAT(merged.entries.at("blk.0.attn_q.weight").counts, ElementsAre(2048));
  EXPECT_THAT(merged.entries.at("blk.0.ffn_up_exps.weight").counts, ElementsAre(2, 0, 5));
  EXPECT_THAT(merged.entries.at("output.weight").sums, ElementsAre(9));
  EXPECT_EQ(merged.chunk_count, 4u);
  EXPECT_THAT(merged.datasets, ElementsAre("calibration.txt", "more.txt"));
}

// Two chunks of mean (3, 0, 0) from a .dat weigh as 1,024 tokens against our 1,024 of mean (1, 2, 0): mean (2, 1, 0).
TEST(Imatrix, ADatIsWeighedByChunksWhicheverSideItIsOn) {
  Imatrix dat;
  dat.entries["blk.0.attn_q.weight"] = {3, {6, 0, 0}, {2}};
  dat.entries["blk.0.ffn_up_exps.weight"] = {6, {2, 2, 2, 2, 2, 2}, {2}};
  Imatrix one = example();
  ASSERT_TRUE(one.merge(dat));
  EXPECT_THAT(one.importance("blk.0.attn_q.weight"), ElementsAre(2, 1, 0));
  EXPECT_EQ(one.entries.at("blk.0.ffn_up_exps.weight").columns, 2u);
  EXPECT_THAT(one.entries.at("blk.0.ffn_up_exps.weight").counts, ElementsAre(1026, 1024, 1029));
  Imatrix two = dat;
  ASSERT_TRUE(two.merge(example()));
  EXPECT_EQ(two.chunk_size, 512u);
  for (const auto& [name, entry] : one.entries) {
    EXPECT_EQ(two.entries.at(name).sums, entry.sums);
    EXPECT_EQ(two.entries.at(name).counts, entry.counts);
  }
}

TEST(Imatrix, AMismatchNamesTheTensorAndChangesNothing) {
  Imatrix merged = example();
  Imatrix other;
  other.entries["a.first"] = {1, {9}, {3}};
  other.entries["blk.0.attn_q.weight"] = {4, {1, 1, 1, 1}, {1}};
  const Status status = merged.merge(other);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(status.error().message, HasSubstr("blk.0.attn_q.weight"));
  EXPECT_THAT(merged.entries, SizeIs(2));
}

TEST(Imatrix, WritingRefusesWhatCannotBeMeant) {
  const ScratchDirectory scratch;
  EXPECT_EQ(write_imatrix(scratch / "i", {}, ImatrixFormat::kGguf, {}).error().code, ErrorCode::kUsage);
  Imatrix wrong = example();
  wrong.entries["blk.0.attn_q.weight"].sums.pop_back();
  EXPECT_EQ(write_imatrix(scratch / "i", wrong, ImatrixFormat::kGguf, {}).error().code, ErrorCode::kUsage);
  ASSERT_TRUE(write_imatrix(scratch / "i", example(), ImatrixFormat::kGguf, {}));
  EXPECT_EQ(write_imatrix(scratch / "i", example(), ImatrixFormat::kGguf, {}).error().code, ErrorCode::kUsage) << "exists";
}

// One control and one named fault per case.
TEST(ImatrixBadInput, Dat) {
  const std::string head = le<int32_t>(1) + dat_text("blk.0.attn_q.weight") + le<int32_t>(4) + le<int32_t>(2);
  const std::string control = head + floats({4, 8}) + le<int32_t>(7) + dat_text("d.txt");
  ASSERT_TRUE(parse_text(control)) << parse_text(control).error().message;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  struct Case {
    const char* label;
    std::string bytes;
    const char* says;
  };
  const Case cases[] = {
      {"empty", "", "number of entries"},
      {"no entries", le<int32_t>(0), "number of entries"},
      {"negative entries", le<int32_t>(-1) + control.substr(4), "is -1"},
      {"2^31 - 1 entries", le<int32_t>(INT32_MAX) + control.substr(4), "is 2147483647"},
      {"name length -1", le<int32_t>(1) + le<int32_t>(-1) + control.substr(8), "name length"},
      {"name length 2^30", le<int32_t>(1) + le<int32_t>(1 << 30) + control.substr(8), "name length"},
      {"negative calls", le<int32_t>(1) + dat_text("a") + le<int32_t>(-4) + le<int32_t>(2) + floats({4, 8}), "number of calls"},
      {"values past the end", le<int32_t>(1) + dat_text("a") + le<int32_t>(4) + le<int32_t>(3) + floats({4, 8}), "number of values"},
      {"no values", le<int32_t>(1) + dat_text("a") + le<int32_t>(4) + le<int32_t>(0), "number of values"},
      {"NaN", head + floats({4, nan}), "sum nan in column 1"},
      {"infinite", head + floats({std::numeric_limits<float>::infinity(), 1}), "sum inf in column 0"},
      {"negative sum", head + floats({4, -8}), "not negative"},
      {"twice", le<int32_t>(2) + control.substr(4, head.size() + 4) + control.substr(4), "given twice"},
      {"trailing bytes", control + "x", "is followed by 1 bytes"},
      {"dataset length", head + floats({4, 8}) + le<int32_t>(7) + le<int32_t>(-2), "dataset name length"},
      {"web page", "<!DOCTYPE html><html>", "HTML page"},
  };
  for (const Case& bad : cases) {
    const auto read = parse_text(bad.bytes);
    ASSERT_FALSE(read) << bad.label;
    EXPECT_EQ(read.error().code, ErrorCode::kBadInput) << bad.label;
    EXPECT_THAT(read.error().message, HasSubstr(bad.says)) << bad.label;
  }
  // Only the forms without (part of) the trailer are whole files.
  for (size_t size = 0; size < control.size(); ++size) {
    const bool whole = size == head.size() + 8 || size == head.size() + 12;
    EXPECT_EQ(parse_text(control.substr(0, size)).has_value(), whole) << size;
  }
}

TEST(ImatrixBadInput, GgufForm) {
  const ScratchDirectory scratch;
  const auto write = [&](const std::string& name, const char* type, std::vector<TensorInfo> tensors, float value) {
    Metadata m;
    m.set("general.type", MetaValue::string(type));
    const auto fill = [&](const TensorInfo& info, std::span<std::byte> out) -> Status {
      if (info.type == GgmlType::kF32) std::fill_n(reinterpret_cast<float*>(out.data()), out.size() / 4, value);
      return {};
    };
    const auto written = write_gguf(scratch / name, m, tensors, fill, {});
    EXPECT_TRUE(written) << written.error().message;
    return read_imatrix(scratch / name);
  };
  TensorInfo sums;
  sums.name = "w.in_sum2";
  sums.n_dims = 2;
  sums.dims = {4, 2, 1, 1};
  TensorInfo counts = sums;
  counts.name = "w.counts";
  counts.dims = {1, 2, 1, 1};
  ASSERT_TRUE(write("control", "imatrix", {sums, counts}, 1));
  const auto refused = [](const Result<Imatrix>& read, const char* says) {
    ASSERT_FALSE(read) << says;
    EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(read.error().message, HasSubstr(says));
  };
  refused(write("model", "model", {sums, counts}, 1), "type 'model'");
  refused(write("no-counts", "imatrix", {sums}, 1), "counts are missing");
  refused(write("nothing", "imatrix", {counts}, 1), "no tensor '*.in_sum2'");
  refused(write("nan", "imatrix", {sums, counts}, std::numeric_limits<float>::quiet_NaN()), "tensor 'w' has sum nan");
  refused(write("negative", "imatrix", {sums, counts}, -1), "not negative");
  TensorInfo half = sums;
  half.type = GgmlType::kF16;
  refused(write("half", "imatrix", {half, counts}, 1), "not held in F32");
  TensorInfo three = counts;
  three.dims = {1, 3, 1, 1};
  refused(write("three", "imatrix", {sums, three}, 1), "3 counts are given");
}

}  // namespace
}  // namespace assay
