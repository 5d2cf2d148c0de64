// Scores of activations on streams made by hand, and the whole job on the bundled model.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "assay/engine.h"
#include "assay/plan/quantize_job.h"
#include "assay/quant/group_rounding.h"
#include "assay/score/activation_score.h"
#include "assay/score/importance_score.h"
#include "assay/score/input_score.h"
#include "assay/score/registry.h"

namespace assay {
namespace {

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";

std::shared_ptr<const Network> demo_network() {
  static const auto network = Network::load(Checkpoint::open(kDemo + "reference-9m").value(), NetworkOptions{}).value();
  return network;
}

std::vector<LayerNumbers> blocks(int count) {
  std::vector<LayerNumbers> layers;
  for (int l = 0; l < count; ++l)
    layers.push_back({l, {{"blk." + std::to_string(l) + ".ffn_up.weight", role_of("blk.0.ffn_up.weight"), 2, 3}}, {}});
  return layers;
}

// Values of a score per block from one batch.
std::vector<double> values_of(const std::unique_ptr<Score>& score, std::vector<at::Tensor> streams, int64_t windows, int64_t tokens) {
  const auto& network = *demo_network();
  const ScoreContext context{network.hyper(), 0, 1};
  const auto* on_streams = dynamic_cast<const ActivationScore*>(score.get());
  const auto count = static_cast<int>(streams.size()) - 1;
  const auto sums = on_streams->numbers({network, std::move(streams), windows, tokens}, context).value();
  std::vector<double> values;
  for (const ScoreRow& row : on_streams->finish(sums, blocks(count), context)) values.push_back(row.cells[0].value);
  return values;
}

// Two windows of two tokens, two features; the second block turns every token by a right angle but the first of each window.
std::vector<at::Tensor> turning_streams() {
  const at::Tensor before = at::tensor({3.0F, 0.0F, 1.0F, 0.0F, 2.0F, 0.0F, 1.0F, 0.0F}).view({4, 2});
  const at::Tensor after = at::tensor({6.0F, 0.0F, 0.0F, 1.0F, 4.0F, 0.0F, 0.0F, 1.0F}).view({4, 2});
  return {before, before, after};
}

TEST(BlockInfluence, ByHand) {
  const auto bi = values_of(block_influence_score(), turning_streams(), 2, 2);
  EXPECT_NEAR(bi[0], 0, 1e-6);
  EXPECT_NEAR(bi[1], 0.5, 1e-6);
  const auto rest = values_of(block_influence_rest_score(), turning_streams(), 2, 2);
  EXPECT_NEAR(rest[1], 1, 1e-6);
  // Over two blocks the first block sees what the second does.
  const auto window = values_of(block_influence_window_score(), turning_streams(), 2, 2);
  EXPECT_NEAR(window[0], 0.5, 1e-6);
  EXPECT_NEAR(window[1], 0.5, 1e-6);
  const double root = std::sqrt(2.0);
  EXPECT_NEAR(values_of(stream_step_score(), turning_streams(), 2, 2)[1], (3 + root + 2 + root) / 4, 1e-6);
  EXPECT_NEAR(values_of(norm_ratio_score(), turning_streams(), 2, 2)[1], (0.5 + root + 0.5 + root) / 4, 1e-6);
  EXPECT_NEAR(values_of(unit_step_score(), turning_streams(), 2, 2)[1], root / 2, 1e-6);
}

TEST(BlockInfluence, LimLooksAlongTheTokens) {
  // Feature 0 of the first window: {3, 1} to {6, 0}, cosine 18 / (sqrt(10) * 6); feature 1: {0, 0}, cosine 0. Second: {2, 1} to {4, 0}.
  const double first = 1 - 3 / std::sqrt(10.0), second = 1 - 2 / std::sqrt(5.0);
  const auto lim = values_of(lim_score(), turning_streams(), 2, 2);
  EXPECT_NEAR(lim[1], ((first + 1) / 2 + (second + 1) / 2) / 2, 1e-6);
}

// The length of a stream does not change its direction; a factor on both sides changes no score but the step.
TEST(BlockInfluence, IgnoresLength) {
  at::manual_seed(3);
  std::vector<at::Tensor> streams = {at::randn({6, 5}), at::randn({6, 5})};
  std::vector<at::Tensor> longer = {4 * streams[0], 4 * streams[1]};
  for (const auto& make : {block_influence_score, norm_ratio_score, unit_step_score, lim_score})
    EXPECT_NEAR(values_of(make(), streams, 3, 2)[0], values_of(make(), longer, 3, 2)[0], 1e-6);
  EXPECT_NEAR(values_of(stream_step_score(), longer, 3, 2)[0], 4 * values_of(stream_step_score(), streams, 3, 2)[0], 1e-4);
}

TEST(Lsaq, ABlockThatDoesNothingKeepsAll) {
  at::manual_seed(4);
  const int64_t d = demo_network()->hyper().d_model;
  const at::Tensor h = at::randn({6, d});
  const auto kept = values_of(lsaq_score(), {h, h, -h}, 3, 2);
  EXPECT_EQ(kept[0], 1);
  EXPECT_LT(kept[1], 0.1);  // the most probable tokens become the least probable
}

TEST(ImportanceScores, AreTheStatistics) {
  Imatrix imatrix;
  imatrix.entries["blk.0.ffn_up.weight"] = {2, {6, 2}, {2}};
  imatrix.entries["blk.1.ffn_up.weight"] = {2, {2, 6}, {2}};
  const auto layers = blocks(2);
  const auto value = [&](const std::unique_ptr<Score>& score, size_t row) {
    return dynamic_cast<const ImportanceScore&>(*score).rows(imatrix, layers)[row].cells[0].value;
  };
  EXPECT_DOUBLE_EQ(value(imatrix_energy_score(), 0), 4);
  EXPECT_NEAR(value(imatrix_entropy_score(), 0), -(0.75 * std::log2(0.75) + 0.25 * std::log2(0.25)), 1e-12);
  EXPECT_NEAR(value(imatrix_cosine_score(), 0), 2 * 3.0 / 10, 1e-12);  // the first block has none before it: its row is missing
  EXPECT_EQ(dynamic_cast<const ImportanceScore&>(*imatrix_cosine_score()).rows(imatrix, layers).size(), 1u);
}

// alpha = 0 is plain rounding; a column that carries most of the input is rounded finer as alpha grows, and the output's error falls.
TEST(AwqLoss, ScalingSavesALoudColumn) {
  at::manual_seed(5);
  const at::Tensor w = at::randn({32, 128});
  at::Tensor x = at::randn({64, 128});
  x.select(1, 3).mul_(40);
  const MatrixView matrix{"blk.0.ffn_up.weight", role_of("blk.0.ffn_up.weight"), 32, 128, {w.const_data_ptr<float>(), 32 * 128}, {}};
  const auto losses = awq_search(matrix, x, 1);
  ASSERT_EQ(losses.size(), 20u);
  std::vector<float> rounded(w.const_data_ptr<float>(), w.const_data_ptr<float>() + w.numel());
  for (size_t r = 0; r < 32; ++r) round_asymmetric(std::span(rounded).subspan(r * 128, 128), 128, 4);
  const at::Tensor change = at::from_blob(rounded.data(), {32, 128}) - w;
  const double plain = (x.matmul(change.t()).square().sum() / x.matmul(w.t()).square().sum()).item<double>();
  EXPECT_NEAR(losses[0], plain, 1e-6 * plain);
  EXPECT_LT(*std::min_element(losses.begin(), losses.end()), losses[0] / 3);
  // A common factor of the inputs changes nothing but for the floor of s.
  const auto louder = awq_search(matrix, 8 * x, 1);
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(louder[i], losses[i], 1e-4 * losses[i]);
}

ScoreModelOptions small_run() {
  ScoreModelOptions options;
  options.model = kDemo + "reference-9m";
  options.text.path = kDemo + "calibration.txt";
  options.text.windows.ctx = 64;
  options.text.windows.chunks = 3;
  options.scores = {"all"};
  options.types = {GgmlType::kQ4_K};
  return options;
}

// All but two of some hundred gradients each, which their own tests repeat on a smaller model.
std::vector<std::string> all_but_the_longest() {
  std::vector<std::string> names;
  for (const auto& score : all_scores())
    if (const std::string name(score->info().name); name != "hawq" && name != "hessian_layer") names.push_back(name);
  return names;
}

void expect_equal(const ScoreModelResult& a, const ScoreModelResult& b) {
  ASSERT_EQ(a.scores.size(), b.scores.size());
  for (size_t s = 0; s < a.scores.size(); ++s) {
    const ScoreTable &x = a.scores[s].table, &y = b.scores[s].table;
    ASSERT_EQ(x.rows.size(), y.rows.size()) << x.name;
    if (x.name.find("qpsa") == 0) {  // of codes, which this model has none of
      ASSERT_TRUE(x.rows.empty() && x.notes.size() == 1) << x.name;
      continue;
    }
    ASSERT_FALSE(x.rows.empty()) << x.name;
    for (size_t r = 0; r < x.rows.size(); ++r) {
      ASSERT_EQ(x.rows[r].cells.size(), y.rows[r].cells.size());
      for (size_t c = 0; c < x.rows[r].cells.size(); ++c)
        ASSERT_EQ(x.rows[r].cells[c].value, y.rows[r].cells[c].value) << x.name << " " << x.rows[r].name;
    }
  }
}

// The first and last two of its twelve blocks: matrices of all its sizes, at a third of the work.
void write_four_blocks(const std::string& path) {
  QuantizeOptions options;
  options.preset = "F32";
  options.prune_layers = {2, 3, 4, 5, 6, 7, 8, 9};
  const auto written = quantize_model(**Checkpoint::open(kDemo + "reference-9m"), options, path);
  ASSERT_TRUE(written) << written.error().message;
}

// The scores of the registry on four blocks of the bundled model: the same bits with one thread and with two, and from the store.
TEST(ScoreModel, AllScoresRepeatWhateverTheThreadsAndFromTheStore) {
  RunSettings one, two;
  one.threads = 1;
  two.threads = 2;
  std::string directory = testing::TempDir() + "/assay-score-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  two.store = directory + "/store";
  ScoreModelOptions options = small_run();
  options.model = directory + "/four-blocks.gguf";
  write_four_blocks(options.model);
  options.scores = all_but_the_longest();
  const auto first = assay_engine()->score_model(options, one, silent_progress());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->scores.size(), all_scores().size() - 2);
  const auto second = assay_engine()->score_model(options, two, silent_progress());
  ASSERT_TRUE(second) << second.error().message;
  expect_equal(*first, *second);
  const auto third = assay_engine()->score_model(options, two, silent_progress());
  ASSERT_TRUE(third) << third.error().message;
  expect_equal(*first, *third);
  EXPECT_EQ(third->units.made, 0u);
  EXPECT_EQ(third->units.found, second->units.made);
  std::filesystem::remove_all(directory);
}

TEST(ScoreModel, RefusesByName) {
  ScoreModelOptions options = small_run();
  options.scores = {"kurtosis", "kurtosiss"};
  const auto unknown = assay_engine()->score_model(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUsage);
  EXPECT_NE(unknown.error().message.find("none named kurtosiss"), std::string::npos) << unknown.error().message;
  options.scores = {"bi"};
  options.text.path.clear();
  const auto no_text = assay_engine()->score_model(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(no_text);
  EXPECT_NE(no_text.error().message.find("score bi needs a text"), std::string::npos) << no_text.error().message;
  options.scores = {"weight_error"};
  options.types.clear();
  EXPECT_FALSE(assay_engine()->score_model(options, RunSettings{}, silent_progress()));
  options.scores = {"zd"};
  const auto alone = assay_engine()->score_model(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_EQ(alone->windows, 0u);
  EXPECT_EQ(alone->scores[0].table.rows.size(), 85u);
}

// What every score says of itself is complete and its name is its own.
TEST(Registry, DeclaresEveryScore) {
  std::vector<std::string_view> names;
  for (const auto& score : all_scores()) {
    const ScoreInfo info = score->info();
    EXPECT_FALSE(info.name.empty() || info.what.empty() || info.unit.empty() || info.source.empty()) << info.name;
    EXPECT_EQ(std::count(names.begin(), names.end(), info.name), 0) << info.name;
    names.push_back(info.name);
  }
  EXPECT_EQ(scores_named({"all"})->size(), names.size());
  EXPECT_LT(scores_named({"default"})->size(), names.size());
  EXPECT_EQ(scores_named({"size", "random"})->front()->info().name, "random");  // the registry's order
}

}  // namespace
}  // namespace assay
