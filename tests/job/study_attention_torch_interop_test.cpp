// Every mode of the attention study on a random GPT-2 and a random Qwen3 (grouped heads, rotation, normalized queries) against a script on
// transformers that builds all matrices of weights, makes its own bases and replaces the attention itself.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "assay/engine.h"
#include "assay/model/checkpoint.h"
#include "assay/study/attention_analysis.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

constexpr double kTolerance = 1e-4;  // of a mean NLL, relative
constexpr uint32_t kTokens = 64;
constexpr uint64_t kEvaluated = 6, kBasis = 4;

std::vector<Window> windows_of(const std::filesystem::path& model, const std::string& text, uint64_t count) {
  const auto checkpoint = Checkpoint::open(model);
  EXPECT_TRUE(checkpoint);
  const auto tokenizer = Tokenizer::from_metadata((*checkpoint)->metadata());
  EXPECT_TRUE(tokenizer);
  WindowOptions options;
  options.rule = WindowRule::kFull;
  options.ctx = kTokens;
  options.chunks = count;
  const auto set = make_windows(*read_corpus(text), *tokenizer, options);
  EXPECT_TRUE(set) << set.error().message;
  return set->windows;
}

void write_tokens(const std::filesystem::path& path, const std::vector<Window>& windows) {
  std::ofstream out(path, std::ios::binary);
  for (const Window& window : windows)
    out.write(reinterpret_cast<const char*>(window.tokens.data()), static_cast<std::streamsize>(window.tokens.size() * sizeof(TokenId)));
}

TEST(StudyAttentionInterop, ModesEqualTransformers) {
  static_assert(sizeof(TokenId) == sizeof(int32_t));
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-attention-modes";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  const std::vector<std::string> packages = {"transformers", "torch", "numpy"};
  const auto made = interop::run_python(packages, "attention_modes.py", {"make", dir.string(), ASSAY_SOURCE_DIR "/demo/reference-9m"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const std::string evaluated = ASSAY_SOURCE_DIR "/demo/evaluation.txt", basis = ASSAY_SOURCE_DIR "/demo/calibration.txt";
  for (const char* name : {"gpt2", "qwen3"}) {
    StudyAttentionOptions options;
    options.model = dir / name;
    options.text.path = evaluated;
    options.basis_text = basis;
    AttentionConfig& config = options.config;
    config.layers = {{1, 2}};
    config.sets = {LayerSets::kTogether};
    config.ranks = {1, 4, 12};
    config.top_k = {2, 5};
    config.bases = {BasisKind::kResidual};
    config.ctx = kTokens;
    config.windows = kEvaluated;
    config.basis_windows = kBasis;
    config.compare_rank = 4;
    write_tokens(dir / name / "evaluated.i32", windows_of(options.model, evaluated, kEvaluated));
    write_tokens(dir / name / "basis.i32", windows_of(options.model, basis, kBasis));
    std::ofstream(dir / name / "modes.json")
        << nlohmann::json{{"ctx", kTokens}, {"layers", {1, 2}}, {"ranks", config.ranks}, {"top_k", config.top_k}}.dump();
    const auto peer = interop::run_python(packages, "attention_modes.py", {"run", (dir / name).string()});
    ASSERT_EQ(peer.exit_code, 0) << peer.output;
    std::map<std::string, double> expected;
    std::istringstream lines(peer.output);
    for (std::string mode, value; lines >> mode >> value;)
      if (mode == "base" || mode.starts_with("top-") || mode.starts_with("rank-")) expected[mode] = std::stod(value);
    ASSERT_EQ(expected.size(), 7u) << peer.output;

    const auto study = assay_engine()->study_attention(options, {}, silent_progress());
    ASSERT_TRUE(study) << study.error().message;
    const AttentionResult& result = study->result;
    const auto near = [&](const std::string& mode, double ppl) {
      EXPECT_NEAR(std::log(ppl) / expected.at(mode), 1, kTolerance) << name << ' ' << mode;
    };
    near("base", result.base_ppl);
    for (const AttentionRow& row : result.rows) {
      if (row.mode.rule == "full") continue;
      near(row.mode.rule == "top-1" ? "top-1" : (row.mode.rule == "top-k" ? "top-" : "rank-") + std::to_string(row.mode.k), row.ppl);
    }
    // The modes differ by more than the tolerance: it can fail.
    EXPECT_GT(std::fabs(expected.at("top-1") / expected.at("base") - 1), 20 * kTolerance) << name;
    EXPECT_GT(std::fabs(expected.at("rank-4") / expected.at("top-1") - 1), 2 * kTolerance) << name;
    EXPECT_GT(std::fabs(expected.at("rank-12") / expected.at("rank-4") - 1), 2 * kTolerance) << name;
  }
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
