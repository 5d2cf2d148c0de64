#include "assay/probe/write_variant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/sha256.h"
#include "assay/probe/apply_edit.h"
#include "assay/quant/code_move.h"
#include "tests/probe/written_models.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::UnorderedElementsAre;
using written_models::bytes_of;
using written_models::values_of;
using written_models::variant;

class WriteVariant : public testing::Test {
 protected:
  void SetUp() override {
    model_ = written_models::make(dir_ / "in.gguf");
    hash_ = sha256_of_file(dir_ / "in.gguf").value();
  }
  // The model is the same to the byte, whatever was written from it.
  void TearDown() override { EXPECT_EQ(sha256_of_file(dir_ / "in.gguf").value(), hash_); }

  // Writes and opens the variant; a tensor that is not among those reported has the model's type and bytes.
  std::shared_ptr<const Checkpoint> write(const std::string& text, const WriteVariantOptions& options = {.force = true}) {
    const auto written = write_variant(*model_, variant(text), dir_ / "out.gguf", options);
    EXPECT_TRUE(written) << text << ": " << written.error().message;
    if (!written) return nullptr;
    written_ = *written;
    const auto opened = Checkpoint::open(dir_ / "out.gguf");
    EXPECT_TRUE(opened) << text << ": " << opened.error().message;
    if (!opened) return nullptr;
    EXPECT_EQ((*opened)->tensors().size(), written_.tensor_count);
    for (const TensorInfo& tensor : (*opened)->tensors()) {
      const auto named = [&](const WrittenTensor& one) { return one.name == tensor.name; };
      if (std::any_of(written_.tensors.begin(), written_.tensors.end(), named)) continue;
      const std::string source = source_of(tensor.name);
      EXPECT_EQ(tensor.type, model_->find(source)->type) << text << ": " << tensor.name;
      EXPECT_EQ(bytes_of(**opened, tensor.name), bytes_of(*model_, source)) << text << ": " << tensor.name;
    }
    return *opened;
  }
  std::string source_of(const std::string& name) const {
    if (!name.starts_with("blk.")) return name;
    const size_t dot = name.find('.', 4);
    return "blk." + std::to_string(written_.blocks.at(std::stoul(name.substr(4, dot)))) + name.substr(dot);
  }
  Error refused(const std::string& text, const WriteVariantOptions& options = {}) {
    const auto written = write_variant(*model_, variant(text), dir_ / "refused.gguf", options);
    EXPECT_FALSE(written) << text;
    EXPECT_FALSE(std::filesystem::exists(dir_ / "refused.gguf"));
    EXPECT_THAT(dir_.names(), testing::Not(testing::Contains(HasSubstr("tmp-assay")))) << text;
    return written ? Error{ErrorCode::kInternal, "accepted"} : written.error();
  }
  // The values that the sweep would run with.
  std::vector<float> applied(const std::string& tensor, const std::string& text) {
    const Hyper hyper = parse_hyper(model_->metadata(), true).value();
    std::vector<float> values = values_of(*model_, tensor);
    const std::vector<std::byte> stored = bytes_of(*model_, tensor);
    for (const WeightEdit& edit : variant(text).weights)
      EXPECT_TRUE(apply_edit(edit, {model_->find(tensor), &hyper, stored, values}, nullptr));
    return values;
  }

  testing_files::ScratchDirectory dir_;
  std::shared_ptr<const Checkpoint> model_;
  std::string hash_;
  WrittenVariant written_;
};

TEST_F(WriteVariant, ACodeMoveChangesItsBlockAlone) {
  const std::string name = "blk.1.attn_q.weight";  // Q4_K: a row is one block
  const auto out = write(R"({"weights": [{"tensor": "blk.1.attn_q.weight", "at": [[3, 7]], "level": 1}]})");
  ASSERT_NE(out, nullptr);
  std::vector<std::byte> expected = bytes_of(*model_, name);
  const std::span<std::byte> row = std::span(expected).subspan(3 * 144, 144);
  const auto moved = move_code(GgmlType::kQ4_K, row, 7, 1);
  ASSERT_TRUE(moved && !moved->saturated);
  EXPECT_EQ(bytes_of(*out, name), expected);
  std::vector<float> values = values_of(*model_, name);
  values[3 * 256 + 7] = moved->changes[0].after;
  EXPECT_EQ(values_of(*out, name), values);
  ASSERT_EQ(written_.tensors.size(), 1u);
  EXPECT_EQ(written_.tensors[0].form, StoredForm::kMoved);
  EXPECT_EQ(written_.tensors[0].counts.changed, 1u);
}

TEST_F(WriteVariant, MovesOfEveryKindAreTheValuesThatAreMeasured) {
  const std::pair<const char*, const char*> moves[] = {
      {"blk.0.attn_q.weight", R"("level": -1)"},                   // every weight of a Q4_K tensor
      {"blk.0.attn_v.weight", R"("row": 5, "level": 1)"},          // TQ1_0: five codes share a byte
      {"blk.0.attn_k.weight", R"("head": 1, "level": 1)"},         // Q8_0
      {"blk.0.attn_output.weight", R"("column": 9, "level": 1)"},  // Q6_K
      {"blk.0.ffn_down.weight", R"("column": 16, "level": 1)"},    // IQ2_S: a sign
      {"blk.0.attn_k.weight", R"("byte": 40, "step": 3)"},
      {"blk.0.ffn_gate.weight", R"("byte": 40, "step": -1)"},  // F16
      {"blk.0.attn_q.weight", R"("byte": 5, "step": 100)"},    // sub-scales
  };
  for (const auto& [tensor, edit] : moves) {
    const std::string text = R"({"weights": [{"tensor": ")" + std::string(tensor) + R"(", )" + edit + "}]}";
    const auto out = write(text);
    ASSERT_NE(out, nullptr);
    EXPECT_EQ(out->find(tensor)->type, model_->find(tensor)->type);
    EXPECT_EQ(values_of(*out, tensor), applied(tensor, text)) << text;
    EXPECT_NE(bytes_of(*out, tensor), bytes_of(*model_, tensor)) << text;
  }
}

TEST_F(WriteVariant, AByteMoveMayMakeInfiniteWeights) {
  std::vector<std::byte> stored = bytes_of(*model_, "blk.2.attn_k.weight");
  const int high = std::to_integer<int>(stored[1]);  // of the first block's F16 scale
  const auto out = write(R"({"weights": [{"tensor": "blk.2.attn_k.weight", "byte": 1, "step": )" + std::to_string(0x7f - high) + "}]}");
  ASSERT_NE(out, nullptr);
  stored[1] = std::byte{0x7f};
  EXPECT_EQ(bytes_of(*out, "blk.2.attn_k.weight"), stored);
  EXPECT_EQ(written_.tensors.at(0).counts.non_finite, 32u);
}

TEST_F(WriteVariant, ValuesAreRoundedToFloatTypesAndWidenQuantizedOnes) {
  const std::string edits[] = {R"("set": 0.1)", R"("row": 2, "add": 0.001)", R"("column": 5, "scale": 1.01)", R"("noise": 0.1, "seed": 3)",
                               R"("at": [[1, 2]], "set": 0)"};
  for (const std::string& edit : edits) {
    for (const char* tensor : {"blk.1.ffn_gate.weight", "blk.1.ffn_up.weight", "token_embd.weight", "blk.1.attn_q.weight"}) {
      const std::string text = R"({"weights": [{"tensor": ")" + std::string(tensor) + R"(", )" + edit + "}]}";
      const auto out = write(text);
      ASSERT_NE(out, nullptr);
      const TensorInfo& source = *model_->find(tensor);
      const bool quantized = find_type(source.type)->quantized;
      EXPECT_EQ(out->find(tensor)->type, quantized ? GgmlType::kF32 : source.type);
      const std::vector<float> wanted = applied(tensor, text);
      std::vector<std::byte> rounded(bytes_of(*out, tensor).size());
      ASSERT_TRUE(encode(out->find(tensor)->type, wanted, source.row_length(), rounded));
      EXPECT_EQ(bytes_of(*out, tensor), rounded) << text;
      EXPECT_EQ(written_.tensors.at(0).form, quantized ? StoredForm::kWidened : StoredForm::kRounded);
      if (out->find(tensor)->type == GgmlType::kF32) {
        EXPECT_EQ(values_of(*out, tensor), wanted) << text;
        EXPECT_EQ(written_.tensors.at(0).counts.rounded, 0u);
      }
    }
  }
  // 0.1 is no number of F16: all weights are rounded.
  ASSERT_NE(write(R"({"weights": [{"tensor": "blk.1.ffn_gate.weight", "set": 0.1}]})"), nullptr);
  EXPECT_EQ(written_.tensors.at(0).counts.rounded, 256u * 512u);
}

TEST_F(WriteVariant, AHeadOfTheOutputMatrixCanBeCut) {
  const auto out = write(R"({"weights": [{"layer": 1, "head": 2, "set": 0}]})");
  ASSERT_NE(out, nullptr);
  const std::vector<float> before = values_of(*model_, "blk.1.attn_output.weight"), after = values_of(*out, "blk.1.attn_output.weight");
  for (uint64_t i = 0; i < after.size(); ++i) ASSERT_EQ(after[i], i % 256 / 64 == 2 ? 0 : before[i]) << i;
}

TEST_F(WriteVariant, ATypeIsEncodedWithItsImportance) {
  const std::string name = "blk.0.ffn_up.weight", text = R"({"weights": [{"tensor": "blk.0.ffn_up.weight", "type": "Q4_K"}]})";
  const std::vector<float> values = values_of(*model_, name);
  std::vector<std::byte> plain(512 * 144), weighted(512 * 144);
  ASSERT_TRUE(encode(GgmlType::kQ4_K, values, 256, plain));
  Imatrix imatrix;
  ImatrixEntry& entry = imatrix.entries[name];
  entry.columns = 256;
  entry.counts = {1};
  for (int j = 0; j < 256; ++j) entry.sums.push_back(static_cast<float>(1 + j * j));
  EncodeOptions options;
  const std::vector<float> importance = imatrix.importance(name);
  options.importance = importance;
  ASSERT_TRUE(encode(GgmlType::kQ4_K, values, 256, weighted, options));
  ASSERT_NE(plain, weighted);
  auto out = write(text);
  EXPECT_EQ(out->find(name)->type, GgmlType::kQ4_K);
  EXPECT_EQ(bytes_of(*out, name), plain);
  out = write(text, {.imatrix = &imatrix, .force = true});
  EXPECT_EQ(bytes_of(*out, name), weighted);
  EXPECT_EQ(written_.tensors.at(0).form, StoredForm::kEncoded);

  // A quarter of the way there, in F32.
  out = write(R"({"weights": [{"tensor": "blk.0.ffn_up.weight", "type": "Q4_K", "share": 0.25}]})");
  std::vector<float> goal(values.size());
  ASSERT_TRUE(decode(GgmlType::kQ4_K, plain, 256, goal));
  const std::vector<float> after = values_of(*out, name);
  for (size_t i = 0; i < after.size(); ++i) {
    const double expected = static_cast<double>(values[i]) + 0.25 * (static_cast<double>(goal[i]) - static_cast<double>(values[i]));
    ASSERT_EQ(after[i], static_cast<float>(expected)) << i;
  }
}

TEST_F(WriteVariant, AnotherModelsTensorIsTakenAsItIs) {
  const auto other = written_models::make(dir_ / "other.gguf", "llama", "other");
  const std::string from = R"("from": ")" + dir_ / "other.gguf" + "\"";
  const std::string name = "blk.1.attn_q.weight";
  auto out = write(R"({"weights": [{"tensor": "blk.1.attn_q.weight", )" + from + "}]}");
  EXPECT_EQ(out->find(name)->type, GgmlType::kQ4_K);
  EXPECT_EQ(bytes_of(*out, name), bytes_of(*other, name));
  EXPECT_EQ(written_.tensors.at(0).form, StoredForm::kTaken);
  out = write(R"({"weights": [{"tensor": "blk.1.attn_q.weight", )" + from + R"(, "share": 0.5}]})");
  EXPECT_EQ(out->find(name)->type, GgmlType::kF32);
  const std::vector<float> a = values_of(*model_, name), b = values_of(*other, name), half = values_of(*out, name);
  for (size_t i = 0; i < half.size(); ++i) ASSERT_NEAR(half[i], (a[i] + b[i]) / 2, 1e-7 * (std::fabs(a[i]) + std::fabs(b[i]))) << i;

  const auto gpt2 = written_models::make(dir_ / "gpt2.gguf", "gpt2");
  EXPECT_EQ(refused(R"({"weights": [{"tensor": "blk.1.attn_q.weight", "from": ")" + dir_ / "gpt2.gguf" + "\"}]}").code,
            ErrorCode::kMismatch);
  EXPECT_EQ(refused(R"({"weights": [{"tensor": "blk.1.attn_q.weight", "from": "no-such.gguf"}]})").code, ErrorCode::kNotFound);
}

TEST_F(WriteVariant, LowRankIsAProduct) {
  const std::string name = "blk.0.ffn_up.weight";  // F32, [512, 256]
  std::string data;
  const auto add = [&](float value) { data.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (int i = 0; i < 512 * 2; ++i) add(i == 3 * 2 ? 2.0F : i == 3 * 2 + 1 ? 1.0F : 0.0F);            // row 3: (2, 1)
  for (int i = 0; i < 2 * 256; ++i) add(i == 7 ? 3.0F : i == 256 + 7 ? 4.0F : i == 8 ? 1.0F : 0.0F);  // column 7: (3, 4), 8: (1, 0)
  const nlohmann::json header = {{name + ".a", {{"dtype", "F32"}, {"shape", {512, 2}}, {"data_offsets", {0, 4096}}}},
                                 {name + ".b", {{"dtype", "F32"}, {"shape", {2, 256}}, {"data_offsets", {4096, 6144}}}}};
  testing_files::put_file(dir_ / "ab.safetensors", testing_files::raw_safetensors(header.dump(), data));
  const auto edit = [&](const std::string& tensor) {
    return R"({"weights": [{"tensor": ")" + tensor + R"(", "low_rank": ")" + dir_ / "ab.safetensors" + R"(", "factor": 0.5}]})";
  };
  const auto out = write(edit(name));
  std::vector<float> expected = values_of(*model_, name);
  expected[3 * 256 + 7] += 5;  // half of 2 * 3 + 1 * 4
  expected[3 * 256 + 8] += 1;
  EXPECT_EQ(values_of(*out, name), expected);
  EXPECT_EQ(refused(edit("blk.0.attn_q.weight")).code, ErrorCode::kMismatch);  // not in the file
}

TEST_F(WriteVariant, BlocksAreLeftOutMovedAndRepeated) {
  const auto keys = [&](const Checkpoint& out, uint64_t blocks) {
    EXPECT_THAT(out.metadata().get_u64("llama.block_count").value(), Optional(blocks));
    for (const char* key : {"general.name", "general.file_type", "tokenizer.ggml.token_type"})
      EXPECT_EQ(*out.metadata().find(key), *model_->metadata().find(key)) << key;
  };
  const std::string pruned = R"({"schedule": [{"skip": 1}]})";
  auto out = write(pruned);
  keys(*out, 2);
  EXPECT_THAT(written_.blocks, ElementsAre(0, 2));
  EXPECT_THAT(out->metadata().get_i64s("llama.one_per_block").value(), Optional(ElementsAre(10, 12)));
  EXPECT_EQ(out->tensors().size(), model_->tensors().size() - 9);
  EXPECT_EQ(bytes_of(*out, "blk.1.attn_q.weight"), bytes_of(*model_, "blk.2.attn_q.weight"));
  EXPECT_THAT(out->metadata().get_string(kVariantHashKey).value(), Optional(hash_of(variant(pruned))));

  out = write(R"({"schedule": [{"order": [2, 0, 1]}]})");
  keys(*out, 3);
  EXPECT_THAT(out->metadata().get_i64s("llama.one_per_block").value(), Optional(ElementsAre(12, 10, 11)));
  EXPECT_EQ(bytes_of(*out, "blk.0.ffn_up.weight"), bytes_of(*model_, "blk.2.ffn_up.weight"));

  out = write(R"({"schedule": [{"repeat": [0, 1], "times": 3}], "weights": [{"tensor": "blk.1.ffn_up.weight", "scale": 2}]})");
  keys(*out, 7);
  EXPECT_THAT(written_.blocks, ElementsAre(0, 1, 0, 1, 0, 1, 2));
  EXPECT_EQ(written_.tensors.size(), 3u);  // each run of block 1 has the edited matrix
  EXPECT_EQ(values_of(*out, "blk.5.ffn_up.weight"),
            applied("blk.1.ffn_up.weight", R"({"weights": [{"tensor": "blk.1.ffn_up.weight", "scale": 2}]})"));
}

TEST_F(WriteVariant, AHalfThatIsLeftOutEndsInZeros) {
  const auto out = write(R"({"schedule": [{"skip": 1, "part": "attention"}, {"skip": 2, "part": "ffn"}]})");
  ASSERT_NE(out, nullptr);
  std::vector<std::string> names;
  for (const WrittenTensor& tensor : written_.tensors) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.form, StoredForm::kZeroed);
    EXPECT_EQ(out->find(tensor.name)->type, model_->find(tensor.name)->type);
    EXPECT_THAT(values_of(*out, tensor.name), testing::Each(0.0F));
  }
  EXPECT_THAT(names, UnorderedElementsAre("blk.1.attn_output.weight", "blk.2.ffn_down.weight"));

  model_ = written_models::make(dir_ / "gpt2.gguf", "gpt2");
  ASSERT_NE(write(R"({"schedule": [{"skip": 1, "part": "attention"}, {"skip": 2, "part": "ffn"}]})"), nullptr);
  names.clear();
  for (const WrittenTensor& tensor : written_.tensors) names.push_back(tensor.name);
  EXPECT_THAT(names,
              UnorderedElementsAre("blk.1.attn_output.weight", "blk.1.attn_output.bias", "blk.2.ffn_down.weight", "blk.2.ffn_down.bias"));
}

TEST(StoredZeros, AreZeroInEveryType) {
  for (const Codec& codec : all_codecs()) {
    if (codec.decode == nullptr) continue;
    const std::vector<std::byte> block(codec.info->block_bytes);
    std::vector<float> values(codec.info->block_size, 1);
    ASSERT_TRUE(decode(codec.info->type, block, values.size(), values));
    EXPECT_THAT(values, testing::Each(0.0F)) << codec.info->name;
  }
}

TEST_F(WriteVariant, AHuggingFaceDirectoryIsConverted) {
  tiny::write_hf_model(dir_ / "hf", tiny::llama_config(), tiny::llama_tensors());
  model_ = Checkpoint::open(dir_ / "hf").value();
  const auto out = write(R"({"schedule": [{"order": [1, 0]}], "weights": [{"tensor": "blk.0.ffn_down.weight", "at": [[0, 1]], "set": 5}]})",
                         {.defaults = {{"general.file_type", MetaValue::u32(0)}}, .force = true});
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(values_of(*out, "blk.1.ffn_down.weight")[1], 5.0F);
  for (const Metadata::Entry& entry : model_->metadata().entries())
    if (entry.key.starts_with("tokenizer.")) {
      EXPECT_EQ(*out->metadata().find(entry.key), entry.value) << entry.key;
    }
  EXPECT_THAT(out->metadata().get_u64("general.file_type").value(), Optional(uint64_t{0}));
}

TEST_F(WriteVariant, RefusesWhatAFileCannotHold) {
  const auto unsupported = [&](const std::string& text, const char* what) {
    const Error error = refused(text);
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << text;
    EXPECT_THAT(error.message, HasSubstr("variant 'x': ")) << text;
    EXPECT_THAT(error.message, HasSubstr(what)) << text;
  };
  unsupported(R"({"name": "x", "attention": [{"layer": 1, "rule": "top-1"}]})", "attention");
  unsupported(R"({"name": "x", "schedule": [{"skip": 0}], "residual": [{"first": true}]})", "residual stream");
  unsupported(R"({"name": "x", "schedule": [{"repeat": 1, "times": 2, "gamma": 0.5}]})", "runs block 1 with a gamma");

  const Error large = refused(R"({"name": "x", "weights": [{"tensor": "blk.1.ffn_gate.weight", "at": [[0, 3]], "set": 70000}]})");
  EXPECT_EQ(large.code, ErrorCode::kBadInput);
  EXPECT_THAT(large.message, HasSubstr("'blk.1.ffn_gate.weight' would have 70000.0"));
  EXPECT_THAT(large.message, HasSubstr("at weight 3"));

  // Both start from the code as it is: neither the sum nor the last of them is what is measured and can be stored by moving both.
  const Error twice = refused(
      R"({"weights": [{"tensor": "blk.1.attn_k.weight", "at": [[0, 3]], "level": 1}, {"tensor": "blk.1.attn_k.weight", "at": [[0, 3]], "level": 1}]})");
  EXPECT_EQ(twice.code, ErrorCode::kMismatch);
  EXPECT_THAT(twice.message, HasSubstr("moves that lie together, at weight 3"));

  EXPECT_EQ(refused(R"({"schedule": [{"skip": 9}]})").code, ErrorCode::kMismatch);
  EXPECT_EQ(refused(R"({"weights": [{"tensor": "blk.1.nothing.weight", "set": 0}]})").code, ErrorCode::kNotFound);
}

TEST_F(WriteVariant, NeverReplacesAnInput) {
  const Variant skip = variant(R"({"schedule": [{"skip": 1}]})");
  const auto onto = [&](const std::string& path, const WriteVariantOptions& options) {
    const std::string before = testing_files::get_file(path);
    const auto written = write_variant(*model_, skip, path, options);
    EXPECT_EQ(testing_files::get_file(path), before);
    return written ? ErrorCode::kInternal : written.error().code;
  };
  testing_files::put_file(dir_ / "variants.json", "[]");
  testing_files::put_file(dir_ / "old.gguf", "old");
  EXPECT_EQ(onto(dir_ / "in.gguf", {.force = true}), ErrorCode::kUsage);
  EXPECT_EQ(onto(dir_ / "variants.json", {.inputs = {dir_ / "variants.json"}, .force = true}), ErrorCode::kUsage);
  EXPECT_EQ(onto(dir_ / "old.gguf", {}), ErrorCode::kUsage);

  // Nor a file of a model that it takes a tensor from.
  nlohmann::json config = tiny::llama_config();
  tiny::write_hf_model(dir_ / "hf", config, tiny::llama_tensors());
  tiny::write_hf_model(dir_ / "from", config, tiny::llama_tensors());
  const auto model = Checkpoint::open(dir_ / "hf").value();
  const Variant taken = variant(R"({"weights": [{"tensor": "blk.1.ffn_up.weight", "from": ")" + dir_ / "from" + "\"}]}");
  const auto written = write_variant(*model, taken, dir_ / "from/model.safetensors", {.force = true});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kUsage);
}

TEST(ChooseVariant, ByNameOrTheOnlyOne) {
  VariantSet set;
  set.variants = {variant(R"({"name": "without 3", "schedule": [{"skip": 3}]})")};
  EXPECT_EQ(choose_variant(set, "").value(), &set.variants[0]);
  set.variants.push_back(variant(R"({"name": "without 4", "schedule": [{"skip": 4}]})"));
  EXPECT_EQ(choose_variant(set, "without 4").value(), &set.variants[1]);
  EXPECT_THAT(choose_variant(set, "").error().message, HasSubstr("--name"));
  const Error unknown = choose_variant(set, "without 5").error();
  EXPECT_EQ(unknown.code, ErrorCode::kUsage);
  EXPECT_THAT(unknown.message, HasSubstr("'without "));
}

}  // namespace
}  // namespace assay
