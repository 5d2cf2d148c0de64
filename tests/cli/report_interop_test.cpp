// Pages made by the program, opened and used in Chromium (tests/interop/check_report.mjs); skipped, saying why, where there is none.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/interop/python.h"
#include "tests/report/example_results.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using examples::Json;
using interop::shell_quoted;

constexpr int kSkipped = 77;
constexpr size_t kRunsOnAPage = 16;  // of partial results

bool has_template() { return fs::exists(fs::path(ASSAY_PROGRAM).parent_path() / "share/report.html"); }
constexpr const char* kNoTemplate = "the program was built without node: no page (docs/report.md)";

void make_page(const fs::path& scratch, const std::string& name, const std::vector<Json>& results) {
  std::string command = shell_quoted(ASSAY_PROGRAM) + " report";
  for (size_t i = 0; i < results.size(); ++i) {
    const fs::path file = scratch / (name + "." + std::to_string(i) + ".json");
    std::ofstream(file) << results[i].dump();
    command += " " + shell_quoted(file.string());
  }
  const auto run = interop::run_shell(command + " -o " + shell_quoted((scratch / "pages" / (name + ".html")).string()));
  ASSERT_EQ(run.exit_code, 0) << run.output;
}

TEST(ReportInterop, PagesWorkInABrowser) {
  if (!has_template()) GTEST_SKIP() << kNoTemplate;
  const auto environment = interop::run_shell(shell_quoted(ASSAY_SOURCE_DIR "/scripts/browser_env.sh"));
  if (environment.exit_code == kSkipped) GTEST_SKIP() << environment.output;
  ASSERT_EQ(environment.exit_code, 0) << environment.output;
  std::istringstream lines(environment.output);
  std::vector<std::string> words;
  for (std::string line; std::getline(lines, line);) words.push_back(line);
  ASSERT_GE(words.size(), 2u);
  const std::string browser = words.back(), modules = words[words.size() - 2];

  const fs::path scratch = fs::path(testing::TempDir()) / "assay-report-pages";
  fs::remove_all(scratch);
  fs::create_directories(scratch / "pages");
  std::vector<Json> all;
  for (const auto& [name, result] : examples::all_results()) {
    make_page(scratch, name, {result});
    all.push_back(result);
  }
  make_page(scratch, "several", all);
  for (const auto& [name, result] : examples::study_results()) {
    const std::vector<Json> partial = examples::partial_results(result);
    for (size_t from = 0; from < partial.size(); from += kRunsOnAPage) {
      std::vector<Json> some;
      for (size_t i = from; i < std::min(partial.size(), from + kRunsOnAPage); ++i) some.push_back(examples::envelope("study", partial[i]));
      make_page(scratch, "partial_" + name + "_" + std::to_string(from), some);
    }
  }
  const std::string hostile = "</script><script>globalThis.taken = 1</script><img src=x onerror='globalThis.taken = 1'>";
  make_page(scratch, "hostile", {examples::envelope("inspect", {{"warnings", hostile}, {hostile, Json::array({{{hostile, hostile}}})}})});
  // 2,003 rows: 286 layers of 7 matrices and the embedding.
  const std::vector<std::string> types = {"IQ1_S",  "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K", "IQ4_XS",
                                          "IQ4_NL", "Q4_0",  "Q4_K",    "Q4_1",   "Q5_0",  "Q5_K", "Q5_1",    "Q6_K",  "Q8_0", "F16"};
  Json table = examples::damage_table(286, types);
  while (table["rows"].size() > 2000) table["rows"].erase(table["rows"].size() - 1);
  make_page(scratch, "large", {examples::envelope("sweep", {{"table", std::move(table)}})});

  const auto run =
      interop::run_shell("node " + shell_quoted(ASSAY_SOURCE_DIR "/tests/interop/check_report.mjs") + " " + shell_quoted(modules) + " " +
                         shell_quoted(browser) + " " + shell_quoted((scratch / "pages").string()));
  std::cout << run.output;
  EXPECT_EQ(run.exit_code, 0) << run.output;
}

// Types and style of web/.
TEST(ReportInterop, SourcesOfThePageAreInOrder) {
  const auto run = interop::run_shell(shell_quoted(ASSAY_SOURCE_DIR "/scripts/build_web.sh") + " --check " +
                                      shell_quoted(testing::TempDir() + "/assay-report-checked/report.html"));
  if (run.exit_code == kSkipped) GTEST_SKIP() << run.output;
  EXPECT_EQ(run.exit_code, 0) << run.output;
}

TEST(ReportInterop, TheCommandKeepsFilesAndSaysWhatIsWrong) {
  if (!has_template()) GTEST_SKIP() << kNoTemplate;
  const fs::path scratch = fs::path(testing::TempDir()) / "assay-report-command";
  fs::remove_all(scratch);
  fs::create_directories(scratch / "results");
  std::ofstream(scratch / "results/report.json") << examples::envelope("optimize", examples::optimize_result()).dump();
  std::ofstream(scratch / "bad.json") << "{";
  const auto report = [&](const std::string& arguments) {
    return interop::run_shell("cd " + shell_quoted(scratch.string()) + " && " + shell_quoted(ASSAY_PROGRAM) + " report " + arguments +
                              " --store none");
  };
  const auto made = report("results -o page.html --figures figures --json out.json");
  ASSERT_EQ(made.exit_code, 0) << made.output;
  for (const char* file : {"figures/files.svg", "figures/files.png", "figures/recipe.svg", "figures/recipe.png"})
    EXPECT_TRUE(fs::exists(scratch / file)) << file;
  std::ifstream json(scratch / "out.json");
  const Json result = Json::parse(json)["result"];
  EXPECT_EQ(result["bytes"], fs::file_size(scratch / "page.html"));
  EXPECT_EQ(result["figures"].size(), 4u);

  EXPECT_EQ(report("results -o page.html").exit_code, 64);  // it exists
  EXPECT_EQ(report("results -o page.html --force").exit_code, 0);
  EXPECT_EQ(report("bad.json -o other.html").exit_code, 65);
  EXPECT_EQ(report("none.json -o other.html").exit_code, 65);
  EXPECT_FALSE(fs::exists(scratch / "other.html"));

  // Every command can end with a page.
  const auto tokens = interop::run_shell("cd " + shell_quoted(scratch.string()) + " && " + shell_quoted(ASSAY_PROGRAM) + " inspect " +
                                         shell_quoted(ASSAY_SOURCE_DIR "/demo/reference-9m") + " --report inspect.html --store none");
  EXPECT_EQ(tokens.exit_code, 0) << tokens.output;
  EXPECT_GT(fs::file_size(scratch / "inspect.html"), 100'000u);
}

}  // namespace
}  // namespace assay
