// Ids and decoded text equal to PyPI tokenizers, and ids equal to llama.cpp's tokenizer for the vocabularies in GGUF files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "assay/text/normalize.h"
#include "assay/text/tokenizer.h"
#include "tests/interop/llama_peer.h"
#include "tests/text/samples.h"

namespace assay {
namespace {

const std::string kData = ASSAY_SOURCE_DIR "/../shared/data/";

// Everything that is compared: small texts one by one, files whole.
std::vector<std::string> all_cases() {
  std::vector<std::string> cases = samples::hand_written();
  const auto add = [&](const std::vector<std::string>& more) { cases.insert(cases.end(), more.begin(), more.end()); };
  add(samples::invalid_utf8());
  add(samples::random_unicode(1, 2500));
  for (const char* file :
       {"demo/calibration.txt", "demo/evaluation.txt", "assay/text/bpe.cpp", "assay/quant/codec.h", "tests/text/samples.h",
        "scripts/make_grid_tables.py", "scripts/setup.sh", "demo/reference-9m/config.json", "CMakeLists.txt", "README.md"})
    cases.push_back(samples::slurp(std::string(ASSAY_SOURCE_DIR "/") + file));
  for (const char* file : {"text/wiki.test.raw", "text/wiki.valid.raw", "text/wikitext2_train_partial.txt"})
    if (std::filesystem::exists(kData + file)) cases.push_back(samples::slurp(kData + file));
  return cases;
}

void write_cases(const std::filesystem::path& path, const std::vector<std::string>& cases) {
  std::ofstream file(path, std::ios::binary);
  for (const std::string& text : cases) {
    const auto size = static_cast<uint32_t>(text.size());
    file.write(reinterpret_cast<const char*>(&size), 4).write(text.data(), static_cast<std::streamsize>(size));
  }
}

// Records of u32 count and count elements.
template <class Element, class Container>
std::vector<Container> read_records(const std::filesystem::path& path) {
  const std::string bytes = samples::slurp(path);
  std::vector<Container> records;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    uint32_t count = 0;
    std::memcpy(&count, bytes.data() + at, 4);
    Container record(count, Element{});
    std::memcpy(record.data(), bytes.data() + at + 4, count * sizeof(Element));
    at += 4 + count * sizeof(Element);
    records.push_back(std::move(record));
  }
  return records;
}

struct Reference {
  const char* name;
  const char* kind;  // of tokenizer_reference.py
  std::string directory;
  uint64_t vocab_size;
};

void PrintTo(const Reference& reference, std::ostream* out) { *out << reference.name; }

class TokenizersTest : public testing::TestWithParam<Reference> {};

TEST_P(TokenizersTest, GivesTheSameIdsAndText) {
  const Reference& reference = GetParam();
  if (!std::filesystem::exists(reference.directory)) GTEST_SKIP() << "no ../shared/data here";
  HfDirectory directory;
  directory.path = reference.directory;
  directory.tokenizer_json = samples::slurp(reference.directory + "/tokenizer.json");
  directory.tokenizer_config_json = samples::slurp(reference.directory + "/tokenizer_config.json");
  directory.vocab_json = samples::slurp(reference.directory + "/vocab.json");
  directory.merges_txt = samples::slurp(reference.directory + "/merges.txt");
  const auto metadata = tokenizer_metadata(directory, reference.vocab_size);
  ASSERT_TRUE(metadata) << metadata.error().message;
  const auto tokenizer = Tokenizer::from_metadata(*metadata);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;

  const std::filesystem::path scratch = std::filesystem::path(testing::TempDir()) / (std::string("assay-tokenizers-") + reference.name);
  std::filesystem::create_directories(scratch);
  const std::vector<std::string> cases = all_cases();
  ASSERT_GE(cases.size(), 2500u);
  write_cases(scratch / "cases", cases);
  const std::string source = reference.kind == std::string("json") ? reference.directory + "/tokenizer.json" : reference.directory;
  const auto python = interop::run_python({"tokenizers"}, "tokenizer_reference.py",
                                          {(scratch / "cases").string(), (scratch / "out").string(), reference.kind, source});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  const auto ids = read_records<TokenId, std::vector<TokenId>>(scratch / "out.ids");
  const auto texts = read_records<char, std::string>(scratch / "out.txt");
  ASSERT_EQ(ids.size(), cases.size());
  size_t different = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::vector<TokenId> ours = tokenizer->encode(cases[i]);
    // Tokens may end inside a character: decode gives the bytes, the package text.
    const std::string decoded = replace_invalid_utf8(tokenizer->decode(ids[i]));
    if (ours == ids[i] && decoded == texts[i]) continue;
    if (++different > 10) continue;  // enough to see what is wrong
    const size_t at = static_cast<size_t>(std::mismatch(ours.begin(), ours.end(), ids[i].begin(), ids[i].end()).first - ours.begin());
    ADD_FAILURE() << reference.name << " case " << i << ": " << printable(cases[i].substr(0, 300)) << "\nfirst difference at token " << at
                  << " of " << ids[i].size() << ": ours " << (at < ours.size() ? printable(tokenizer->token_text(ours[at])) : "end")
                  << ", theirs " << (at < ids[i].size() ? printable(tokenizer->token_text(ids[i][at])) : "end") << "\ndecoded: ours "
                  << printable(decoded, 200) << ", theirs " << printable(texts[i], 200);
  }
  EXPECT_EQ(different, 0u) << "of " << cases.size();
  std::filesystem::remove_all(scratch);
}

INSTANTIATE_TEST_SUITE_P(References, TokenizersTest,
                         testing::Values(Reference{"demo", "json", ASSAY_SOURCE_DIR "/demo/reference-9m", 8192},
                                         Reference{"gpt2", "gpt2", kData + "tokenizers/gpt2", 50257},
                                         Reference{"qwen2_5", "qwen2", kData + "tokenizers/qwen2.5", 151936},
                                         Reference{"smollm2", "json", kData + "tokenizers/smollm2", 49152},
                                         Reference{"llama2", "json", kData + "tokenizers/llama2", 32000}),
                         [](const auto& reference) { return std::string(reference.param.name); });

// Letters that came with Unicode 16: llama.cpp's tables are older, the tokenizers package knows them.
bool has_unicode_16_letters(const std::string& text) {
  static constexpr uint32_t kRanges[][2] = {{0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
                                            {0x10D4A, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x113D5}, {0x116D0, 0x116E3},
                                            {0x11BC0, 0x11BF9}, {0x13460, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D79},
                                            {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FF}};
  for (const auto& range : kRanges)
    for (uint32_t point = range[0]; point <= range[1]; ++point)
      if (text.find(samples::utf8(point)) != std::string::npos) return true;
  return false;
}

// The vocabularies that come as GGUF files. Left out: those letters, and bytes that are no UTF-8 (assay/text/normalize.h).
class LlamaCppTest : public testing::TestWithParam<const char*> {};

TEST_P(LlamaCppTest, GivesTheSameIds) {
  const std::string path = kData + "tokenizers/ggml-vocab/ggml-vocab-" + GetParam() + ".gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no ../shared/data here";
  if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  const auto file = Gguf::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::from_metadata(file->metadata());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::vector<std::string> cases;
  for (const std::string& text : all_cases())
    if (is_valid_utf8(text) && text.size() < (1 << 20) && !has_unicode_16_letters(text)) cases.push_back(text);
  ASSERT_GE(cases.size(), 2500u);
  const std::filesystem::path scratch = std::filesystem::path(testing::TempDir()) / (std::string("assay-peer-cases-") + GetParam());
  write_cases(scratch, cases);
  for (const bool parse_special : {false, true}) {
    std::vector<std::string> arguments = {"tokenize", path, scratch.string(), "--vocab-only", "--cases", "--no-bos"};
    if (parse_special) arguments.emplace_back("--parse-special");
    const auto answer = interop::run_llama_peer(arguments);
    ASSERT_EQ(answer.status, 0) << answer.result.dump();
    const auto theirs = answer.result["ids"].get<std::vector<std::vector<TokenId>>>();
    ASSERT_EQ(theirs.size(), cases.size());
    size_t different = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
      if (tokenizer->encode(cases[i], {false, parse_special}) == theirs[i]) continue;
      if (++different <= 10)
        ADD_FAILURE() << GetParam() << " case " << i << ": " << printable(cases[i].substr(0, 300)) << "\nours   "
                      << testing::PrintToString(tokenizer->encode(cases[i], {false, parse_special})).substr(0, 300) << "\ntheirs "
                      << testing::PrintToString(theirs[i]).substr(0, 300);
    }
    EXPECT_EQ(different, 0u) << "of " << cases.size();
  }
  std::filesystem::remove(scratch);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, LlamaCppTest, testing::Values("gpt-2", "llama-spm", "phi-3", "deepseek-coder"),
                         [](const auto& name) {
                           std::string text = name.param;
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

}  // namespace
}  // namespace assay
