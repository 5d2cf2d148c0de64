// Loss and gradients of tiny random models equal those of PyTorch's automatic differentiation through transformers' own code.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "assay/model/hf_import.h"
#include "assay/probe/gradient_pass.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

constexpr size_t kWindows = 3, kTokens = 48, kBegin = 20;
constexpr double kTolerance = 1e-4;  // relative to a matrix's largest entry: float32 sums in another order

template <class T>
std::vector<T> read_all(const std::filesystem::path& path) {
  std::vector<T> values(std::filesystem::file_size(path) / sizeof(T));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

// GGUF's middle of a tensor's name -> transformers'.
const std::map<std::string, std::string> kNames = {
    {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"}, {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},      {"ffn_down", "mlp.down_proj"}};

std::string middle_of(const std::string& tensor) {
  const size_t begin = tensor.find('.', 4) + 1;
  return tensor.substr(begin, tensor.rfind('.') - begin);
}

std::string parameter_of(const MatrixPlace& place) {
  if (place.tensor == "token_embd.weight") return "model.embed_tokens.weight";
  if (place.tensor == "output.weight") return "lm_head.weight";
  std::string name = "model.layers.";
  return name.append(std::to_string(place.layer)).append(".").append(kNames.at(middle_of(place.tensor))).append(".weight");
}

// Compares every mean gradient with the file of its parameter.
struct Comparison : GradientReader {
  std::filesystem::path directory;
  uint64_t head_dim = 0;
  bool permuted = false;  // rows of q and k lie in another order in llama's GGUF
  size_t compared = 0;

  GradientNeeds needs(const MatrixPlace&, GradientLabels labels) const override { return {.mean = labels == GradientLabels::kText}; }
  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    const at::Tensor& gradient = gradients.text.mean;
    at::Tensor expected = at::tensor(read_all<float>(directory / (parameter_of(place) + ".grad.f32"))).view(gradient.sizes());
    if (permuted && place.layer >= 0 && (middle_of(place.tensor) == "attn_q" || middle_of(place.tensor) == "attn_k")) {
      std::vector<int64_t> rows;
      for (int64_t r = 0; r < gradient.size(0); ++r) rows.push_back(static_cast<int64_t>(permuted_row(static_cast<uint64_t>(r), head_dim)));
      expected = expected.index_select(0, at::tensor(rows));
    }
    EXPECT_LT((gradient - expected).abs().max().item<double>() / expected.abs().max().item<double>(), kTolerance) << place.tensor;
    ++compared;
    return {};
  }
};

std::vector<Window> windows_of(const std::vector<int32_t>& tokens) {
  std::vector<Window> windows(kWindows);
  for (size_t w = 0; w < kWindows; ++w) {
    windows[w].tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(w * kTokens),
                             tokens.begin() + static_cast<std::ptrdiff_t>((w + 1) * kTokens));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = kBegin;
    windows[w].score_end = kTokens - 1;
  }
  return windows;
}

TEST(GradientPassInterop, EqualsAutomaticDifferentiation) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-loss-gradients";
  std::filesystem::create_directories(dir);
  const auto python =
      interop::run_python({"transformers", "torch", "numpy"}, "loss_gradients.py", {dir.string(), ASSAY_SOURCE_DIR "/demo/reference-9m"});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  for (const std::string name : {"llama", "qwen3"}) {
    const auto network = Network::load(*Checkpoint::open((dir / name).string()), NetworkOptions{});
    ASSERT_TRUE(network) << network.error().message;
    Comparison comparison;
    comparison.directory = dir / name;
    comparison.head_dim = static_cast<uint64_t>((*network)->hyper().head_dim);
    comparison.permuted = name == "llama";
    GradientReader* const readers[] = {&comparison};
    const auto losses = gradient_pass(**network, windows_of(read_all<int32_t>(dir / name / "tokens.i32")), readers);
    ASSERT_TRUE(losses) << losses.error().message;
    EXPECT_NEAR(losses->mean, static_cast<double>(read_all<float>(dir / name / "loss.f32")[0]), 1e-5);
    EXPECT_EQ(comparison.compared, 3u * 7 + (name == "llama" ? 2 : 1)) << name;  // qwen3's embedding is tied
  }
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
