// `imatrix --full` and `quantize --codes` as a user runs them, on the bundled model.
#include <gtest/gtest.h>

#include <fstream>

#include "assay/file/gguf.h"
#include "tests/cli/program.h"

namespace assay {
namespace {

using cli_test::result;
using cli_test::run;

const std::string kModel = "demo/reference-9m";
const std::string kText = " --ctx 128 --chunks 12";

double mean_kl(const std::string& file) {
  return result("eval " + file + " --base " + kModel + " --text demo/evaluation.txt --ctx 128 --chunks 24").value("mean_kl", 0.0);
}

TEST(Codes, AreBetterAtEqualBytes) {
  const auto dir = cli_test::scratch("codes");
  const std::string moments = dir / "moments.safetensors", imatrix = dir / "imatrix.gguf";
  const auto made = result("imatrix " + kModel + " --text demo/calibration.txt" + kText + " --full " + moments + " -o " + imatrix);
  EXPECT_EQ(made.value("tokens", 0), 12 * 128);
  EXPECT_EQ(made["damping"].size(), 4u);
  EXPECT_FALSE(made["warnings"].empty());  // 1,536 tokens for 512 inputs
  std::map<std::string, std::string> files;
  for (const std::string codes : {"nearest", "feedback", "best"}) {
    files[codes] = dir / (codes + ".gguf");
    const auto written = result("quantize " + kModel + " --type Q3_K_M --imatrix " + imatrix + " --moments " + moments + " --codes " +
                                codes + " -o " + files[codes]);
    EXPECT_EQ(written["codes"].size(), codes == "nearest" ? 0u : 84u);
    EXPECT_EQ(std::filesystem::file_size(files[codes]), std::filesystem::file_size(files["nearest"]));
  }
  const double nearest = mean_kl(files["nearest"]), feedback = mean_kl(files["feedback"]), best = mean_kl(files["best"]);
  EXPECT_LT(feedback, 0.8 * nearest);
  EXPECT_LT(best, 0.95 * feedback);
  // From a text alone, the same again, and codes are chosen without being asked for.
  const std::string direct = dir / "direct.gguf", again = dir / "again.gguf";
  for (const std::string& file : {direct, again})
    EXPECT_EQ(result("quantize " + kModel + " --type Q3_K_M --calibration demo/calibration.txt" + kText + " -o " + file)["codes"].size(),
              85u);
  std::ifstream a(direct, std::ios::binary), b(again, std::ios::binary);
  EXPECT_TRUE(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b), {}));
  for (const auto& entry : std::filesystem::directory_iterator(dir))
    EXPECT_EQ(entry.path().string().find(".moments"), std::string::npos) << entry.path();
}

TEST(Codes, MomentsMerge) {
  const auto dir = cli_test::scratch("merge");
  const std::string a = dir / "a.safetensors", b = dir / "b.safetensors", both = dir / "both.safetensors";
  const std::string start = "imatrix " + kModel + " --ctx 128 --chunks 4 --text demo/";
  result(start + "calibration.txt --full " + a);
  result(start + "evaluation.txt --full " + b);
  result("imatrix " + kModel + " --full-in " + a + " --full-in " + b + " --full " + both);
  EXPECT_EQ(std::filesystem::file_size(both) / 1024, std::filesystem::file_size(a) / 1024);
}

TEST(Codes, WhatDoesNotFitIsRefusedAndNothingIsWritten) {
  const auto dir = cli_test::scratch("refused");
  const std::string out = dir / "out.gguf";
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    const auto done = run("quantize " + kModel + " --type Q4_0 -o " + out + " --quiet " + arguments);
    EXPECT_NE(done.exit_code, 0) << arguments;
    EXPECT_NE(done.output.find(words), std::string::npos) << done.output;
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refused("--codes best", "needs second moments");
  refused("--moments demo/reference-9m/model.safetensors", "not a file of second moments");
  refused("--moments /nowhere.safetensors", "/nowhere.safetensors");
}

}  // namespace
}  // namespace assay
