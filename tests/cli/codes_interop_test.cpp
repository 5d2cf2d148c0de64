// Chosen codes leave a file what it was for llama.cpp: the same tensors, types and bytes as nearest codes, loaded by it, with the
// perplexity that we print.
#include <gtest/gtest.h>

#include "assay/file/atomic_writer.h"
#include "assay/file/gguf.h"
#include "tests/cli/program.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

using cli_test::result;

// llama.cpp rounds activations to 8 bits in products with quantized weights, for nearest codes as for chosen ones: 2.7e-3 on 4 windows at
// Q4_K_M, less on more of them.
constexpr double kPerplexityTolerance = 2e-3;
const std::string kModel = "demo/reference-9m";
const std::string kCalibrationChunks = " --chunks 8";
const std::string kChunks = "24";

void expect_same_layout(const std::string& a, const std::string& b) {
  const auto first = Gguf::open(a), second = Gguf::open(b);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(second) << second.error().message;
  ASSERT_EQ(first->tensors().size(), second->tensors().size());
  for (size_t i = 0; i < first->tensors().size(); ++i) {
    const TensorInfo &x = first->tensors()[i], &y = second->tensors()[i];
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.type, y.type) << x.name;
    EXPECT_EQ(x.dims, y.dims) << x.name;
    EXPECT_EQ(x.offset, y.offset) << x.name;
    EXPECT_EQ(x.bytes, y.bytes) << x.name;
  }
  EXPECT_EQ(std::filesystem::file_size(a), std::filesystem::file_size(b));
}

// A preset, or one with all blocks at a type that has no preset.
struct Recipe {
  const char* name;
  const char* options;
};
void PrintTo(const Recipe& recipe, std::ostream* out) { *out << recipe.name; }
class CodesInterop : public testing::TestWithParam<Recipe> {};

TEST_P(CodesInterop, SameLayoutAndOurPerplexityInLlamaCpp) {
  if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  const auto dir = cli_test::scratch(std::string("codes-interop-") + GetParam().name);
  const std::string text = dir / "text.txt", moments = dir / "moments.safetensors", imatrix = dir / "imatrix.gguf";
  testing_files::put_file(text, interop::without_separators(*read_text_file(ASSAY_SOURCE_DIR "/demo/evaluation.txt")));
  result("imatrix " + kModel + " --text demo/calibration.txt --ctx 256" + kCalibrationChunks + " --full " + moments + " -o " + imatrix);
  std::map<std::string, std::string> files;
  std::map<std::string, double> kl;
  for (const std::string codes : {"nearest", "best"}) {
    const std::string file = files[codes] = dir / (codes + ".gguf");
    const auto written = result("quantize " + kModel + " " + GetParam().options + " --imatrix " + imatrix + " --moments " + moments +
                                " --codes " + codes + " -o " + file);
    EXPECT_EQ(written["codes"].empty(), codes == "nearest");
    const auto ours = result("eval " + file + " --base " + kModel + " --text " + text + " --chunks " + kChunks);
    kl[codes] = ours.at("mean_kl").get<double>();
    const auto theirs = interop::run_llama_peer({"perplexity", file, text, "--chunks", kChunks});
    ASSERT_EQ(theirs.status, 0) << theirs.result.dump();
    EXPECT_NEAR(theirs.result.at("ppl").get<double>() / ours.at("ppl").get<double>(), 1, kPerplexityTolerance) << codes;
  }
  expect_same_layout(files["nearest"], files["best"]);
  EXPECT_LT(kl["best"], kl["nearest"]);
}

constexpr Recipe kRecipes[] = {{"Q4_K_M", "--type Q4_K_M"}, {"Q2_K", "--type Q2_K"}, {"IQ3_S", "--type Q4_K_M --tensor-type 'blk=IQ3_S'"}};
INSTANTIATE_TEST_SUITE_P(Recipes, CodesInterop, testing::ValuesIn(kRecipes), [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace assay
