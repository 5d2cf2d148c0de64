// A file with AWQ's scales folded in is an ordinary file for llama.cpp, with the perplexity that we print.
#include <gtest/gtest.h>

#include "assay/file/atomic_writer.h"
#include "tests/cli/program.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

using cli_test::result;

// As in codes_interop_test.cpp: llama.cpp rounds activations to 8 bits in products with quantized weights; float weights have no such
// rounding, and show that we read the same numbers (F16: but for its 16-bit products).
constexpr double kActivationRounding = 4e-3, kSameWeights = 5e-4;
const std::string kModel = "demo/reference-9m";
constexpr int kChunks = 8;

TEST(AwqInterop, LlamaCppReadsScaledFiles) {
  if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  const auto dir = cli_test::scratch("awq-interop");
  const std::string text = dir / "text.txt", imatrix = dir / "imatrix.gguf";
  testing_files::put_file(text, interop::without_separators(*read_text_file(ASSAY_SOURCE_DIR "/demo/evaluation.txt")));
  result("imatrix " + kModel + " --text demo/calibration.txt --chunks 4 -o " + imatrix);
  const std::string shared = "quantize " + kModel + " --method awq --calibration demo/calibration.txt --chunks 8 --evaluation " + text;
  const std::tuple<const char*, std::string, double> files[] = {{"Q4_0", " --type Q4_0", kActivationRounding},
                                                                {"Q4_K_M", " --type Q4_K_M --imatrix " + imatrix, kActivationRounding},
                                                                {"F16", " --type F16 --awq-bits 4 --awq-group 64", kSameWeights}};
  for (const auto& [name, options, tolerance] : files) {
    SCOPED_TRACE(name);
    const std::string file = dir / (std::string(name) + ".gguf");
    const auto made = result(shared + options + " --store none -o " + file);
    const double ours = made.at("awq").at("scaled").at("ppl").get<double>();
    EXPECT_NEAR(interop::peer_perplexity(file, text, kChunks) / ours, 1, tolerance);
  }
}

TEST(AwqCommand, OptionsThatDoNotGoTogetherAreRefused) {
  const std::pair<std::string, std::string> faults[] = {
      {"--type Q4_0 --method awq -o /tmp/none.gguf", "--calibration"},
      {"--type Q4_0 --awq-bits 3 -o /tmp/none.gguf", "--awq-bits"},
      {"--type Q4_0 --evaluation demo/evaluation.txt -o /tmp/none.gguf", "--evaluation"},
      {"--type Q4_0 --method awq --moments m.safetensors -o /tmp/none.gguf", "--moments"},
      {"--type Q4_0 --method awq --calibration demo/calibration.txt --awq-loss none -o /tmp/none.gguf", "--awq-loss"},
  };
  for (const auto& [options, word] : faults) {
    const auto run = cli_test::run("quantize " + kModel + " " + options);
    EXPECT_EQ(run.exit_code, 64) << run.output;
    EXPECT_NE(run.output.find(word), std::string::npos) << run.output;
  }
  const auto study = cli_test::run("study awq " + kModel + " --text demo/evaluation.txt");
  EXPECT_EQ(study.exit_code, 64);
  EXPECT_NE(study.output.find("--calibration"), std::string::npos) << study.output;
  const auto other = cli_test::run("study pqi " + kModel + " --text demo/evaluation.txt --calibration demo/calibration.txt");
  EXPECT_EQ(other.exit_code, 64) << other.output;
}

}  // namespace
}  // namespace assay
