// Gradient scores of a small model: against values made straight from loss_gradient(), and kept units.
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/probe/loss_gradient.h"
#include "assay/score/gradient_run.h"
#include "tests/base/map_unit_cache.h"
#include "tests/model/tiny_models.h"
#include "tests/score/map_weight_sink.h"
#include "tests/score/path_model.h"

namespace assay {
namespace {

using testing_path::some_windows;
constexpr double kTolerance = 1e-4;  // relative: float32 gradients, sums that cancel

std::shared_ptr<const Network> tiny_network() {
  const std::string path = testing::TempDir() + "/assay-gradient-run.gguf";
  const Metadata metadata = tiny::metadata("llama");
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)));
  const auto network = Network::load(*Checkpoint::open(path), NetworkOptions{});
  EXPECT_TRUE(network) << network.error().message;
  std::filesystem::remove(path);
  return *network;
}

at::Tensor change_of(const Network& network, const std::string& tensor, GgmlType type) {
  at::Tensor change = at::empty_like(*network.plain_weight(tensor));
  CounterRandom random(std::hash<std::string>()(tensor), static_cast<uint64_t>(type));
  for (int64_t i = 0; i < change.numel(); ++i) change.data_ptr<float>()[i] = static_cast<float>(0.01 * random.next_normal());
  return change;
}

const std::vector<std::string> kTensors = {"token_embd.weight", "blk.0.attn_k.weight", "blk.2.ffn_down.weight"};
const std::vector<GgmlType> kTypes = {GgmlType::kQ4_0, GgmlType::kQ8_0};

struct Work {
  std::shared_ptr<const Network> network = tiny_network();
  std::vector<Window> windows = some_windows(3);
  std::vector<std::shared_ptr<const GradientScore>> scores;
  std::vector<CurvatureRequest> requests;
  ScoreContext context{network->hyper(), 0, 0};
  int changes_made = 0;

  Work() {
    for (auto& score : gradient_scores()) scores.push_back(std::move(score));
    for (const std::string& tensor : kTensors) requests.push_back({tensor, kTypes});
  }
  Result<GradientScoreRun> run(UnitCache& units = no_unit_cache(), WeightSink* weights = nullptr) {
    GradientScoreOptions how;
    how.weights = weights;
    const ChangeMaker changes = [&](const std::string& tensor, GgmlType type) -> Result<at::Tensor> {
      ++changes_made;
      return change_of(*network, tensor, type);
    };
    return run_gradient_scores(*network, windows, scores, requests, changes, context, how, silent_progress(), units);
  }
};

const ScoreTable& table_of(const GradientScoreRun& run, std::string_view name) {
  return *std::ranges::find_if(run.tables, [&](const ScoreTable& table) { return table.name == name; });
}

TEST(GradientRun, EqualsWhatSingleGradientsGive) {
  Work work;
  const auto run = work.run();
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(work.changes_made, 3 * 2);  // once per matrix and type, for all scores
  std::map<std::string, at::Tensor> mean, squares;
  for (const Window& window : work.windows)
    ASSERT_TRUE(loss_gradient(*work.network, {&window, 1}, [&](int, const std::string& tensor, const at::Tensor& g) -> Status {
      const at::Tensor d = g.to(at::kDouble);
      mean[tensor] = mean[tensor].defined() ? mean[tensor] + d / 3 : d / 3;
      squares[tensor] = squares[tensor].defined() ? squares[tensor] + d * d : d * d;
      return {};
    }));
  for (const ScoreTable& table : run->tables) {
    if (table.name == "qpsa_gradient") {  // no matrix here has codes
      EXPECT_TRUE(table.rows.empty());
      EXPECT_EQ(table.notes.size(), 1u);
      continue;
    }
    const bool outputs = table.name == "output_fisher";  // an embedding has none
    ASSERT_EQ(table.rows.size(), outputs ? 2u : 3u) << table.name;
    EXPECT_EQ(table.notes.size(), outputs ? 1u : 0u);
    EXPECT_GT(table.forward_equivalents, 1) << table.name;
  }
  const auto near = [&](std::string_view name, size_t row, size_t cell, const at::Tensor& expected, const at::Tensor& size) {
    EXPECT_NEAR(table_of(*run, name).rows[row + 1].cells.at(cell).value, expected.item<double>(), kTolerance * size.item<double>())
        << name << " of " << kTensors[row + 1];
  };
  for (size_t row = 0; row < 2; ++row) {
    const std::string& tensor = kTensors[row + 1];
    const at::Tensor g = mean.at(tensor), f = squares.at(tensor), w = work.network->plain_weight(tensor)->to(at::kDouble);
    near("fisher", row, 0, f.sum(), f.sum());
    near("fisher_pruning", row, 0, 0.5 * 7.0 / 3 * (f * w * w).sum(), (f * w * w).sum());
    for (size_t t = 0; t < kTypes.size(); ++t) {
      const at::Tensor d = change_of(*work.network, tensor, kTypes[t]).to(at::kDouble), size = (g * d).abs().sum();
      EXPECT_EQ(table_of(*run, "taylor1").rows[row + 1].cells.at(t).type, kTypes[t]);
      near("taylor1", row, t, (g * d).sum(), size);
      near("taylor1_abs", row, t, size, size);
      near("taylor2_fisher", row, t, 0.5 * 7.0 / 3 * (f * d * d).sum(), (f * d * d).sum());
      near("taylor12_fisher", row, t, (g * d).sum() + 0.5 * 7.0 / 3 * (f * d * d).sum(), size);
    }
    EXPECT_NE(table_of(*run, "true_fisher").rows[row].cells[0].value, table_of(*run, "fisher").rows[row].cells[0].value);
  }
}

// Sums over all tokens and channels, with outputs computed here.
TEST(GradientRun, OutputFisherSumsTokensAndChannels) {
  Work work;
  const auto run = work.run();
  ASSERT_TRUE(run) << run.error().message;
  struct Rows : GradientReader {
    std::vector<GradientRows> rows;
    GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
      return {.rows = place.tensor == kTensors[1] && labels == GradientLabels::kText};
    }
    Status matrix(const MatrixPlace&, const MatrixGradients& gradients) override {
      rows = gradients.text.rows;
      return {};
    }
  } reader;
  GradientReader* const readers[] = {&reader};
  ASSERT_TRUE(gradient_pass(*work.network, work.windows, readers));
  for (size_t t = 0; t < kTypes.size(); ++t) {
    double sum = 0;
    for (const GradientRows& rows : reader.rows)
      sum += (rows.g.to(at::kDouble) * rows.x.to(at::kDouble).matmul(change_of(*work.network, kTensors[1], kTypes[t]).to(at::kDouble).t()))
                 .square()
                 .sum()
                 .item<double>();
    EXPECT_NEAR(table_of(*run, "output_fisher").rows[0].cells.at(t).value, sum, kTolerance * sum);
  }
}

TEST(GradientRun, FinishedUnitsAreNotMadeAgain) {
  Work work;
  testing_units::MapUnitCache units;
  const auto first = work.run(units);
  ASSERT_TRUE(first) << first.error().message;
  const int made = work.changes_made;
  const auto again = work.run(units);
  ASSERT_TRUE(again);
  EXPECT_EQ(work.changes_made, made);
  EXPECT_TRUE(again->losses.windows.empty());  // no pass
  for (size_t s = 0; s < first->tables.size(); ++s)
    for (size_t r = 0; r < first->tables[s].rows.size(); ++r)
      for (size_t c = 0; c < first->tables[s].rows[r].cells.size(); ++c)
        EXPECT_EQ(first->tables[s].rows[r].cells[c].value, again->tables[s].rows[r].cells[c].value);
}

// Whoever takes values of single weights gets them although the units are finished, and they add up to the scores' values.
TEST(GradientRun, WeightValuesAreMadeAnewAndAddUp) {
  constexpr double kFloat = 1e-6;  // of the sum of sizes: values are rounded to float32
  Work work;
  testing_units::MapUnitCache units;
  ASSERT_TRUE(work.run(units));
  const auto kept = units.units;
  testing_weights::MapWeightSink sink;
  const auto run = work.run(units, &sink);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(units.units, kept);
  sink.check();
  size_t compared = 0;
  for (const ScoreTable& table : run->tables)
    for (const ScoreRow& row : table.rows)
      for (const ScoreCell& cell : row.cells) {
        const testing_weights::MapWeightSink::Key key{table.name, cell.type, row.name};
        if (!sink.taken.contains(key)) continue;
        const auto [sum, sizes] = sink.sums(key);
        EXPECT_NEAR(sum, cell.value, kFloat * sizes) << table.name << " " << row.name;
        ++compared;
      }
  // Five scores by type at two types, four without; three matrices.
  EXPECT_EQ(compared, 3u * (5 * 2 + 4));
  EXPECT_EQ(sink.taken.size(), compared);
}

}  // namespace
}  // namespace assay
