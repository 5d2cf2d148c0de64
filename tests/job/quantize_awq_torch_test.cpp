// `assay quantize --method awq` on the bundled model: the file is what was measured, options that do not go together are refused.
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/engine.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

const std::string kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";

class QuantizeAwq : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) / "assay-quantize-awq";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  QuantizeAwqOptions options(const std::string& type, const std::string& name) const {
    QuantizeAwqOptions all;
    all.model = kModel;
    all.output = (directory_ / name).string();
    all.file.preset = type;
    all.calibration.path = ASSAY_SOURCE_DIR "/demo/calibration.txt";
    all.calibration.windows.ctx = 128;
    all.calibration.windows.chunks = 4;
    all.evaluation = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
    return all;
  }
  std::filesystem::path directory_;
};

TEST_F(QuantizeAwq, ScaledFilesHaveTheSameSizeAndNormsThatWereDivided) {
  const auto made = assay_engine()->quantize_awq(options("Q4_0", "awq.gguf"), {}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(made->on_grid);
  EXPECT_EQ(made->groups.size(), 36u);
  for (const AwqGroupReport& group : made->groups) EXPECT_LE(group.loss, group.plain_loss);
  EXPECT_GT(made->awq.kl.value, 0);
  EXPECT_GT(made->plain.kl.value, 0);
  QuantizeOptions plain;
  plain.preset = "Q4_0";
  const auto base = *Checkpoint::open(kModel);
  ASSERT_TRUE(quantize_model(*base, plain, (directory_ / "plain.gguf").string()));
  EXPECT_EQ(std::filesystem::file_size(directory_ / "awq.gguf"), std::filesystem::file_size(directory_ / "plain.gguf"));
  const auto written = *Checkpoint::open((directory_ / "awq.gguf").string());
  size_t moved = 0;
  for (const TensorInfo& tensor : written->tensors())
    if (tensor.name.ends_with("norm.weight") && tensor.name.starts_with("blk."))
      moved += *written->read_float(tensor) != *base->read_float(*base->find(tensor.name)) ? 1 : 0;
  size_t scaled = 0;
  for (const AwqGroupReport& group : made->groups) scaled += group.alpha > 0 && group.place != "ffn down" ? 1 : 0;
  EXPECT_EQ(moved, scaled);
  EXPECT_GT(moved, 0u);
}

TEST_F(QuantizeAwq, AFloatFileHoldsTheGridsLevels) {
  QuantizeAwqOptions wanted = options("F32", "grid.gguf");
  wanted.awq.grid = {3, 64, true};
  const auto made = assay_engine()->quantize_awq(wanted, {}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->on_grid);
  EXPECT_GT(made->clipped, 0);
  const auto written = *Checkpoint::open(wanted.output);
  const std::vector<float> values = *written->read_float(*written->find("blk.2.ffn_gate.weight"));
  for (size_t begin = 0; begin < 64 * 100; begin += 64) {
    const std::set<float> levels(values.begin() + static_cast<ptrdiff_t>(begin), values.begin() + static_cast<ptrdiff_t>(begin + 64));
    EXPECT_LE(levels.size(), 8u);
  }
}

TEST_F(QuantizeAwq, ChosenCodesUnderTheScaledInputsDoLessDamageThanNearest) {
  QuantizeAwqOptions wanted = options("Q3_K_S", "codes.gguf");
  wanted.codes = Codes::kFeedback;
  wanted.calibration.windows.chunks = 16;
  const auto made = assay_engine()->quantize_awq(wanted, {}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(made->codes.empty());
  EXPECT_LT(made->awq.kl.value, made->plain.kl.value);
  EXPECT_FALSE(std::filesystem::exists(wanted.output + ".moments"));
}

TEST_F(QuantizeAwq, WhatDoesNotGoTogetherIsRefused) {
  const auto refused = [&](const QuantizeAwqOptions& bad, const std::string& word) {
    const auto made = assay_engine()->quantize_awq(bad, {}, silent_progress());
    ASSERT_FALSE(made) << word;
    EXPECT_EQ(made.error().code, ErrorCode::kUsage);
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  };
  QuantizeAwqOptions bad = options("Q4_0", "a.gguf");
  bad.calibration.path.clear();
  refused(bad, "--calibration");
  bad = options("Q4_0", "a.gguf");
  bad.file.prune_layers = {1};
  refused(bad, "--prune-layers");
  bad = options("F16", "a.gguf");
  bad.codes = Codes::kBest;
  refused(bad, "--codes");
  // A matrix that is already quantized and keeps its type would have to hold other numbers.
  QuantizeOptions plain;
  plain.preset = "Q4_0";
  ASSERT_TRUE(quantize_model(**Checkpoint::open(kModel), plain, (directory_ / "q4.gguf").string()));
  bad = options("Q4_0", "a.gguf");
  bad.model = (directory_ / "q4.gguf").string();
  refused(bad, "blk.0");
}

}  // namespace
}  // namespace assay
