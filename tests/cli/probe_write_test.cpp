// `assay probe --write`: the file, what is reported, the exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "assay/model/checkpoint.h"
#include "tests/cli/program.h"

namespace assay {
namespace {

using cli_test::result;
using cli_test::run;
using ::testing::HasSubstr;

class ProbeWrite : public testing::Test {
 protected:
  ProbeWrite() {
    std::ofstream(dir_ / "variants.json") << R"([
      {"name": "without 3", "schedule": [{"skip": 3}]},
      {"name": "cut", "weights": [{"layer": 2, "head": 1, "set": 0}, {"tensor": "blk.4.ffn_up.weight", "at": [[0, 0]], "add": 0.3}]},
      {"name": "rule", "attention": [{"layer": 2, "rule": "top-1"}]}])";
    std::ofstream(dir_ / "one.yaml") << "- schedule: [{skip: 3}]\n";
  }
  std::string command(const std::string& variants, const std::string& rest) const {
    return "probe demo/reference-9m --variants " + interop::shell_quoted((dir_ / variants).string()) + " " + rest;
  }
  std::string to(const std::string& name) const { return "--write " + interop::shell_quoted((dir_ / name).string()); }

  const std::filesystem::path dir_ = cli_test::scratch("probe-write");
};

TEST_F(ProbeWrite, SavesTheNamedVariantAndSaysWhatChanged) {
  const auto pruned = result(command("variants.json", "--name 'without 3' " + to("pruned.gguf")));
  const auto& written = pruned.at("written");
  EXPECT_EQ(written.at("variant"), "without 3");
  EXPECT_EQ(written.at("blocks"), nlohmann::json({0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(written.at("bytes"), std::filesystem::file_size(dir_ / "pruned.gguf"));
  EXPECT_TRUE(written.at("tensors").empty());
  EXPECT_FALSE(pruned.contains("variants"));  // nothing was measured

  // The same file as that of `convert`, but for the block, and with its keys.
  ASSERT_EQ(run("convert demo/reference-9m --quiet -o " + interop::shell_quoted((dir_ / "all.gguf").string())).exit_code, 0);
  const auto all = Checkpoint::open((dir_ / "all.gguf").string()), out = Checkpoint::open((dir_ / "pruned.gguf").string());
  ASSERT_TRUE(all && out);
  for (const Metadata::Entry& entry : (*all)->metadata().entries())
    if (entry.key != "llama.block_count") {
      EXPECT_EQ(*(*out)->metadata().find(entry.key), entry.value) << entry.key;
    }
  EXPECT_EQ((*out)->read(*(*out)->find("blk.3.ffn_up.weight")).value(), (*all)->read(*(*all)->find("blk.4.ffn_up.weight")).value());

  EXPECT_EQ(result(command("one.yaml", to("only.gguf"))).at("written").at("bytes"), written.at("bytes"));

  const auto text = run(command("variants.json", "--name cut --quiet " + to("cut.gguf")));
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.output, HasSubstr("blk.2.attn_output.weight  BF16  BF16  rounded; weights changed: 16,384"));
  EXPECT_THAT(text.output, HasSubstr("rounded to BF16: 1\n"));
  EXPECT_THAT(text.output, HasSubstr("2 tensors changed, 0 of them to another type"));
}

TEST_F(ProbeWrite, RefusesByName) {
  const auto refused = [&](const std::string& rest, int code, const std::string& what, const std::string& variants = "variants.json") {
    const auto done = run(command(variants, rest) + " --quiet");
    EXPECT_EQ(done.exit_code, code) << rest << "\n" << done.output;
    EXPECT_THAT(done.output, HasSubstr(what)) << rest;
    EXPECT_FALSE(std::filesystem::exists(dir_ / "no.gguf")) << rest;
  };
  refused(to("no.gguf"), 64, "3 variants");
  refused("--name other " + to("no.gguf"), 64, "'other'");
  refused("--name rule " + to("no.gguf"), 65, "variant 'rule': attention[0]");
  refused("", 64, "--write OUT.gguf");
  refused("--name cut --text demo/evaluation.txt", 64, "--write");
  const auto before = std::filesystem::file_size(dir_ / "one.yaml");
  refused("--force " + to("one.yaml"), 64, "one.yaml", "one.yaml");
  EXPECT_EQ(std::filesystem::file_size(dir_ / "one.yaml"), before);
}

}  // namespace
}  // namespace assay
