// The base-logits file through `eval`: saved, compared with, and refused where it does not fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/engine.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using testing::HasSubstr;

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";
constexpr double kSameRows = 1e-3;             // of a floor: the same rows, in tiles of other sizes
constexpr double kStoredAgainstItself = 1e-6;  // nats: half a step of 2.4e-4, squared

EvaluateOptions options_of(uint32_t ctx) {
  EvaluateOptions options;
  options.model = kDemo + "reference-9m";
  options.text.path = kDemo + "evaluation.txt";
  options.text.windows.ctx = ctx;
  options.text.windows.chunks = 3;
  return options;
}

Result<EvaluateResult> evaluated(const EvaluateOptions& options) {
  return assay_engine()->evaluate(options, RunSettings{}, silent_progress());
}

void expect_refused(const EvaluateOptions& options, ErrorCode code, const char* says) {
  const auto result = evaluated(options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code);
  EXPECT_THAT(result.error().message, HasSubstr(says));
}

class StoredBase : public testing::Test {
 protected:
  void SetUp() override {
    EvaluateOptions save = options_of(128);
    save.save_logits = file_;
    const auto result = evaluated(save);
    ASSERT_TRUE(result) << result.error().message;
    ppl_ = result->ppl.value;
    written_floor_ = result->format_floor;
  }
  EvaluateOptions against_file(const std::string& text) const {
    EvaluateOptions options = options_of(128);
    options.text.path = text;
    options.stored_base = file_;
    return options;
  }
  testing_files::ScratchDirectory dir_;
  const std::string file_ = dir_ / "base.kld";
  double ppl_ = 0;
  std::optional<FormatFloor> written_floor_;
};

TEST_F(StoredBase, TheModelAgainstItsOwnFileIsNearZero) {
  for (const std::string& text : {std::string(), kDemo + "evaluation.txt"}) {
    const auto result = evaluated(against_file(text));
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->tokens_scored, 3u * 63);
    EXPECT_NEAR(result->ppl.value, ppl_, 1e-9 * ppl_);
    EXPECT_GE(result->comparison->positions().kl.ranked().quantile(0), 0.0);
    EXPECT_LT(result->comparison->mean_kl(), kStoredAgainstItself);
    EXPECT_EQ(result->comparison->flip_rate(), 0.0);
  }
}

// What the format makes of the base's logits, told when they are written, read, and read with their model at hand.
TEST_F(StoredBase, TheFloorOfTheFormatIsMeasured) {
  ASSERT_TRUE(written_floor_);
  EXPECT_GT(written_floor_->kl, 0);
  EXPECT_LT(written_floor_->kl, kStoredAgainstItself);
  const auto read = evaluated(against_file(""));
  ASSERT_TRUE(read && read->format_floor);
  EXPECT_FALSE(read->floor_of_base);
  // The model is the base here: its logits through the format, and its logits against the file, are the same rows.
  EXPECT_NEAR(read->format_floor->kl, written_floor_->kl, kSameRows * written_floor_->kl);
  EXPECT_NEAR(read->comparison->mean_kl(), written_floor_->kl, kSameRows * written_floor_->kl);
  EvaluateOptions both = against_file("");
  both.base = both.model;
  const auto beside = evaluated(both);
  ASSERT_TRUE(beside && beside->format_floor) << beside.error().message;
  EXPECT_TRUE(beside->floor_of_base);
  EXPECT_NEAR(beside->format_floor->kl, written_floor_->kl, kSameRows * written_floor_->kl);
  EXPECT_NEAR(beside->format_floor->plain, written_floor_->plain, kSameRows * std::abs(written_floor_->plain));
}

TEST_F(StoredBase, FewerChunksAreTheFirstOnes) {
  EvaluateOptions options = against_file("");
  options.text.windows.chunks = 2;
  const auto some = evaluated(options), all = evaluated(against_file(""));
  ASSERT_TRUE(some && all);
  ASSERT_EQ(some->comparison->windows().size(), 2u);
  for (size_t w = 0; w < 2; ++w) EXPECT_EQ(some->comparison->windows()[w].kl, all->comparison->windows()[w].kl);
}

TEST_F(StoredBase, WhatDoesNotFitIsRefused) {
  expect_refused(against_file(kDemo + "calibration.txt"), ErrorCode::kMismatch, "does not give the tokens");
  EvaluateOptions options = against_file(kDemo + "evaluation.txt");
  options.text.windows.ctx = 64;
  expect_refused(options, ErrorCode::kMismatch, "windows of 128 tokens");
  options = against_file("");
  options.save_logits = dir_ / "other.kld";
  expect_refused(options, ErrorCode::kUsage, "--save-all-logits");
  options = options_of(128);
  options.save_logits = file_;
  expect_refused(options, ErrorCode::kUsage, "exists");
  options.save_logits = dir_ / "other.kld";
  options.text.windows.rule = WindowRule::kFull;
  expect_refused(options, ErrorCode::kUsage, "--window llama.cpp");
  options = options_of(128);
  options.text.path.clear();
  expect_refused(options, ErrorCode::kUsage, "--text");
  EXPECT_EQ(dir_.names().size(), 1u);
}

}  // namespace
}  // namespace assay
