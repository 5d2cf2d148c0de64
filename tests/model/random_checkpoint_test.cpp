// A random model has the trained one's shapes and spreads, and nothing else of it.
#include "assay/model/random_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/model/tiny_models.h"

namespace assay {
namespace {

std::shared_ptr<const Checkpoint> small_model() {
  const std::string path = testing::TempDir() + "/assay-random-checkpoint.gguf";
  const Metadata metadata = tiny::metadata("qwen2");  // with biases
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)));
  auto checkpoint = Checkpoint::open(path).value();
  std::filesystem::remove(path);
  return checkpoint;
}

double mean_product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(RandomCheckpoint, HasTheShapesAndSpreadsAndNothingElse) {
  constexpr double kSampling = 0.2;  // of 512 weights, over four standard errors
  const auto model = small_model();
  const RandomCheckpoint random(model, 1, 1), again(model, 1, 3), other(model, 2);
  ASSERT_EQ(random.tensors().size(), model->tensors().size());
  bool biases = false;
  for (const TensorInfo& info : model->tensors()) {
    const std::vector<float> trained = model->read_float(info).value(), drawn = random.read_float(*random.find(info.name)).value();
    EXPECT_EQ(drawn, again.read_float(*again.find(info.name)).value()) << info.name;  // whatever the threads
    ASSERT_EQ(drawn.size(), trained.size());
    if (info.n_dims == 1) {
      const bool bias = info.name.ends_with(".bias");
      biases = biases || bias;
      for (const float value : drawn) EXPECT_EQ(value, bias ? 0 : 1) << info.name;
      continue;
    }
    EXPECT_NE(drawn, other.read_float(*other.find(info.name)).value()) << info.name;
    const double square = mean_product(trained, trained);  // both means are about 0
    EXPECT_NEAR(mean_product(drawn, drawn), square, 2 * kSampling * square) << info.name;
    EXPECT_LT(std::fabs(mean_product(drawn, trained)), kSampling * square) << info.name;
  }
  EXPECT_TRUE(biases);
}

TEST(RandomCheckpoint, KnowsItsOwnTensorsOnly) {
  const auto model = small_model();
  const RandomCheckpoint random(model, 1);
  EXPECT_EQ(random.find("blk.9.attn_q.weight"), nullptr);
  TensorInfo strange = model->tensors()[0];
  strange.name = "strange";
  const auto read = random.read(strange);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace assay
