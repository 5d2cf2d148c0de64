#include "assay/file/safetensors.h"

#include <set>

#include "tests/file/raw_safetensors.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing_files::kControlData;
using testing_files::kControlHeader;
using testing_files::put_file;
using testing_files::raw_safetensors;
using testing_files::ScratchDirectory;

std::string text_of(const std::vector<std::byte>& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string read_all(const Safetensors& file, const std::string& name) {
  const SafetensorInfo* info = file.find(name);
  if (info == nullptr) return "(absent)";
  std::vector<std::byte> bytes(info->end - info->begin);
  EXPECT_TRUE(file.read(*info, 0, bytes));
  return text_of(bytes);
}

TEST(Safetensors, TensorsAndMetadataAreRead) {
  const std::string header =
      R"({"__metadata__":{"format":"pt","note":"\u00e9"},"z":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},)"
      R"("a":{"shape":[2,3],"data_offsets":[2,8],"dtype":"I8"},"none":{"dtype":"F32","shape":[4,0],"data_offsets":[8,8]}}   )";
  const auto file = Safetensors::parse(memory_source(testing_files::to_bytes(raw_safetensors(header, "zz012345"))));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->metadata(), ElementsAre(std::pair("format", "pt"), std::pair("note", "\xc3\xa9")));
  EXPECT_THAT(file->tensors(), SizeIs(3));
  EXPECT_EQ(read_all(*file, "z"), "zz");
  EXPECT_EQ(read_all(*file, "a"), "012345");
  EXPECT_EQ(read_all(*file, "none"), "");
  EXPECT_THAT(file->find("a")->shape, ElementsAre(2, 3));
  EXPECT_EQ(file->find("a")->dtype, "I8");
  EXPECT_EQ(file->find("a")->begin, 8 + header.size() + 2);
  EXPECT_EQ(file->view(*file->find("a")).size(), 6u);
  std::vector<std::byte> part(2);
  ASSERT_TRUE(file->read(*file->find("a"), 4, part));
  EXPECT_EQ(text_of(part), "45");
  EXPECT_FALSE(file->read(*file->find("a"), 5, part));
  EXPECT_EQ(file->find("absent"), nullptr);
}

// A model directory that a test changes piece by piece.
class HfModel : public ::testing::Test {
 protected:
  void SetUp() override {
    put_file(scratch_ / "config.json", R"({"model_type":"llama"})");
    put_file(scratch_ / "model.safetensors", raw_safetensors(kControlHeader, kControlData));
  }
  void shard_it() {
    std::filesystem::remove(scratch_ / "model.safetensors");
    put_file(scratch_ / "model-00001-of-00002.safetensors",
             raw_safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", "one"));
    put_file(scratch_ / "model-00002-of-00002.safetensors",
             raw_safetensors(R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", "two"));
    put_file(
        scratch_ / "model.safetensors.index.json",
        R"({"metadata":{"total_size":6},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  }
  Error refusal() const {
    const auto model = HfDirectory::open(scratch_.path().string());
    if (model) ADD_FAILURE() << "was accepted";
    return model ? Error{} : model.error();
  }
  ScratchDirectory scratch_;
};

TEST_F(HfModel, ADirectoryIsReadWithItsTexts) {
  for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "generation_config.json"})
    put_file(scratch_ / name, std::string("text of ") + name);
  put_file(scratch_ / "tokenizer_config.json", R"({"chat_template":"{{ hello }}"})");
  const auto model = HfDirectory::open(scratch_.path().string());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->config_json, R"({"model_type":"llama"})");
  EXPECT_EQ(model->tokenizer_json, "text of tokenizer.json");
  EXPECT_EQ(model->vocab_json, "text of vocab.json");
  EXPECT_EQ(model->merges_txt, "text of merges.txt");
  EXPECT_EQ(model->generation_config_json, "text of generation_config.json");
  EXPECT_EQ(model->chat_template, "{{ hello }}");
  EXPECT_EQ(read_all(model->tensors, "b"), "abcd");
}

TEST_F(HfModel, ChatTemplatesOfAllThreePlaces) {
  put_file(scratch_ / "tokenizer_config.json",
           R"({"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]})");
  EXPECT_EQ(HfDirectory::open(scratch_.path().string())->chat_template, "D");
  put_file(scratch_ / "chat_template.jinja", "J");
  EXPECT_EQ(HfDirectory::open(scratch_.path().string())->chat_template, "J");
}

TEST_F(HfModel, ASafetensorsFileBesideItsConfig) {
  std::filesystem::rename(scratch_ / "model.safetensors", scratch_ / "other.safetensors");
  const auto model = HfDirectory::open(scratch_ / "other.safetensors");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->path, scratch_.path().string());
  EXPECT_EQ(read_all(model->tensors, "b"), "abcd");
}

TEST_F(HfModel, ShardsAreOneModelByDirectoryOrByAnyShard) {
  shard_it();
  for (const std::string& path : {scratch_.path().string(), scratch_ / "model-00002-of-00002.safetensors"}) {
    const auto model = HfDirectory::open(path);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(read_all(model->tensors, "a"), "one");
    EXPECT_EQ(read_all(model->tensors, "b"), "two");
    EXPECT_THAT(model->tensors.paths(), SizeIs(2));
    EXPECT_THAT(model->tensors.warnings(), IsEmpty());
  }
}

TEST_F(HfModel, AQuantizedCheckpointIsRefusedByName) {
  put_file(scratch_ / "config.json", R"({"quantization_config":null})");
  ASSERT_TRUE(HfDirectory::open(scratch_.path().string()));
  put_file(scratch_ / "config.json", R"({"quantization_config":{"quant_method":"gptq"}})");
  EXPECT_EQ(refusal().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refusal().message, HasSubstr("quantization_config (gptq)"));
}

TEST_F(HfModel, WhatIsMissingIsNamed) {
  std::filesystem::remove(scratch_ / "model.safetensors");
  EXPECT_THAT(refusal().message, HasSubstr("neither model.safetensors nor"));
  put_file(scratch_ / "pytorch_model.bin", "PK");
  EXPECT_EQ(refusal().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refusal().message, HasSubstr("pytorch_model.bin"));
  std::filesystem::remove(scratch_ / "config.json");
  EXPECT_EQ(refusal().code, ErrorCode::kNotFound);
  EXPECT_THAT(refusal().message, HasSubstr("config.json"));
  EXPECT_EQ(HfDirectory::open(scratch_ / "nowhere").error().code, ErrorCode::kNotFound);
}

TEST_F(HfModel, AConfigThatIsNotAnObjectIsRefused) {
  for (const char* text : {"[]", "3", "{", "{} x", "nonsense"}) {
    put_file(scratch_ / "config.json", text);
    EXPECT_EQ(refusal().code, ErrorCode::kBadInput) << text;
  }
}

TEST(HfDirectoryDemo, TheBundledModelOpens) {
  const auto model = HfDirectory::open(std::string(ASSAY_SOURCE_DIR) + "/demo/reference-9m");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE(model->tokenizer_json.empty());
  const SafetensorInfo* embedding = model->tensors.find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_THAT(embedding->shape, SizeIs(2));
}

}  // namespace
}  // namespace assay
