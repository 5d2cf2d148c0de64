// A run of a score with passes of its own over a small model, as job/score_passes.cpp would give it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "assay/quant/codec.h"
#include "assay/score/pass_score.h"
#include "tests/score/path_model.h"

namespace assay::testing_passes {

struct SmallRun {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const Network> network;
  std::vector<Window> windows = testing_path::some_windows(3);
  std::vector<LayerNumbers> layers;
  std::unique_ptr<ScoreContext> context;
  int units = 0;  // made
  std::function<Result<StoredMatrix>(const std::string&, GgmlType)> stored;

  explicit SmallRun(std::shared_ptr<const Checkpoint> model, int threads = 0)
      : checkpoint(std::move(model)), network(Network::load(checkpoint, NetworkOptions{}).value()) {
    for (int layer = -1; layer < network->hyper().layers; ++layer) layers.push_back({layer, {}, {}});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      const TensorRole role = role_of(tensor.name);
      if (tensor.n_dims == 2)
        layers[static_cast<size_t>(role.layer + 1)].matrices.push_back({tensor.name, role, tensor.rows(), tensor.row_length()});
    }
    context = std::make_unique<ScoreContext>(ScoreContext{network->hyper(), 5, threads});
  }

  PassRows rows(const std::unique_ptr<Score>& score) {
    const PassRun run{network,
                      {},
                      windows,
                      layers,
                      {GgmlType::kF32},
                      [](const std::string&) { return std::vector{GgmlType::kF32}; },
                      stored,
                      {},
                      *context,
                      std::numeric_limits<double>::infinity(),
                      [this](const std::string&, const std::function<Result<std::string>()>& make) {
                        ++units;
                        return make();
                      },
                      silent_progress()};
    const auto& pass = dynamic_cast<const PassScore&>(*score);
    EXPECT_GT(pass.estimate(run), 0);
    auto made = pass.rows(run);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : PassRows{};
  }
};

inline std::vector<double> values_of(const PassRows& rows) {
  std::vector<double> values;
  for (const ScoreRow& row : rows.rows) values.push_back(row.cells.at(0).value);
  return values;
}

// A small model on disk; `change` may alter its tensors.
inline std::shared_ptr<const Checkpoint> small_model(const std::function<void(const TensorInfo&, std::span<float>)>& change = {}) {
  const std::string path = testing::TempDir() + "/assay-pass-runs.gguf";
  const Metadata metadata = tiny::metadata("llama");
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)), change);
  auto checkpoint = Checkpoint::open(path).value();
  std::filesystem::remove(path);
  return checkpoint;
}

}  // namespace assay::testing_passes
