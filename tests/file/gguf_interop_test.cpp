// PyPI gguf reads what we write, and we read what it writes: metadata of every type, tensors, alignment, imatrix.
#include <nlohmann/json.hpp>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "assay/file/imatrix.h"
#include "tests/file/test_files.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

using nlohmann::json;
using testing_files::ScratchDirectory;

// What gguf says about `path` (mode "describe"), or about the file it was asked to make.
json ask_gguf(const std::string& mode, const std::string& path) {
  const interop::PythonRun run = interop::run_python({"gguf", "numpy"}, "gguf_files.py", {mode, path});
  EXPECT_EQ(run.exit_code, 0) << run.output;
  return json::parse(run.output, nullptr, false);
}

// Our value in gguf's terms: its type names, and a JSON value.
json describe(const MetaValue& value);

json type_name(MetaType type) {
  static constexpr const char* kNames[] = {"UINT8", "INT8",   "UINT16", "INT16",  "UINT32", "INT32",  "FLOAT32",
                                           "BOOL",  "STRING", "ARRAY",  "UINT64", "INT64",  "FLOAT64"};
  return kNames[static_cast<size_t>(type)];
}

json array_json(const MetaArray& array) {
  json values = json::array();
  for (size_t i = 0; i < array.string_values.size(); ++i) values.push_back(array.string_values[i]);
  for (const uint64_t v : array.unsigned_values) values.push_back(array.element == MetaType::kBool ? json(v != 0) : json(v));
  for (const int64_t v : array.signed_values) values.push_back(v);
  for (const double v : array.real_values) values.push_back(v);
  return values;
}

json describe(const MetaValue& value) {
  if (const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&value.value)) {
    return {{"types", {"ARRAY", type_name((*array)->element)}}, {"value", array_json(**array)}};
  }
  json plain;
  std::visit(
      [&](const auto& v) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(v)>, std::shared_ptr<const MetaArray>>) plain = v;
      },
      value.value);
  return {{"types", {type_name(value.type)}}, {"value", plain}};
}

json describe(const Gguf& file) {
  json keys = json::object();
  for (const auto& entry : file.metadata().entries()) keys[entry.key] = describe(entry.value);
  json tensors = json::array();
  for (const TensorInfo& tensor : file.tensors()) {
    Sha256 hash;
    hash.add(*file.read(tensor));
    tensors.push_back({{"name", tensor.name},
                       {"type", find_type(tensor.type)->name},
                       {"dims", std::vector<uint64_t>(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims)},
                       {"bytes", tensor.bytes},
                       {"offset", file.data_offset() + tensor.offset},
                       {"sha256", hash.hex()}});
  }
  return {{"alignment", file.alignment()}, {"keys", keys}, {"tensors", tensors}};
}

TEST(GgufInterop, WeReadWhatGgufWrites) {
  const ScratchDirectory scratch;
  const json theirs = ask_gguf("write", scratch / "theirs.gguf");
  ASSERT_TRUE(theirs.is_object());
  const auto file = Gguf::open(scratch / "theirs.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->alignment(), 64u);
  EXPECT_EQ(file->tensors().size(), 7u);
  EXPECT_GT(theirs["keys"].size(), 16u);
  EXPECT_EQ(describe(*file), theirs);
  EXPECT_THAT(file->warnings(), ::testing::IsEmpty());
}

TEST(GgufInterop, GgufReadsWhatWeWrite) {
  const ScratchDirectory scratch;
  ask_gguf("write", scratch / "theirs.gguf");
  const auto theirs = Gguf::open(scratch / "theirs.gguf");
  ASSERT_TRUE(theirs) << theirs.error().message;
  // Its file once more, with what gguf itself cannot write: arrays of all other element types, and every tensor type.
  Metadata metadata = theirs->metadata();
  const auto add = [&](const char* key, MetaType element, auto member, auto values) {
    MetaArray array;
    array.element = element;
    array.*member = std::move(values);
    metadata.set(key, {MetaType::kArray, std::make_shared<const MetaArray>(std::move(array))});
  };
  using U = std::vector<uint64_t>;
  using I = std::vector<int64_t>;
  add("b.u8", MetaType::kU8, &MetaArray::unsigned_values, U{0, 255});
  add("b.i8", MetaType::kI8, &MetaArray::signed_values, I{-128, 127});
  add("b.u16", MetaType::kU16, &MetaArray::unsigned_values, U{65535});
  add("b.i16", MetaType::kI16, &MetaArray::signed_values, I{-32768});
  add("b.u32", MetaType::kU32, &MetaArray::unsigned_values, U{4294967295});
  add("b.u64", MetaType::kU64, &MetaArray::unsigned_values, U{18446744073709551615ull});
  add("b.i64", MetaType::kI64, &MetaArray::signed_values, I{INT64_MIN});
  add("b.f64", MetaType::kF64, &MetaArray::real_values, std::vector<double>{0.1});
  std::vector<TensorInfo> tensors = theirs->tensors();
  for (const GgmlTypeInfo& type : all_types()) {
    // Q8_1 is never stored and gguf has another size for it; Q2_0 is newer than the pinned gguf.
    if (type.type == GgmlType::kQ8_1 || type.type == GgmlType::kQ2_0) continue;
    TensorInfo info;
    info.name = std::string("every.") + type.name;
    info.type = type.type;
    info.n_dims = 2;
    info.dims = {256, 3, 1, 1};
    tensors.push_back(info);
  }
  const auto fill = [&](const TensorInfo& info, std::span<std::byte> out) -> Status {
    const TensorInfo* copied = theirs->find(info.name);
    if (copied != nullptr) return theirs->read(*copied, 0, out);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>((i * 7 + info.offset) % 100);
    return {};
  };
  const auto layout = write_gguf(scratch / "ours.gguf", metadata, tensors, fill, {});
  ASSERT_TRUE(layout) << layout.error().message;
  const auto ours = Gguf::open(scratch / "ours.gguf");
  ASSERT_TRUE(ours) << ours.error().message;
  const json seen = ask_gguf("describe", scratch / "ours.gguf");
  ASSERT_TRUE(seen.is_object());
  EXPECT_EQ(seen, describe(*ours));
  EXPECT_EQ(seen["tensors"].size(), layout->tensors.size());
}

TEST(GgufInterop, ImatrixBothWays) {
  const ScratchDirectory scratch;
  ask_gguf("write-imatrix", scratch / "theirs.gguf");
  const auto read = read_imatrix(scratch / "theirs.gguf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->importance("blk.0.ffn_up_exps.weight"), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(read->datasets, ::testing::ElementsAre("a.txt", "b.txt"));
  EXPECT_EQ(read->chunk_count, 3u);
  ASSERT_TRUE(write_imatrix(scratch / "ours.gguf", *read, ImatrixFormat::kGguf, {}));
  const json seen = ask_gguf("describe", scratch / "ours.gguf");
  ASSERT_TRUE(seen.is_object());
  EXPECT_EQ(seen["keys"]["general.type"]["value"], "imatrix");
  EXPECT_EQ(seen["keys"]["imatrix.chunk_size"]["value"], 512);
  std::map<std::string, json> dims;
  for (const json& tensor : seen["tensors"]) dims[tensor["name"]] = tensor["dims"];
  const std::string name = "blk.0.ffn_up_exps.weight";
  const std::map<std::string, json> expected = {
      {name + ".in_sum2", json({2, 2})}, {name + ".in_sum", json({2, 2})}, {name + ".counts", json({1, 2})}};
  EXPECT_EQ(dims, expected);
}

}  // namespace
}  // namespace assay
