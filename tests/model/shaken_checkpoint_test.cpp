#include "assay/model/shaken_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/model/tiny_models.h"

namespace assay {
namespace {

std::shared_ptr<const Checkpoint> tiny_checkpoint() {
  const std::string path = testing::TempDir() + "/assay-shaken.gguf";
  const Metadata metadata = tiny::metadata("llama");
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)));
  const auto checkpoint = Checkpoint::open(path).value();
  std::filesystem::remove(path);
  return checkpoint;
}

const std::string kMoved = "blk.1.attn_k.weight", kOther = "blk.1.attn_q.weight";

TEST(ShakenCheckpoint, MovesEveryNamedWeightByItsStepToBothSides) {
  const auto base = tiny_checkpoint();
  const Shake shake{5, 0, {{kMoved, 0.25}}};
  const auto above = *shaken_checkpoint(base, shake, 1), below = *shaken_checkpoint(base, shake, -1);
  const std::vector<float> w = *base->read_float(*base->find(kMoved));
  const std::vector<float> up = *above->read_float(*above->find(kMoved)), down = *below->read_float(*below->find(kMoved));
  const std::vector<float> signs = random_signs(*base, kMoved, shake);
  ASSERT_EQ(signs.size(), w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_EQ(std::fabs(signs[i]), 1);
    EXPECT_FLOAT_EQ(up[i], w[i] + 0.25f * signs[i]);
    EXPECT_FLOAT_EQ(down[i], w[i] - 0.25f * signs[i]);
  }
  EXPECT_EQ(*above->read(*above->find(kOther)), *base->read(*base->find(kOther)));
  EXPECT_FALSE(shaken_checkpoint(base, {5, 0, {{"blk.9.attn_k.weight", 1}}}, 1));
}

// Signs are even, and those of two draws, two tensors or two seeds have nothing to do with each other: |mean| below 5 / sqrt(n).
TEST(ShakenCheckpoint, SignsAreFairAndIndependent) {
  const auto base = tiny_checkpoint();
  const auto signs = [&](uint64_t seed, uint64_t draw, const std::string& tensor) {
    return random_signs(*base, tensor, {seed, draw, {}}, 1);
  };
  const std::vector<float> first = signs(5, 0, kOther), ones(first.size(), 1);
  const auto agreement = [&](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i] * b[i]);
    return std::fabs(sum) / std::sqrt(static_cast<double>(a.size()));
  };
  EXPECT_EQ(first, signs(5, 0, kOther));
  EXPECT_EQ(first, random_signs(*base, kOther, {5, 0, {}}, 2));
  EXPECT_LT(agreement(first, ones), 5);
  EXPECT_LT(agreement(first, signs(5, 1, kOther)), 5);
  EXPECT_LT(agreement(first, signs(6, 0, kOther)), 5);
  EXPECT_LT(agreement(first, signs(5, 0, "blk.2.attn_q.weight")), 5);
}

}  // namespace
}  // namespace assay
