// llama.cpp's KL table from our evaluation against llama.cpp's own, on the demo model: an F32 reference and two Q4_K_M models, one with its
// weights decoded to F32 (same arithmetic on both sides) and one as it is (llama.cpp rounds activations to 8 bits in its products).
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "assay/engine.h"
#include "assay/file/atomic_writer.h"
#include "assay/model/checkpoint.h"
#include "assay/plan/quantize_job.h"
#include "assay/probe/llama_table.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

// The base is stored at 16 bits over 16 nats (steps of 2.4e-4) and cut 16 nats under the top: KL and probabilities of a position move by
// up to about a step, means of thousands by far less. Measured differences are in brackets.
constexpr double kMeanTolerance = 1e-5;         // nats, of mean and median KL (2e-6)
constexpr double kPercentileTolerance = 2e-4;   // nats, of the 99th percentile (4e-5)
constexpr double kMaximumTolerance = 1e-3;      // nats, of the largest KL (2e-4)
constexpr double kProbabilityTolerance = 2e-5;  // (4e-6)
constexpr double kPerplexityTolerance = 5e-5;   // relative; the stored base also keeps mass under its floor (8e-6)
constexpr double kSameTopTolerance = 1e-3;      // ties within a step (0)
// Activations rounded to 8 bits add noise of their own: llama.cpp's mean KL of the quantized file is 11.5 % above that of the same
// weights in F32, which is ours.
constexpr double kQuantizedRelative = 0.2;
constexpr double kQuantizedPerplexity = 3e-3;

// One stored base read by both: what is left is float32 arithmetic, and the row's mass, which we bring to 1 and llama.cpp leaves as the
// rounding to 16 bits made it.
constexpr double kStoredTolerance = 1e-5;
constexpr double kStoredPositionTolerance = 3e-4;

constexpr uint64_t kChunks = 12;

EvaluateOptions options_of(const std::string& model, const std::string& text) {
  EvaluateOptions options;
  options.model = model;
  options.text.path = text;
  options.text.windows.chunks = kChunks;
  return options;
}

std::map<std::string, double> our_table(const EvaluateOptions& options) {
  const auto evaluated = assay_engine()->evaluate(options, RunSettings{}, silent_progress());
  std::map<std::string, double> table;
  EXPECT_TRUE(evaluated) << evaluated.error().message;
  if (evaluated)
    for (const LlamaRow& row : llama_table(*evaluated->comparison)) table[row.key] = row.value;
  return table;
}

class LlamaTableInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
    write(ASSAY_SOURCE_DIR "/demo/reference-9m", "F32", base);
    write(ASSAY_SOURCE_DIR "/demo/reference-9m", "Q4_K_M", quantized);
    write(quantized, "F32", decoded);
    testing_files::put_file(text, interop::without_separators(*read_text_file(ASSAY_SOURCE_DIR "/demo/evaluation.txt")));
    const auto stored =
        interop::run_llama_peer({"perplexity", base, text, "--chunks", std::to_string(kChunks), "--write-base", their_logits});
    ASSERT_EQ(stored.status, 0) << stored.result.dump();
  }

  static void write(const std::string& from, const std::string& preset, const std::string& to) {
    const auto checkpoint = Checkpoint::open(from);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    QuantizeOptions options;
    options.preset = preset;
    const auto written = quantize_model(**checkpoint, options, to);
    ASSERT_TRUE(written) << written.error().message;
  }

  testing_files::ScratchDirectory dir;
  const std::string base = dir / "base.gguf", quantized = dir / "q4.gguf", decoded = dir / "q4-f32.gguf", text = dir / "text.txt";
  const std::string their_logits = dir / "theirs.kld", our_logits = dir / "ours.kld";
};

TEST_F(LlamaTableInterop, EqualsLlamaCpp) {
  const auto against_base = [&](const std::string& model) {
    EvaluateOptions options = options_of(model, text);
    options.base = base;
    return options;
  };
  const auto theirs = interop::run_llama_peer({"kld", decoded, their_logits});
  ASSERT_EQ(theirs.status, 0) << theirs.result.dump();
  const auto ours = our_table(against_base(decoded));
  ASSERT_FALSE(ours.empty());
  const auto near = [&](const char* key, const char* their_key, double tolerance) {
    EXPECT_NEAR(ours.at(key), theirs.result.at(their_key).get<double>(), tolerance) << key;
  };
  near("kld_mean", "mean_kld", kMeanTolerance);
  near("kld_50", "median_kld", kMeanTolerance);
  near("kld_99", "kld_99", kPercentileTolerance);
  near("kld_max", "max_kld", kMaximumTolerance);
  near("dp_mean", "mean_dp", kProbabilityTolerance);
  near("dp_rms", "rms_dp", kProbabilityTolerance);
  near("same_top_p", "same_top", kSameTopTolerance);
  near("ppl", "ppl", kPerplexityTolerance * ours.at("ppl"));
  near("ppl_base", "base_ppl", kPerplexityTolerance * ours.at("ppl_base"));
  EXPECT_GT(ours.at("kld_mean"), 20 * kMeanTolerance);  // the tolerance would see a wrong definition

  const auto theirs_quantized = interop::run_llama_peer({"kld", quantized, their_logits});
  ASSERT_EQ(theirs_quantized.status, 0) << theirs_quantized.result.dump();
  // The codes are the same numbers as their decoded form, up to float32 rounding.
  const auto ours_quantized = our_table(against_base(quantized));
  const double their_kl = theirs_quantized.result.at("mean_kld").get<double>(), their_ppl = theirs_quantized.result.at("ppl").get<double>();
  EXPECT_NEAR(ours_quantized.at("kld_mean"), their_kl, kQuantizedRelative * their_kl);
  EXPECT_NEAR(ours_quantized.at("kld_mean"), ours.at("kld_mean"), kMeanTolerance);
  EXPECT_NEAR(ours_quantized.at("ppl"), their_ppl, kQuantizedPerplexity * their_ppl);
}

// The base-logits file both ways: llama.cpp's file read here, without the text, and ours read there.
TEST_F(LlamaTableInterop, BaseLogitsFilesAreExchanged) {
  EvaluateOptions save = options_of(base, text);
  save.save_logits = our_logits;
  const auto saved = assay_engine()->evaluate(save, RunSettings{}, silent_progress());
  ASSERT_TRUE(saved) << saved.error().message;
  const std::string ours = *read_text_file(our_logits), theirs = *read_text_file(their_logits);
  ASSERT_EQ(ours.size(), theirs.size());
  constexpr size_t kHeaderBytes = 20 + kChunks * 512 * 4;
  EXPECT_TRUE(std::equal(ours.begin(), ours.begin() + kHeaderBytes, theirs.begin()));

  const auto from_ours = interop::run_llama_peer({"kld", decoded, our_logits}),
             from_theirs = interop::run_llama_peer({"kld", decoded, their_logits});
  ASSERT_EQ(from_ours.status, 0) << from_ours.result.dump();
  ASSERT_EQ(from_theirs.status, 0) << from_theirs.result.dump();
  EvaluateOptions read = options_of(decoded, "");
  read.stored_base = their_logits;
  const auto table = our_table(read);
  ASSERT_FALSE(table.empty());
  for (const auto& [key, their_key, tolerance] :
       {std::tuple("kld_mean", "mean_kld", kStoredTolerance), std::tuple("kld_50", "median_kld", kStoredTolerance),
        std::tuple("kld_99", "kld_99", kStoredPositionTolerance), std::tuple("kld_max", "max_kld", kStoredPositionTolerance),
        std::tuple("dp_mean", "mean_dp", kStoredTolerance), std::tuple("dp_rms", "rms_dp", kStoredTolerance),
        std::tuple("same_top_p", "same_top", kSameTopTolerance)}) {
    EXPECT_NEAR(from_ours.result.at(their_key).get<double>(), from_theirs.result.at(their_key).get<double>(), tolerance) << key;
    EXPECT_NEAR(table.at(key), from_theirs.result.at(their_key).get<double>(), tolerance) << key;
  }
  EXPECT_NEAR(table.at("ppl_base"), from_theirs.result.at("base_ppl").get<double>(), kPerplexityTolerance * table.at("ppl_base"));
  RecordProperty("ours", from_ours.result.dump());
  RecordProperty("theirs", from_theirs.result.dump());
  for (const auto& [key, value] : table) RecordProperty(key, std::to_string(value));
}

}  // namespace
}  // namespace assay
