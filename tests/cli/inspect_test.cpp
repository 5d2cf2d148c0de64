// assay inspect: what it says about the bundled model and copies of it.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program.h"
#include "tests/text/samples.h"

namespace assay {
namespace {

using cli_test::run;
const std::filesystem::path kDemo = ASSAY_SOURCE_DIR "/demo/reference-9m";

// The model's files, to be changed.
std::filesystem::path copy_of_demo(const std::string& name) {
  const auto dir = cli_test::scratch(name);
  std::filesystem::copy(kDemo, dir, std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  return dir;
}

TEST(InspectCommand, SaysWhatTheModelIsMadeOf) {
  const auto text = run("inspect demo/reference-9m").output;
  for (const char* line : {"architecture              llama", "parameters                9,181,440", "tensors                   110",
                           "16.0112 bits per weight", "context                   512 tokens", "KV cache at 512 tokens    3.00 MiB",
                           "gpt2 / gpt-2", "chat template             none", "BF16"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  const auto result = cli_test::result("inspect demo/reference-9m");
  EXPECT_EQ(result["parameters"], 9181440);
  EXPECT_EQ(result["tensors"].size(), 110u);
  EXPECT_EQ(result["types"]["BF16"]["weights"], 9175040);
  EXPECT_EQ(result["types"]["F32"]["bytes"], 25600);
  EXPECT_EQ(result["context"], 512);
  EXPECT_TRUE(result["chat_template"].is_null());
  EXPECT_TRUE(result["warnings"].empty());
  EXPECT_FALSE(result.contains("metadata"));
}

// 12 blocks x 2 heads x 64 elements x (key, value) x 2 bytes = 6,144 bytes per token.
TEST(InspectCommand, GivesTheCacheForTheContextsAsked) {
  const auto result = cli_test::result("inspect demo/reference-9m --ctx 1,100");
  EXPECT_EQ(result["kv_cache_bytes_f16"], (nlohmann::json{{"1", 6144}, {"100", 614400}}));
  EXPECT_EQ(cli_test::result("inspect demo/reference-9m")["kv_cache_bytes_f16"], (nlohmann::json{{"512", 3145728}}));
}

TEST(InspectCommand, ListsTensorsOfALayer) {
  const auto layer = run("inspect demo/reference-9m --layer 3").output;
  EXPECT_NE(layer.find("blk.3.ffn_down.weight"), std::string::npos);
  EXPECT_EQ(layer.find("blk.4."), std::string::npos);
  const auto all = run("inspect demo/reference-9m --tensors").output;
  EXPECT_NE(all.find("blk.11.attn_output.weight"), std::string::npos);
  EXPECT_NE(all.find("512 x 256"), std::string::npos);
}

TEST(InspectCommand, ShowsTheChatTemplateAndTheMetadata) {
  const auto dir = copy_of_demo("inspect-chat");
  const std::string chat = "{%- for m in messages %}\n{{ m.content }}\n{%- endfor %}\nthe last line";
  std::ofstream(dir / "chat_template.jinja") << chat;
  const auto text = run("inspect " + dir.string()).output;
  EXPECT_NE(text.find("68 bytes: {%- for m in messages %}\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("the last line"), std::string::npos);
  EXPECT_NE(run("inspect " + dir.string() + " --metadata").output.find("\nchat template:\n" + chat + "\n"), std::string::npos);
  const auto result = cli_test::result("inspect " + dir.string() + " --metadata");
  EXPECT_EQ(result["chat_template"], chat);
  EXPECT_EQ(result["metadata"]["tokenizer.chat_template"], chat);
  EXPECT_EQ(result["metadata"]["llama.block_count"], 12);
  EXPECT_EQ(result["metadata"]["tokenizer.ggml.model"], "gpt2");
  EXPECT_TRUE(result["metadata"]["tokenizer.ggml.tokens"].is_string());
  std::filesystem::remove_all(dir);
}

// A GGUF whose tensors do not fit its metadata is shown all the same, with a warning that names the tensor.
TEST(InspectCommand, WarnsOfTensorsThatDoNotFit) {
  const auto dir = cli_test::scratch("inspect-warning");
  const std::string path = (dir / "short.gguf").string();
  ASSERT_EQ(run("convert demo/reference-9m -o " + path + " --quiet").exit_code, 0);
  std::string bytes = samples::slurp(path);
  const size_t key = bytes.find("llama.block_count");
  ASSERT_NE(key, std::string::npos);
  bytes[key + std::string("llama.block_count").size() + 4] = 11;  // after the value's type
  std::ofstream(path, std::ios::binary) << bytes;
  const auto shown = run("inspect " + path);
  EXPECT_EQ(shown.exit_code, 0) << shown.output;
  EXPECT_NE(shown.output.find("warning: model: tensor 'blk.11."), std::string::npos) << shown.output;
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
