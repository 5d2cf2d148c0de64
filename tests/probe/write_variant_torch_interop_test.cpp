// llama.cpp loads what write_variant() makes of the demo model, and its perplexity is the one that `assay probe` gives for the variant.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/sha256.h"
#include "assay/engine.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/quantize_job.h"
#include "assay/probe/variant_io.h"
#include "assay/probe/write_variant.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

// Weights in float32 on both sides; llama.cpp keeps keys and values in 16 bits (2.5e-5 measured).
constexpr double kPerplexityTolerance = 5e-5;  // relative
// llama.cpp rounds activations to 8 bits in products with quantized weights.
constexpr double kQuantizedPerplexity = 3e-3;
constexpr uint64_t kChunks = 4;

constexpr const char* kSchedules = R"([
  {"name": "pruned", "schedule": [{"skip": [3, 4]}]},
  {"name": "halves", "schedule": [{"skip": 7, "part": "attention"}, {"skip": 9, "part": "ffn"}]},
  {"name": "reordered", "schedule": [{"order": [0, 1, 2, 6, 4, 5, 3, 7, 8, 9, 10, 11]}]},
  {"name": "repeated", "schedule": [{"repeat": [5, 6], "times": 2}]},
  {"name": "everything", "schedule": [{"order": [0, 1, 2, 3, 4, 6, 5, 7, 8, 9, 10, 11]}, {"repeat": 8, "times": 2}, {"skip": 2, "part": "ffn"}],
   "weights": [{"tensor": "blk.5.ffn_up.weight", "noise": 0.5}, {"layer": 8, "head": 1, "set": 0}, {"tensor": "token_embd.weight", "scale": 1.05}]}
])";
// All weights of matrices: one alone moves a perplexity by less than the tolerance.
constexpr const char* kMoves = R"([
  {"name": "moved", "weights": [{"tensor": "blk.5.ffn_down.weight", "level": 1}, {"tensor": "blk.2.attn_q.weight", "level": -1}]},
  {"name": "widened", "weights": [{"tensor": "blk.3.ffn_up.weight", "noise": 0.5}, {"tensor": "blk.6.attn_output.weight", "column": 7, "scale": 9},
                                  {"tensor": "token_embd.weight", "noise": 0.1}]},
  {"name": "encoded", "weights": [{"tensor": "blk.0.ffn_down.weight", "type": "Q2_K"}, {"tensor": "blk.0.ffn_up.weight", "type": "Q2_K"},
                                  {"tensor": "blk.1.ffn_down.weight", "type": "Q2_K"}, {"tensor": "blk.11.ffn_down.weight", "type": "Q2_K"}]}
])";

class WriteVariantInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
    testing_files::put_file(text, interop::without_separators(*read_text_file(ASSAY_SOURCE_DIR "/demo/evaluation.txt")));
  }

  static void quantize(const std::string& from, const std::string& preset, const std::string& to) {
    const auto checkpoint = Checkpoint::open(from);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    QuantizeOptions options;
    options.preset = preset;
    options.force = true;
    const auto written = quantize_model(**checkpoint, options, to);
    ASSERT_TRUE(written) << written.error().message;
  }

  double peer_perplexity(const std::string& model) const { return interop::peer_perplexity(model, text, kChunks); }

  ProbeResult probe(const std::string& model, const std::string& variants) const {
    ProbeOptions options;
    options.model = model;
    options.variants = variants;
    options.text.path = text;
    options.text.windows.chunks = kChunks;
    const auto result = assay_engine()->probe_variants(options, RunSettings{}, silent_progress());
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : ProbeResult();
  }

  // Writes every variant of the list and calls compare(path of the file, the perplexity it ought to have, name).
  template <class Compare>
  void each(const std::string& model, const char* list, const Compare& compare) {
    testing_files::put_file(dir / "variants.json", list);
    const auto checkpoint = Checkpoint::open(model);
    ASSERT_TRUE(checkpoint);
    const auto parsed = read_variants(dir / "variants.json");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const std::string hash = *sha256_of_file(model);
    const ProbeResult measured = probe(model, dir / "variants.json");
    ASSERT_EQ(measured.variants.size(), parsed->variants.size());
    for (size_t i = 0; i < parsed->variants.size(); ++i) {
      const std::string name = parsed->variants[i].name, path = dir / (name + ".gguf");
      const auto written = write_variant(**checkpoint, parsed->variants[i], path, {});
      ASSERT_TRUE(written) << written.error().message;
      const double change = measured.variants[i].nll_difference.value;
      EXPECT_GT(std::fabs(change), 20 * kPerplexityTolerance) << name;  // the tolerance would see a file that is not the variant
      compare(path, std::exp(measured.base_nll + change), name);
    }
    EXPECT_EQ(*sha256_of_file(model), hash);
  }

  testing_files::ScratchDirectory dir;
  const std::string text = dir / "text.txt";
};

TEST_F(WriteVariantInterop, PrunedReorderedAndRepeatedModelsRunThere) {
  const std::string base = dir / "base.gguf";
  quantize(ASSAY_SOURCE_DIR "/demo/reference-9m", "F32", base);
  each(base, kSchedules, [&](const std::string& path, double ours, const std::string& name) {
    const double theirs = peer_perplexity(path);
    EXPECT_NEAR(theirs, ours, kPerplexityTolerance * ours) << name;
    RecordProperty(name, std::to_string(theirs / ours - 1));
  });
}

TEST_F(WriteVariantInterop, MovedCodesAndNewTypesRunThere) {
  const std::string base = dir / "q4.gguf", decoded = dir / "decoded.gguf";
  quantize(ASSAY_SOURCE_DIR "/demo/reference-9m", "Q4_K_M", base);
  each(base, kMoves, [&](const std::string& path, double ours, const std::string& name) {
    EXPECT_NEAR(peer_perplexity(path), ours, kQuantizedPerplexity * ours) << name;
    quantize(path, "F32", decoded);  // the same weights, and float32 activations there too
    const double theirs = peer_perplexity(decoded);
    EXPECT_NEAR(theirs, ours, kPerplexityTolerance * ours) << name;
    RecordProperty(name, std::to_string(theirs / ours - 1));
  });
}

}  // namespace
}  // namespace assay
