// What zeroing single weights of random GPT-2 and Qwen3 checkpoints does - KL, tail KL, flips, margins, perplexity - equals what
// transformers says in float64; planted weights head the robust list, for both layouts of weights.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "assay/engine.h"
#include "assay/model/checkpoint.h"
#include "assay/text/prompts.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

constexpr double kRelative = 0.01, kFloor = 1e-9;  // of KLs: our logits are float32
constexpr double kMargin = 2e-5;                   // of logits, the same
const std::vector<std::string> kPackages = {"transformers", "tokenizers"};

TEST(StudyOutliersInterop, SingleWeightsAgainstTransformers) {
  const std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "assay-outliers-interop";
  std::filesystem::remove_all(directory);
  const auto models =
      interop::run_python(kPackages, "outlier_metrics.py", {"make", directory.string(), ASSAY_SOURCE_DIR "/demo/reference-9m"});
  ASSERT_EQ(models.exit_code, 0) << models.output;
  for (const std::string kind : {"qwen3", "gpt2"}) {
    StudyOutliersOptions options;
    options.model = (directory / kind).string();
    OutlierConfig& config = options.config;
    config.prompts_per_stratum = 1;
    config.max_tokens = 40;
    config.spike = 0;
    config.robust = config.walk = 6;
    config.under = 0;
    config.controls = 1;
    config.strongest = 1;
    config.scales.clear();
    config.sets.clear();
    config.tracked_prompts = 0;
    config.share_types.clear();
    const auto made = assay_engine()->study_outliers(options, {}, silent_progress());
    ASSERT_TRUE(made) << made.error().message;
    const std::vector<OutlierRow>& rows = made->result.rows;

    nlohmann::json request = {{"tail", config.tail}, {"prompts", nlohmann::json::array()}, {"weights", nlohmann::json::array()}};
    const auto checkpoint = Checkpoint::open(options.model);
    const auto tokenizer = Tokenizer::from_metadata((*checkpoint)->metadata());
    const auto prompts = make_prompt_windows(builtin_prompts(), *tokenizer, config.max_tokens, 1);
    for (const Window& window : prompts->windows) request["prompts"].push_back(window.tokens);
    for (const OutlierRow& row : rows) request["weights"].push_back({row.place.tensor, row.place.at.row, row.place.at.column});
    std::ofstream(directory / "request.json") << request;
    const auto checked =
        interop::run_python(kPackages, "outlier_metrics.py",
                            {"check", options.model, (directory / "request.json").string(), (directory / "result.json").string()});
    ASSERT_EQ(checked.exit_code, 0) << checked.output;
    const auto answers = nlohmann::json::parse(std::ifstream(directory / "result.json"));
    ASSERT_EQ(answers.size(), rows.size());

    // The three planted ones first, where they were planted.
    const std::vector<WeightPlace> planted = {
        {"blk.0.attn_output.weight", {3, 5}}, {"blk.1.ffn_down.weight", {11, 40}}, {"blk.2.ffn_up.weight", {70, 9}}};
    for (const WeightPlace& place : planted)
      EXPECT_TRUE(rows[0].place == place || rows[1].place == place || rows[2].place == place) << kind << " " << name_of(place);
    EXPECT_GT(rows[0].all.kl, 1e-4);

    for (size_t r = 0; r < rows.size(); ++r) {
      const Behaviour& ours = rows[r].all;
      const auto& theirs = answers[r];
      const std::string who = kind + " " + name_of(rows[r].place);
      const double kl = theirs["mean_kl"], tail = theirs["tail_kl"];
      const double change = theirs["ppl"].get<double>() / theirs["ppl_base"].get<double>() - 1;
      EXPECT_EQ(ours.tokens, theirs["tokens"].get<uint64_t>());
      EXPECT_NEAR(ours.kl, kl, kRelative * kl + kFloor) << who;
      EXPECT_NEAR(ours.tail_kl, tail, kRelative * tail + 10 * kFloor) << who;
      EXPECT_NEAR(ours.flip_rate, theirs["flip_rate"].get<double>(), 1.01 / static_cast<double>(ours.tokens)) << who;  // one tie
      EXPECT_NEAR(ours.margin_change, theirs["margin_change"].get<double>(), kMargin) << who;
      EXPECT_NEAR(ours.ppl_base / theirs["ppl_base"].get<double>(), 1, 1e-5) << who;
      EXPECT_NEAR(ours.ppl_change(), change, 5e-6 + 1e-3 * std::fabs(change)) << who;
    }
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace assay
