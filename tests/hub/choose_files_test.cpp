// Which files a name means, on listings like those of real repositories.
#include "assay/hub/choose_files.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::vector<RepositoryFile> files(const std::vector<std::string>& paths) {
  std::vector<RepositoryFile> all;
  for (const std::string& path : paths) all.push_back({path, 1 << 20, std::string(40, 'a')});
  return all;
}

// The chosen paths, the one to open first in brackets if it is a file; or the error's name and message.
std::string chosen(const std::vector<std::string>& paths, const std::string& type = "") {
  const auto all = files(paths);
  const auto result = choose_model_files(all, type, "hub: o/n");
  if (!result) return std::string(name_of(result.error().code)) + ": " + result.error().message;
  std::string text = result->entry.empty() ? "" : "[" + result->entry + "]";
  for (const RepositoryFile& file : result->files) text += " " + file.path;
  return text;
}

const std::vector<std::string> kMany = {"README.md",         "M-Q4_K_M.gguf",     "M-Q4_K_S.gguf", "M-IQ4_XS.gguf",
                                        "M-UD-Q4_K_XL.gguf", "mmproj-M-F16.gguf", "M.imatrix.gguf"};

TEST(ChooseFiles, ByTypeInAnyCase) {
  EXPECT_EQ(chosen(kMany, "Q4_K_M"), "[M-Q4_K_M.gguf] M-Q4_K_M.gguf");
  EXPECT_EQ(chosen(kMany, "q4_k_s"), "[M-Q4_K_S.gguf] M-Q4_K_S.gguf");
  EXPECT_EQ(chosen(kMany, "UD-Q4_K_XL"), "[M-UD-Q4_K_XL.gguf] M-UD-Q4_K_XL.gguf");
  EXPECT_EQ(chosen(kMany, "M-IQ4_XS.gguf"), "[M-IQ4_XS.gguf] M-IQ4_XS.gguf");
  EXPECT_EQ(chosen({"qwen2.5-0.5b-instruct-q4_k_m.gguf", "qwen2.5-0.5b-instruct-q8_0.gguf"}, "Q8_0"),
            "[qwen2.5-0.5b-instruct-q8_0.gguf] qwen2.5-0.5b-instruct-q8_0.gguf");
  EXPECT_EQ(chosen({"tinyllama.Q2_K.gguf", "tinyllama.Q3_K.gguf"}, "Q2_K"), "[tinyllama.Q2_K.gguf] tinyllama.Q2_K.gguf");
}

TEST(ChooseFiles, ATypeIsAWholeWord) {
  // BF16 does not end with F16, and Q4_K is no Q4_K_M.
  EXPECT_EQ(chosen({"M-BF16.gguf", "M-F16.gguf"}, "F16"), "[M-F16.gguf] M-F16.gguf");
  EXPECT_EQ(chosen({"M-IQ4_XS.gguf"}, "Q4_XS").substr(0, 9), "not_found");
  EXPECT_EQ(chosen({"M-Q4_K.gguf", "M-Q4_K_M.gguf"}, "Q4_K"), "[M-Q4_K.gguf] M-Q4_K.gguf");
  EXPECT_EQ(chosen({"M-Q4_K_M-pure.gguf", "M-Q8_0.gguf"}, "Q4_K_M"), "[M-Q4_K_M-pure.gguf] M-Q4_K_M-pure.gguf");
  EXPECT_EQ(chosen({"Q6_K/weights.gguf", "Q8_0/weights.gguf"}, "Q6_K"), "[Q6_K/weights.gguf] Q6_K/weights.gguf");
}

TEST(ChooseFiles, SplitFilesWithAllTheirParts) {
  const std::vector<std::string> split = {"Q8_0/M-Q8_0-00002-of-00003.gguf", "Q8_0/M-Q8_0-00001-of-00003.gguf",
                                          "Q8_0/M-Q8_0-00003-of-00003.gguf", "M-Q4_0.gguf"};
  EXPECT_EQ(chosen(split, "Q8_0"),
            "[Q8_0/M-Q8_0-00001-of-00003.gguf] Q8_0/M-Q8_0-00001-of-00003.gguf Q8_0/M-Q8_0-00002-of-00003.gguf "
            "Q8_0/M-Q8_0-00003-of-00003.gguf");
  const std::string missing = chosen({"M-Q8_0-00001-of-00003.gguf", "M-Q8_0-00003-of-00003.gguf"}, "Q8_0");
  EXPECT_NE(missing.find("not_found: hub: o/n: M-Q8_0 has 3 parts; part 2 is not there"), std::string::npos) << missing;
}

TEST(ChooseFiles, ListsTheChoices) {
  const std::string none = chosen(kMany, "Q3_K");
  EXPECT_NE(none.find("not_found: "), std::string::npos) << none;
  EXPECT_NE(none.find("IQ4_XS (1.00 MiB), Q4_K_M (1.00 MiB), Q4_K_S (1.00 MiB), UD-Q4_K_XL (1.00 MiB)"), std::string::npos) << none;
  const std::string open = chosen(kMany);
  EXPECT_NE(open.find("usage: "), std::string::npos) << open;
  EXPECT_NE(open.find("IQ4_XS (1.00 MiB)"), std::string::npos) << open;
  const std::string two = chosen({"A-Q4_K_M.gguf", "B-Q4_K_M.gguf", "A-Q8_0.gguf"}, "Q4_K_M");
  EXPECT_NE(two.find("usage: "), std::string::npos) << two;
  EXPECT_EQ(two.find("Q8_0"), std::string::npos) << two;
  // What the message offers is accepted.
  EXPECT_EQ(chosen({"A-Q4_K_M.gguf", "B-Q4_K_M.gguf", "A-Q8_0.gguf"}, "A-Q4_K_M"), "[A-Q4_K_M.gguf] A-Q4_K_M.gguf");
  EXPECT_EQ(chosen({"a/M-Q4_0.gguf", "b/M-Q4_0.gguf"}, "a/M-Q4_0"), "[a/M-Q4_0.gguf] a/M-Q4_0.gguf");
}

TEST(ChooseFiles, TheOnlyModelNeedsNoType) {
  EXPECT_EQ(chosen({"M-Q4_K_M.gguf", "mmproj-M.gguf", "README.md"}), "[M-Q4_K_M.gguf] M-Q4_K_M.gguf");
}

TEST(ChooseFiles, CheckpointsWithoutTheirOtherCopies) {
  EXPECT_EQ(
      chosen({"README.md", "config.json", "model.safetensors", "onnx/model.onnx", "pytorch_model.bin", "tokenizer.json", "M-Q4_0.gguf"}),
      " config.json tokenizer.json model.safetensors");
  EXPECT_EQ(chosen({"config.json", "consolidated-00001-of-00002.safetensors", "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer_config.json"}),
            " config.json tokenizer_config.json model.safetensors.index.json model-00001-of-00002.safetensors "
            "model-00002-of-00002.safetensors");
  const std::string missing =
      chosen({"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer_config.json"});
  EXPECT_NE(missing.find("has no model-00002-of-00002.safetensors"), std::string::npos) << missing;
  EXPECT_NE(chosen({"config.json", "pytorch_model.bin"}).find("not_found: hub: o/n has neither"), std::string::npos);
  EXPECT_NE(chosen({"config.json", "model.safetensors"}, "Q4_0").find("has no GGUF file"), std::string::npos);
}

TEST(ChooseFiles, ByNameAndPattern) {
  const auto all = files({"a.json", "b/c.json", "d.txt"});
  const auto two = choose_named_files(all, {"*.json"}, "hub: o/n");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->files.size(), 2u);
  EXPECT_EQ(two->entry, "");
  const auto one = choose_named_files(all, {"d.txt", "d.*"}, "hub: o/n");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->entry, "d.txt");
  const auto none = choose_named_files(all, {"a.json", "d.text"}, "hub: o/n");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("did you mean d.txt?"), std::string::npos) << none.error().message;
}

TEST(HubNames, AreReadStrictly) {
  const auto name = parse_hub_model_name("Qwen/Qwen3-0.6B-GGUF:Q4_K_M");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->repository.cache_name(), "models--Qwen--Qwen3-0.6B-GGUF");
  EXPECT_EQ(name->type, "Q4_K_M");
  EXPECT_TRUE(parse_hub_model_name("a/b"));
  for (const char* wrong :
       {"a", "a/b/c", "/b", "a/", "a/..", "../b", "a/b:", "a/b:../c", "a b/c", "a/b--c", "-a/b", "a/b.", "a\\b/c", "a/b?c", ""})
    EXPECT_FALSE(parse_hub_model_name(wrong)) << wrong;
}

}  // namespace
}  // namespace assay
