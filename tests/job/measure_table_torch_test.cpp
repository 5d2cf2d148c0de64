// The measured table on top of a recipe: what a tensor adds to a model whose other tensors are quantized already.
#include <gtest/gtest.h>

#include "assay/engine.h"
#include "assay/plan/quantize_job.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using testing_files::put_file;
using testing_files::ScratchDirectory;

const std::string kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";
const std::string kTensor = "blk.3.ffn_down.weight";
const std::string kOthers = "blk.1.ffn_up.weight=q2_k\nblk.3.attn_v.weight=q3_k\nblk.9.attn_q.weight=q2_k\n";

TextInput some_text() {
  TextInput text;
  text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  text.windows.ctx = 128;
  text.windows.chunks = 3;
  return text;
}

DamageCell measured(const std::string& recipe) {
  MakeTableOptions options;
  options.model = kModel;
  options.text = some_text();
  options.types = {GgmlType::kQ2_K};
  options.base_recipe = recipe;
  const auto made = assay_engine()->measure_table(options, RunSettings{}, silent_progress());
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  EXPECT_EQ(made->table.estimator, recipe.empty() ? "measured" : "measured:on recipe");
  for (const DamageRow& row : made->table.rows)
    if (row.name == kTensor) return row.cells[0];
  ADD_FAILURE() << "no row " << kTensor;
  return {};
}

// KL of a file with these types, the other tensors as they are.
double file_kl(const ScratchDirectory& dir, const std::string& rules) {
  const auto checkpoint = Checkpoint::open(kModel);
  EXPECT_TRUE(checkpoint);
  QuantizeOptions options;
  options.recipe.emplace();
  EXPECT_TRUE(options.recipe->add_text(rules));
  options.force = true;
  const auto written = quantize_model(**checkpoint, options, dir / "file.gguf");
  EXPECT_TRUE(written) << written.error().message;
  EvaluateOptions evaluation;
  evaluation.model = dir / "file.gguf";
  evaluation.base = kModel;
  evaluation.text = some_text();
  const auto seen = assay_engine()->evaluate(evaluation, RunSettings{}, silent_progress());
  EXPECT_TRUE(seen) << seen.error().message;
  return seen ? seen->comparison->mean_kl() : 0;
}

TEST(MeasureTable, OnARecipeOfTheTensorAloneIsTheDamageOfTheTensor) {
  const ScratchDirectory dir;
  put_file(dir / "recipe.txt", kTensor + "=q6_k\n");
  const DamageCell alone = measured(""), on_recipe = measured(dir / "recipe.txt");
  EXPECT_GT(alone.damage, 0);
  EXPECT_EQ(on_recipe.damage, alone.damage);
}

TEST(MeasureTable, OnARecipeIsTheDifferenceOfTwoFiles) {
  const ScratchDirectory dir;
  put_file(dir / "recipe.txt", kOthers + kTensor + "=q6_k\n");
  const DamageCell cell = measured(dir / "recipe.txt");
  const double difference = file_kl(dir, kOthers + kTensor + "=q2_k\n") - file_kl(dir, kOthers);
  EXPECT_GT(difference, 0);
  EXPECT_NEAR(cell.damage / difference, 1, 1e-3);  // y + x dW^T there, the changed matrix here: float32 rounding of a small difference
  EXPECT_GT(cell.standard_error, 0);
}

TEST(MeasureTable, ARecipeOfAnotherModelIsRefused) {
  const ScratchDirectory dir;
  put_file(dir / "recipe.txt", "blk.99.ffn_up.weight=q4_k\n");
  MakeTableOptions options;
  options.model = kModel;
  options.text = some_text();
  options.types = {GgmlType::kQ2_K};
  options.base_recipe = dir / "recipe.txt";
  const auto refused = assay_engine()->measure_table(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
}

}  // namespace
}  // namespace assay
