// Measured scores as `assay score` makes them, on a tiny model: against sweeps called here; Q-PSA of a quantized file; the budget.
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/engine.h"
#include "assay/job/inputs.h"
#include "assay/job/table_rows.h"
#include "assay/probe/loss_gradient.h"
#include "assay/probe/observation.h"
#include "assay/quant/code_move.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

// A tiny model, the same with its matrices at Q4_0 where they can (ffn_down cannot), and a text.
struct Files {
  std::string directory = testing::TempDir() + "/assay-score-measured-XXXXXX", model, quantized, text;
  Files() {
    EXPECT_NE(::mkdtemp(directory.data()), nullptr);
    model = directory + "/model";
    quantized = directory + "/q4_0.gguf";
    text = directory + "/text.txt";
    tiny::write_hf_model(model, tiny::llama_config(), tiny::llama_tensors());
    std::string letters;
    CounterRandom random(1, 2);
    for (int i = 0; i < 60; ++i) letters += static_cast<char>('a' + random.next_below(24));
    testing_files::put_file(text, letters);
    const std::string command =
        "'" ASSAY_PROGRAM "' quantize '" + model + "' --type Q4_0 --force --quiet -o '" + quantized + "' > /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }
  ~Files() { std::filesystem::remove_all(directory); }
};

const Files& files() {
  static const Files made;
  return made;
}

ScoreModelOptions options_for(const std::string& model, std::vector<std::string> scores) {
  ScoreModelOptions options;
  options.model = model;
  options.text.path = files().text;
  options.text.windows.ctx = 16;
  options.text.windows.chunks = 3;
  options.scores = std::move(scores);
  options.types = {GgmlType::kQ4_0};
  return options;
}

ScoreModelResult run(const ScoreModelOptions& options, int threads = 0) {
  RunSettings settings;
  settings.threads = threads;
  auto made = assay_engine()->score_model(options, settings, silent_progress());
  EXPECT_TRUE(made) << made.error().message;
  return made ? std::move(*made) : ScoreModelResult{};
}

const ScoreTable& table(const ScoreModelResult& made, std::string_view name) {
  return std::ranges::find_if(made.scores, [&](const Scored& one) { return one.info.name == name; })->table;
}
const ScoreCell& cell(const ScoreModelResult& made, std::string_view name, std::string_view row, std::optional<GgmlType> type = {}) {
  const ScoreTable& found = table(made, name);
  return *find_cell(*std::ranges::find_if(found.rows, [&](const ScoreRow& one) { return one.name == row; }), type);
}

// The model opened here, and mean KL of variants by sweeps of its own.
struct Direct {
  OpenModel model;
  ProbeSet set;
  std::unique_ptr<ChangeSource> changes;
  explicit Direct(const ScoreModelOptions& options)
      : model(open_model(options.model, RunSettings{}, silent_progress()).value()), set(open_windows(options.text, model).value()) {
    changes = std::make_unique<ChangeSource>(model.network, nullptr, ChangeOptions{});
  }
  double kl(const ResolvedVariant& variant) const {
    Observation observation;
    EXPECT_TRUE(run_sweep(*model.network, set.windows, {&variant, 1}, {},
                          [&](size_t, size_t, std::span<const PositionObservation> positions) { observation.add(0, positions); }));
    return observation.mean_kl();
  }
  // Every matrix that can take Q4_0 but this one.
  double all_but(const std::string& one) const {
    ResolvedVariant variant;
    for (const TensorInfo& tensor : model.checkpoint->tensors()) {
      if (tensor.n_dims != 2 || tensor.name == one || tensor.row_length() % 32 != 0) continue;
      for (ResolvedEdit& edit : requantize_edits(*model.network, *changes, tensor.name, GgmlType::kQ4_0))
        variant.edits.push_back(std::move(edit));
    }
    return kl(variant);
  }
};

TEST(ScoreMeasured, EqualsSweepsOfItsOwn) {
  const auto options = options_for(files().model, {"dequantize_one", "layer_removal", "half_removal", "measured_damage"});
  const ScoreModelResult made = run(options, 1), again = run(options, 2);
  const Direct direct(options);
  const double all = direct.all_but("");
  EXPECT_GT(all, 1e-6);
  for (const std::string tensor : {"token_embd.weight", "blk.0.attn_k.weight", "blk.1.ffn_up.weight"}) {
    const double value = cell(made, "dequantize_one", tensor, GgmlType::kQ4_0).value;
    EXPECT_NEAR(value, all - direct.all_but(tensor), 1e-6 * all) << tensor;
    EXPECT_NE(value, cell(made, "measured_damage", tensor, GgmlType::kQ4_0).value);
    EXPECT_GT(cell(made, "dequantize_one", tensor, GgmlType::kQ4_0).standard_error, 0);
  }
  for (int layer = 0; layer < 2; ++layer) {
    const auto without = [&](BlockPart part, bool whole) {
      ResolvedVariant variant;
      variant.steps.emplace();
      for (int block = 0; block < 2; ++block) {
        if (block != layer) variant.steps->push_back({block, BlockPart::kBlock, 1});
        if (block == layer && !whole) variant.steps->push_back({block, part, 1});
      }
      return direct.kl(variant);
    };
    const std::string name = "blk." + std::to_string(layer);
    EXPECT_NEAR(cell(made, "layer_removal", name).value, without(BlockPart::kBlock, true), 1e-9);
    EXPECT_NEAR(cell(made, "half_removal", name + ".ffn").value, without(BlockPart::kAttention, false), 1e-9);
    EXPECT_NEAR(cell(made, "half_removal", name + ".attention").value, without(BlockPart::kFfn, false), 1e-9);
  }
  for (size_t s = 0; s < made.scores.size(); ++s)
    for (size_t r = 0; r < made.scores[s].table.rows.size(); ++r)
      for (size_t c = 0; c < made.scores[s].table.rows[r].cells.size(); ++c)
        EXPECT_EQ(made.scores[s].table.rows[r].cells[c].value, again.scores[s].table.rows[r].cells[c].value);
}

TEST(ScoreMeasured, QpsaOfAQuantizedFile) {
  const auto options = options_for(files().quantized, {"qpsa_level", "qpsa_byte", "qpsa_gradient"});
  const ScoreModelResult made = run(options, 1), again = run(options, 2);
  for (const std::string name : {"qpsa_level", "qpsa_byte"}) {
    ASSERT_EQ(table(made, name).rows.size(), 2u);
    for (const std::string layer : {"blk.0", "blk.1"}) {
      EXPECT_GT(cell(made, name, layer).value, 0);
      EXPECT_GT(cell(made, name, layer).standard_error, 0);
      EXPECT_EQ(cell(made, name, layer).value, cell(again, name, layer).value);
    }
    ASSERT_EQ(table(made, name).notes.size(), 1u);
    EXPECT_EQ(table(made, name).notes[0].find("25 samples of each matrix"), 0u);
  }
  // Some codes stand at the end of their range: the largest weight of every 32.
  EXPECT_EQ(table(made, "qpsa_level").notes[0].find("; 0 of "), std::string::npos) << table(made, "qpsa_level").notes[0];
  // A byte may be a scale.
  EXPECT_GT(cell(made, "qpsa_byte", "blk.0").value, cell(made, "qpsa_level", "blk.0").value);
  // |g . step| over all weights, against the gradient taken here; and as large as what a few samples measure.
  const Direct direct(options);
  double nll = 0;
  std::map<std::string, double> sums;
  const auto gradients =
      loss_gradient(*direct.model.network, direct.set.windows, [&](int, const std::string& name, const at::Tensor& gradient) -> Status {
        const TensorInfo& info = *direct.model.checkpoint->find(name);
        if (code_move_kind(info.type) == CodeMoveKind::kNone) return {};
        std::vector<float> up(info.elements()), down(info.elements());
        EXPECT_TRUE(code_steps(info.type, direct.model.checkpoint->read(info).value(), up, down));
        double sum = 0, count = 0;
        for (size_t i = 0; i < up.size(); ++i) {
          const double sides = (up[i] != 0) + (down[i] != 0);
          if (sides == 0) continue;
          sum += std::fabs(gradient.const_data_ptr<float>()[i]) * (std::fabs(up[i]) + std::fabs(down[i])) / sides;
          ++count;
        }
        sums[name] = sum / count;
        return {};
      });
  ASSERT_TRUE(gradients);
  nll = *gradients;
  ASSERT_GE(sums.size(), 10u);
  for (const auto& [name, value] : sums) EXPECT_NEAR(cell(made, "qpsa_gradient", name).value, value, 1e-5 * value) << name;
  const auto layers = pooled(table(made, "qpsa_gradient").rows, Grouping::kLayer, Pooling::kMean);
  const auto first = std::ranges::find_if(layers, [](const ScoreRow& row) { return row.name == "blk.0"; });
  if (first != layers.end()) {
    const double ratio = cell(made, "qpsa_level", "blk.0").value / (std::exp(nll) * first->cells[0].value);
    EXPECT_GT(ratio, 0.4);
    EXPECT_LT(ratio, 2.5);
  }
}

TEST(ScoreMeasured, AModelWithoutCodesIsToldWhatToDo) {
  const ScoreModelResult made = run(options_for(files().model, {"qpsa_level", "qpsa_byte", "qpsa_gradient"}));
  for (const Scored& scored : made.scores) {
    EXPECT_TRUE(scored.table.rows.empty());
    ASSERT_EQ(scored.table.notes.size(), 1u);
    EXPECT_NE(scored.table.notes[0].find("assay quantize MODEL"), std::string::npos) << scored.info.name;
    EXPECT_EQ(scored.table.forward_equivalents, 0);
  }
}

TEST(ScoreMeasured, ATypeThatNoBlockCanTakeIsSaid) {
  const ScoreModelResult made = run(options_for(files().model, {"stability"}));
  EXPECT_TRUE(made.scores[0].table.rows.empty());
  ASSERT_EQ(made.scores[0].table.notes.size(), 1u);
  EXPECT_NE(made.scores[0].table.notes[0].find("no type can be taken"), std::string::npos);
  EXPECT_EQ(made.scores[0].table.forward_equivalents, 0);
}

TEST(ScoreMeasured, TheBudgetLeavesOut) {
  auto options = options_for(files().model, {"dequantize_one", "layer_removal", "stability", "lieq", "super_weight"});
  options.types = {GgmlType::kF16};  // which ffn_down can take
  options.budget = 20;
  const ScoreModelResult made = run(options);
  double spent = 0;
  for (const Scored& scored : made.scores) {
    const bool left_out = scored.table.rows.empty();
    EXPECT_EQ(left_out, !scored.table.notes.empty() && scored.table.notes[0].find("left out: takes ") == 0) << scored.info.name;
    EXPECT_FALSE(scored.info.name == "dequantize_one" && !left_out);
    EXPECT_FALSE(scored.info.name == "layer_removal" && left_out);
    spent += scored.table.forward_equivalents;
  }
  EXPECT_LE(spent, 20);
}

}  // namespace
}  // namespace assay
