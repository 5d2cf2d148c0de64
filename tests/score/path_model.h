// A random model of three blocks and a random step away from it, for the tests of what is integrated along that step.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "assay/file/tensor_role.h"
#include "assay/score/path_gradients.h"
#include "tests/model/tiny_models.h"

namespace assay::testing_path {

constexpr int64_t kTokens = 12;

inline std::shared_ptr<const Checkpoint> tiny_checkpoint(bool tied = false) {
  const std::string path = testing::TempDir() + "/assay-path-" + std::to_string(getpid()) + ".gguf";
  const Metadata metadata = tiny::metadata("llama");
  auto tensors = tiny::tensors_of(*parse_hyper(metadata, true));
  if (std::none_of(tensors.begin(), tensors.end(), [](const TensorInfo& tensor) { return tensor.name == "output.weight"; })) {
    TensorInfo output;
    output.name = "output.weight";
    output.n_dims = 2;
    output.dims = {32, 24, 1, 1};
    tensors.push_back(output);
  }
  if (tied) std::erase_if(tensors, [](const TensorInfo& tensor) { return tensor.name == "output.weight"; });
  tiny::write_gguf_model(path, metadata, tensors);
  const auto checkpoint = Checkpoint::open(path).value();
  std::filesystem::remove(path);
  return checkpoint;
}

inline std::vector<Window> some_windows(size_t count) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    CounterRandom random(11, w);
    for (int64_t t = 0; t < kTokens; ++t) windows[w].tokens.push_back(static_cast<TokenId>(random.next_below(24)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = 4;
    windows[w].score_end = kTokens - 1;
  }
  return windows;
}

// Which matrices: of one block, of all, of embedding and head, of all of these.
inline constexpr int kBlocks = -1, kEnds = -2, kEverything = -3;

// Matrices with noise of `size`, in float32.
inline std::shared_ptr<const StoredMatrices> noisy_matrices(const Checkpoint& base, double size, int only = kBlocks) {
  auto far = std::make_shared<StoredMatrices>();
  for (const TensorInfo& tensor : base.tensors()) {
    const int layer = role_of(tensor.name).layer;
    const bool wanted =
        only == kEverything || (only == kEnds && layer < 0) || (only == kBlocks && layer >= 0) || (only >= 0 && layer == only);
    if (!wanted || tensor.n_dims != 2) continue;
    std::vector<float> values = base.read_float(tensor).value();
    CounterRandom random(5, std::hash<std::string>()(tensor.name));
    for (float& value : values) value += static_cast<float>(size * random.next_normal());
    StoredMatrix matrix;
    matrix.bytes.resize(values.size() * sizeof(float));
    std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
    far->emplace(tensor.name, std::move(matrix));
  }
  return far;
}

}  // namespace assay::testing_path
