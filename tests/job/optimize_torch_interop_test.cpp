// What optimize writes is a file for stock llama.cpp: it loads there, and its perplexity is the one we print.
#include <gtest/gtest.h>

#include "assay/engine.h"
#include "assay/file/atomic_writer.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

// llama.cpp rounds activations to 8 bits in products with quantized weights: 4e-4 at Q4_K_M on other texts, more for fewer bits.
constexpr double kPerplexityTolerance = 2e-3;
constexpr uint64_t kChunks = 12;

TEST(OptimizeInterop, OutputHasTheSamePerplexityInLlamaCpp) {
  if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  const testing_files::ScratchDirectory dir;
  const std::string demo = ASSAY_SOURCE_DIR "/demo/";
  testing_files::put_file(dir / "text.txt", interop::without_separators(*read_text_file(demo + "evaluation.txt")));
  OptimizeOptions options;
  options.model = demo + "reference-9m";
  options.calibration = demo + "calibration.txt";
  options.evaluation = dir / "text.txt";
  options.windows.chunks = kChunks;
  options.output = dir / "best.gguf";
  options.budget.like = "Q4_K_M";
  const auto made = assay_engine()->optimize(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(made->accepted);
  const auto theirs = interop::run_llama_peer({"perplexity", options.output, dir / "text.txt", "--chunks", std::to_string(kChunks)});
  ASSERT_EQ(theirs.status, 0) << theirs.result.dump();
  const double ppl = theirs.result.at("ppl").get<double>();
  EXPECT_NEAR(ppl / made->measured.ppl, 1, kPerplexityTolerance);
  EXPECT_GT(std::abs(made->measured.ppl / made->base_ppl - 1), 2e-4);  // the file is not the unquantized model
}

}  // namespace
}  // namespace assay
