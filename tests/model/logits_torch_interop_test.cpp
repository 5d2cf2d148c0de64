// Logits of random tiny models of every family equal those of transformers in float32.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "assay/model/network.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

constexpr int64_t kSequences = 2, kTokens = 48;
constexpr double kTolerance = 1e-4;  // float32 sums of a few hundred products in another order

template <class T>
std::vector<T> read_all(const std::filesystem::path& path) {
  std::vector<T> values(std::filesystem::file_size(path) / sizeof(T));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

at::Tensor run(const Network& network, const at::Tensor& tokens, bool plain) {
  at::Tensor h = *network.embed(tokens);
  for (int layer = 0; layer < network.hyper().layers; ++layer) {
    if (plain) {
      const auto block = *network.plain_block(layer);
      h = block->forward(h, kSequences, kTokens, [&](Site site, const at::Tensor& x) { return block->linear(site, x); });
    } else {
      h = (*network.block(layer))->forward(h, kSequences, kTokens);
    }
  }
  return network.head().multiply(plain ? network.final_norm_plain(h) : network.final_norm(h));
}

TEST(LogitsInterop, EqualTransformersInFloat32) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-tiny-models";
  std::filesystem::create_directories(dir);
  const auto python =
      interop::run_python({"transformers", "torch", "numpy"}, "tiny_models.py", {dir.string(), ASSAY_SOURCE_DIR "/demo/reference-9m"});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename();
    const auto checkpoint = Checkpoint::open(entry.path());
    ASSERT_TRUE(checkpoint) << name << ": " << checkpoint.error().message;
    const auto network = Network::load(*checkpoint, NetworkOptions{});
    ASSERT_TRUE(network) << name << ": " << network.error().message;
    at::NoGradGuard no_grad;
    const at::Tensor tokens = at::tensor(read_all<int32_t>(entry.path() / "tokens.i32"), at::kInt).view({kSequences, kTokens});
    const at::Tensor expected = at::tensor(read_all<float>(entry.path() / "logits.f32")).view({kSequences * kTokens, -1});
    for (const bool plain : {false, true})
      EXPECT_LT((run(**network, tokens, plain) - expected).abs().max().item<double>(), kTolerance)
          << name << (plain ? " (differentiable path)" : "");
    ++compared;
  }
  EXPECT_GE(compared, 13u);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
