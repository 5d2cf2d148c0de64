// assay imatrix: what its files hold, for each of its options, on the bundled model.
#include "assay/file/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cli/program.h"

namespace assay {
namespace {

using cli_test::run;
constexpr int kBlocks = 12, kMatricesPerBlock = 7;
const std::string kCollect = "imatrix demo/reference-9m --text demo/calibration.txt --ctx 128 ";

Imatrix read(const std::filesystem::path& path) {
  const auto imatrix = read_imatrix(path.string());
  EXPECT_TRUE(imatrix) << imatrix.error().message;
  return imatrix ? *imatrix : Imatrix{};
}

// Equal up to float32 rounding of sums added in another order.
void expect_equal_importance(const Imatrix& a, const Imatrix& b) {
  ASSERT_EQ(a.entries.size(), b.entries.size());
  for (const auto& [name, entry] : a.entries) {
    const auto x = a.importance(name), y = b.importance(name);
    ASSERT_EQ(x.size(), y.size()) << name;
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-6f * std::abs(x[i])) << name;
  }
}

// 6 windows of 128 tokens, copies after 2, 4 and 6 of them.
TEST(ImatrixCommand, CollectsSavesCopiesAndShowsStatistics) {
  const auto dir = cli_test::scratch("imatrix");
  const auto shown = cli_test::result(kCollect + "--chunks 6 --save-frequency 2 --show-statistics -o " + (dir / "a.gguf").string());
  const Imatrix all = read(dir / "a.gguf"), half = read(dir / "a.gguf.at_4"), last = read(dir / "a.gguf.at_6");
  EXPECT_EQ(all.entries.size(), size_t{kBlocks * kMatricesPerBlock});
  EXPECT_EQ(all.chunk_count, 6u);
  EXPECT_EQ(all.chunk_size, 128u);
  EXPECT_EQ(all.datasets, std::vector<std::string>{"demo/calibration.txt"});
  EXPECT_EQ(all.entries.at("blk.3.ffn_down.weight").columns, 512u);
  EXPECT_EQ(all.entries.at("blk.3.ffn_down.weight").counts, std::vector<float>{6 * 128});
  EXPECT_EQ(all.entries.at("blk.0.attn_q.weight").sums, all.entries.at("blk.0.attn_v.weight").sums);  // one input
  EXPECT_EQ(half.chunk_count, 4u);
  EXPECT_EQ(half.entries.at("blk.3.ffn_down.weight").counts, std::vector<float>{4 * 128});
  expect_equal_importance(all, last);
  EXPECT_EQ(shown["tokens"], 6 * 128);
  ASSERT_EQ(shown["statistics"].size(), all.entries.size());
  for (const auto& row : shown["statistics"]) {
    double sum = 0;
    for (const float a : all.importance(row["tensor"])) sum += static_cast<double>(a);
    EXPECT_NEAR(row["sum"].get<double>(), sum, 1e-5 * sum);
    EXPECT_EQ(row["cosine"].is_null(), row["tensor"].get<std::string>().starts_with("blk.0."));
  }
  // The table of the same statistics.
  const auto table = run("imatrix demo/reference-9m --in-file " + (dir / "a.gguf").string() + " --show-statistics --quiet");
  EXPECT_EQ(table.exit_code, 0) << table.output;
  for (const char* word : {"entropy", "cosine", "blk.11.attn_output.weight"}) EXPECT_NE(table.output.find(word), std::string::npos) << word;
  std::filesystem::remove_all(dir);
}

TEST(ImatrixCommand, BothFormatsHoldTheSame) {
  const auto dir = cli_test::scratch("imatrix-formats");
  const std::string gguf = (dir / "a.gguf").string(), dat = (dir / "a.dat").string();
  cli_test::result(kCollect + "--chunks 4 -o " + gguf);
  cli_test::result(kCollect + "--chunks 4 --output-format dat -o " + dat);
  expect_equal_importance(read(gguf), read(dat));
  EXPECT_NE(std::filesystem::file_size(gguf), std::filesystem::file_size(dat));
  EXPECT_EQ(run(kCollect + "--chunks 4 --output-format csv -o x --quiet").exit_code, 64);
  std::filesystem::remove_all(dir);
}

// Sums of two files add up; merging a run with itself changes no importance.
TEST(ImatrixCommand, InFilesAreMerged) {
  const auto dir = cli_test::scratch("imatrix-merge");
  const std::string one = (dir / "one.gguf").string(), two = (dir / "two.gguf").string(), three = (dir / "three.gguf").string();
  cli_test::result(kCollect + "--chunks 4 -o " + one);
  cli_test::result("imatrix demo/reference-9m --in-file " + one + " --in-file " + one + " -o " + two);
  cli_test::result(kCollect + "--chunks 4 --in-file " + two + " -o " + three);
  const Imatrix a = read(one), b = read(two), c = read(three);
  EXPECT_EQ(b.chunk_count, 2 * a.chunk_count);
  EXPECT_EQ(c.chunk_count, 3 * a.chunk_count);
  EXPECT_EQ(c.entries.at("blk.5.ffn_up.weight").counts, std::vector<float>{3 * 4 * 128});
  expect_equal_importance(a, b);
  expect_equal_importance(a, c);
  std::filesystem::remove_all(dir);
}

TEST(ImatrixCommand, ProcessOutputAddsTheHead) {
  const auto dir = cli_test::scratch("imatrix-head");
  const std::string path = (dir / "a.gguf").string();
  cli_test::result(kCollect + "--chunks 4 --process-output -o " + path);
  const Imatrix imatrix = read(path);
  EXPECT_EQ(imatrix.entries.size(), size_t{kBlocks * kMatricesPerBlock} + 1);
  const auto head =
      std::find_if(imatrix.entries.begin(), imatrix.entries.end(), [](const auto& entry) { return !entry.first.starts_with("blk."); });
  ASSERT_NE(head, imatrix.entries.end());
  EXPECT_EQ(head->second.columns, 256u);
  EXPECT_EQ(head->second.counts, std::vector<float>{4 * 128});
  std::filesystem::remove_all(dir);
}

TEST(ImatrixCommand, ContradictionsAreNamed) {
  const auto dir = cli_test::scratch("imatrix-usage");
  const std::string path = (dir / "a.gguf").string();
  const auto neither = run("imatrix demo/reference-9m --quiet");
  EXPECT_EQ(neither.exit_code, 64);
  EXPECT_NE(neither.output.find("--in-file"), std::string::npos) << neither.output;
  EXPECT_EQ(run(kCollect + "--chunks 4 --save-frequency 2 --quiet").exit_code, 64);
  cli_test::result(kCollect + "--chunks 4 -o " + path);
  EXPECT_NE(run(kCollect + "--chunks 4 --quiet -o " + path).exit_code, 0);                                     // exists
  EXPECT_NE(run("imatrix demo/reference-9m --quiet --force --in-file " + path + " -o " + path).exit_code, 0);  // is an input
  EXPECT_EQ(run(kCollect + "--chunks 4 --quiet --force -o " + path).exit_code, 0);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
