#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "assay/model/panel_product.h"
#include "assay/probe/head.h"
#include "assay/probe/sweep.h"
#include "assay/score/curvature.h"
#include "tests/base/map_unit_cache.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

constexpr int64_t kTokens = 12;
constexpr uint32_t kScoreBegin = 5;
constexpr size_t kDraws = 400;  // of one window: standard errors of a few percent

// A random model of three blocks: the head its own matrix, or tied to the embedding.
std::shared_ptr<const Network> tiny_network(bool tied) {
  const std::string path = testing::TempDir() + (tied ? "/assay-curvature-tied.gguf" : "/assay-curvature.gguf");
  const Metadata metadata = tiny::metadata("llama");
  const auto hyper = parse_hyper(metadata, !tied);
  EXPECT_TRUE(hyper) << hyper.error().message;
  auto tensors = tiny::tensors_of(*hyper);
  if (!tied && std::none_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) { return t.name == "output.weight"; })) {
    TensorInfo output;
    output.name = "output.weight";
    output.n_dims = 2;
    output.dims = {32, 24, 1, 1};
    tensors.push_back(output);
  }
  std::filesystem::remove(path);
  tiny::write_gguf_model(path, metadata, tensors);
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const auto network = Network::load(*checkpoint, NetworkOptions{});
  EXPECT_TRUE(network) << network.error().message;
  std::filesystem::remove(path);
  return *network;
}

// `count` windows; all alike, or each its own tokens.
std::vector<Window> some_windows(size_t count, bool alike, bool constant = false) {
  std::vector<Window> windows(count);
  for (size_t w = 0; w < count; ++w) {
    CounterRandom random(11, alike ? 0 : w);
    for (int64_t t = 0; t < kTokens; ++t) windows[w].tokens.push_back(constant ? 7 : static_cast<TokenId>(random.next_below(24)));
    windows[w].labels.assign(windows[w].tokens.begin() + 1, windows[w].tokens.end());
    windows[w].score_begin = kScoreBegin;
    windows[w].score_end = kTokens - 1;
  }
  return windows;
}

// A random change of a tensor, `size` of its weights' spread; "type" only seeds it.
ChangeMaker random_changes(const Network& network, double size) {
  return [&network, size](const std::string& tensor, GgmlType type) -> Result<at::Tensor> {
    const at::Tensor weight = *network.plain_weight(tensor);
    at::Tensor change = at::empty_like(weight);
    CounterRandom random(std::hash<std::string>()(tensor), static_cast<uint64_t>(type));
    for (int64_t i = 0; i < change.numel(); ++i) change.data_ptr<float>()[i] = static_cast<float>(0.2 * size * random.next_normal());
    return change;
  };
}

CurvatureTable table_of(const Network& network, std::span<const Window> windows, const std::vector<std::string>& tensors,
                        const ChangeMaker& changes, const CurvatureOptions& options,
                        const std::vector<GgmlType>& types = {GgmlType::kQ4_0}) {
  std::vector<CurvatureRequest> requests;
  for (const std::string& tensor : tensors) requests.push_back({tensor, types});
  auto table = curvature_table(network, windows, requests, changes, options);
  EXPECT_TRUE(table) << table.error().message;
  return std::move(*table);
}

const std::vector<std::string> kBlockTensors = {"blk.0.attn_q.weight",      "blk.0.attn_k.weight",   "blk.0.attn_v.weight",
                                                "blk.1.attn_output.weight", "blk.1.ffn_gate.weight", "blk.2.ffn_up.weight",
                                                "blk.2.ffn_down.weight"};

// The logits of one window at its scored positions, with y[t] += strength * dW x[t] for t in [begin, end) at one tensor.
at::Tensor changed_logits(const Network& network, const Window& window, const std::string& tensor, const at::Tensor& change,
                          double strength, int64_t begin, int64_t end) {
  at::NoGradGuard no_grad;
  at::Tensor h = *network.embed(token_matrix({&window, 1}));
  for (int layer = 0; layer < network.hyper().layers; ++layer) {
    const auto block = *network.plain_block(layer);
    h = block->forward(h, 1, kTokens, [&](Site site, const at::Tensor& x) {
      at::Tensor y = block->linear(site, x);
      if (block->tensor(site) == tensor)
        y.narrow(0, begin, end - begin).add_(at::linear(x.narrow(0, begin, end - begin), change), strength);
      return y;
    });
  }
  return network.head().multiply(network.final_norm_plain(h)).narrow(0, kScoreBegin, kTokens - 1 - kScoreBegin).to(at::kDouble);
}

// 1/2 sum over scored positions of Var_p(d), d the derivative of the logits: second-order KL per scored token.
double second_order(const Network& network, const Window& window, const std::string& tensor, const at::Tensor& change, int64_t begin,
                    int64_t end) {
  constexpr double kStep = 0.02;  // central difference: error of the third order, rounding 1e-5 of the derivative
  const at::Tensor p = at::softmax(changed_logits(network, window, tensor, change, 0, 0, kTokens), -1);
  const at::Tensor d = (changed_logits(network, window, tensor, change, kStep, begin, end) -
                        changed_logits(network, window, tensor, change, -kStep, begin, end)) /
                       (2 * kStep);
  const at::Tensor mean = (p * d).sum(-1, true);
  return 0.5 * (p * (d - mean).square()).sum(-1).mean().item<double>();
}

class Forms : public testing::TestWithParam<CurvatureNoise> {};

// Many draws over one window: the mean of every unbiased form is what brute force gives, within its own standard error.
TEST_P(Forms, MeanOverDrawsEqualsBruteForce) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(kDraws, true);
  const auto changes = random_changes(*network, 0.05);
  CurvatureOptions options;
  options.noise = GetParam();
  options.form = CurvatureForm::kWindow;
  const CurvatureTable whole = table_of(*network, windows, kBlockTensors, changes, options);
  options.form = CurvatureForm::kSegment;
  options.segment = 5;
  const CurvatureTable segments = table_of(*network, windows, kBlockTensors, changes, options);
  options.form = CurvatureForm::kToken;
  options.token_fraction = 1;
  const CurvatureTable tokens = table_of(*network, windows, kBlockTensors, changes, options);
  options.token_fraction = 0.4;
  const CurvatureTable drawn = table_of(*network, windows, kBlockTensors, changes, options);
  for (size_t i = 0; i < kBlockTensors.size(); ++i) {
    const std::string& tensor = kBlockTensors[i];
    const at::Tensor change = *changes(tensor, GgmlType::kQ4_0);
    double by_token = 0, by_segment = 0;
    for (int64_t t = 0; t < kTokens; ++t) by_token += second_order(*network, windows[0], tensor, change, t, t + 1);
    for (int64_t t = 0; t < kTokens; t += 5) by_segment += second_order(*network, windows[0], tensor, change, t, std::min(t + 5, kTokens));
    const auto expect = [&](const CurvatureTable& table, double exact) {
      const CurvatureCell& cell = table.rows[i].cells[0];
      EXPECT_GT(cell.standard_error, 0);
      EXPECT_LT(cell.standard_error, 0.15 * cell.damage);
      EXPECT_NEAR(cell.damage, exact, 4 * cell.standard_error + 0.002 * exact) << tensor;
    };
    expect(whole, second_order(*network, windows[0], tensor, change, 0, kTokens));
    expect(segments, by_segment);
    expect(tokens, by_token);
    expect(drawn, by_token);
  }
}

INSTANTIATE_TEST_SUITE_P(Noises, Forms, testing::Values(CurvatureNoise::kSigns, CurvatureNoise::kLabels));

// Where every position has the same input, the mean holds everything: the centred form is the window form, draw by draw.
TEST(Curvature, CentredFormIsTheWindowFormForConstantInputs) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(3, true, true);
  const auto changes = random_changes(*network, 0.05);
  const std::vector<std::string> first = {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"};
  CurvatureOptions options;
  options.form = CurvatureForm::kWindow;
  const CurvatureTable whole = table_of(*network, windows, first, changes, options);
  options.form = CurvatureForm::kCentred;
  const CurvatureTable centred = table_of(*network, windows, first, changes, options);
  for (const size_t i : {0, 1, 2}) {
    const double expected = whole.rows[i].cells[0].damage;
    EXPECT_NEAR(centred.rows[i].cells[0].damage, expected, 1e-3 * whole.rows[2].cells[0].damage) << first[i];
  }
}

// KL of the head's change, by the definition, in double.
double head_kl(const Network& network, std::span<const Window> windows, const at::Tensor& change) {
  at::NoGradGuard no_grad;
  const at::Tensor x = network.final_norm_plain(*run_blocks(network, windows)).to(at::kDouble);
  const at::Tensor weight = network.plain_weight(network.head_tensor())->to(at::kDouble);
  const at::Tensor p = at::log_softmax(at::mm(x, weight.t()), -1),
                   q = at::log_softmax(at::mm(x, (weight + change.to(at::kDouble)).t()), -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

TEST(Curvature, HeadIsExactForSmallChanges) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(4, false);
  CurvatureOptions options;
  options.token_fraction = 1;
  double before = 1;
  for (const double size : {0.1, 0.01, 0.001}) {
    const auto changes = random_changes(*network, size);
    const CurvatureTable table = table_of(*network, windows, {"output.weight"}, changes, options);
    const double off = std::abs(table.rows[0].cells[0].damage / head_kl(*network, windows, *changes("output.weight", GgmlType::kQ4_0)) - 1);
    EXPECT_LT(off, 2 * size);
    EXPECT_LT(off, before);
    before = off;
  }
}

// A tied embedding: both ends and their covariance. Against brute force of both ends at once, where only cross-position terms of
// differing inputs are missing.
TEST(Curvature, TiedEmbeddingHoldsBothEnds) {
  const auto network = tiny_network(true);
  const auto windows = some_windows(kDraws, true);
  const auto changes = random_changes(*network, 0.02);
  const std::string tensor = network->embedding_tensor();
  const at::Tensor change = *changes(tensor, GgmlType::kQ4_0);
  const at::Tensor tokens = token_matrix({windows.data(), 1}).flatten();
  const auto logits = [&](double strength) {
    at::NoGradGuard no_grad;
    at::Tensor h = *network->embed(tokens.view({1, -1})) + strength * change.index_select(0, tokens);
    for (int layer = 0; layer < network->hyper().layers; ++layer) {
      const auto block = *network->plain_block(layer);
      h = block->forward(h, 1, kTokens);
    }
    const at::Tensor x = network->final_norm_plain(h);
    return (network->head().multiply(x) + strength * at::linear(x, change))
        .narrow(0, kScoreBegin, kTokens - 1 - kScoreBegin)
        .to(at::kDouble);
  };
  const at::Tensor p = at::softmax(logits(0), -1);
  const at::Tensor d = (logits(0.02) - logits(-0.02)) / 0.04;
  const double exact = 0.5 * (p * (d - (p * d).sum(-1, true)).square()).sum(-1).mean().item<double>();
  const CurvatureTable table = table_of(*network, windows, {tensor}, changes, CurvatureOptions{});
  EXPECT_NEAR(table.rows[0].cells[0].damage, exact, 0.3 * exact);
}

TEST(Curvature, DamageIsQuadraticInTheChange) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(4, false);
  const auto tensors = [] {
    auto all = kBlockTensors;
    all.push_back("output.weight");
    all.push_back("token_embd.weight");
    return all;
  }();
  const CurvatureTable once = table_of(*network, windows, tensors, random_changes(*network, 0.01), {});
  const CurvatureTable thrice = table_of(*network, windows, tensors, random_changes(*network, 0.03), {});
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_GT(once.rows[i].cells[0].damage, 0);
    EXPECT_NEAR(thrice.rows[i].cells[0].damage / once.rows[i].cells[0].damage, 9, 1e-3) << tensors[i];
    EXPECT_NEAR(thrice.rows[i].cells[0].standard_error / once.rows[i].cells[0].standard_error, 9, 1e-3) << tensors[i];
  }
}

// Interactions: one alone is itself, the same change twice is four times its terms' part, order does not matter, opposite changes cancel.
TEST(Curvature, JointDamage) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(4, false);
  auto tensors = kBlockTensors;
  tensors.push_back("output.weight");
  const CurvatureTable table = table_of(*network, windows, tensors, random_changes(*network, 0.02), {});
  std::vector<const CurvatureCell*> cells;
  double sum = 0;
  for (const CurvatureRow& row : table.rows) {
    const CurvatureCell* cell = &row.cells[0];
    EXPECT_DOUBLE_EQ(joint_damage({&cell, 1}), cell->damage);
    cells.push_back(cell);
    sum += cell->damage;
  }
  const double joint = joint_damage(cells);
  EXPECT_NE(joint, sum);
  EXPECT_NEAR(joint, sum, sum);
  std::reverse(cells.begin(), cells.end());
  EXPECT_NEAR(joint_damage(cells), joint, 1e-9 * joint);
  const std::vector<const CurvatureCell*> twice = {&table.rows[0].cells[0], &table.rows[0].cells[0]};
  EXPECT_NEAR(joint_damage(twice), 4 * twice[0]->damage, 1e-5 * twice[0]->damage);
  CurvatureCell opposite = *twice[0];
  for (float& term : opposite.terms) term = -term;
  const std::vector<const CurvatureCell*> both = {twice[0], &opposite};
  EXPECT_NEAR(joint_damage(both), 0, 1e-5 * twice[0]->damage);
}

TEST(Curvature, StandardErrorsShrinkWithTheRootOfTheWindows) {
  const auto network = tiny_network(false);
  const auto changes = random_changes(*network, 0.02);
  const CurvatureTable few = table_of(*network, some_windows(20, false), kBlockTensors, changes, {});
  const CurvatureTable many = table_of(*network, some_windows(320, false), kBlockTensors, changes, {});
  double ratio = 0;
  for (size_t i = 0; i < kBlockTensors.size(); ++i)
    ratio += few.rows[i].cells[0].standard_error / many.rows[i].cells[0].standard_error / static_cast<double>(kBlockTensors.size());
  EXPECT_NEAR(ratio, 4, 1);
}

// Memory decides how many windows go together and nothing else; threads nothing, or the rounding of ATen's products where the CPU needs
// those.
TEST(Curvature, MemoryAndThreadsDoNotChangeTheResult) {
  const auto network = tiny_network(true);
  const auto windows = some_windows(400, false);  // more than one batch of 2,048 tokens
  auto tensors = kBlockTensors;
  tensors.push_back("token_embd.weight");
  const auto changes = random_changes(*network, 0.02);
  CurvatureOptions options;
  options.samples = 2;
  const CurvatureTable roomy = table_of(*network, windows, tensors, changes, options);
  options.memory = 1;
  const CurvatureTable tight = table_of(*network, windows, tensors, changes, options);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  const CurvatureTable other = table_of(*network, windows, tensors, changes, options);
  at::set_num_threads(threads);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(roomy.rows[i].cells[0].damage, tight.rows[i].cells[0].damage) << tensors[i];
    EXPECT_EQ(roomy.rows[i].cells[0].standard_error, tight.rows[i].cells[0].standard_error) << tensors[i];
    EXPECT_EQ(roomy.rows[i].cells[0].terms, tight.rows[i].cells[0].terms) << tensors[i];
    const double rounding = panel::float32_supported() ? 0 : 1e-4;
    EXPECT_NEAR(roomy.rows[i].cells[0].damage, other.rows[i].cells[0].damage, rounding * other.rows[i].cells[0].damage) << tensors[i];
  }
}

// Requests that are in any order, or fewer, give the same cells.
TEST(Curvature, CellsDoNotDependOnTheOtherRequests) {
  const auto network = tiny_network(false);
  const auto windows = some_windows(3, false);
  const auto changes = random_changes(*network, 0.02);
  const CurvatureTable all = table_of(*network, windows, kBlockTensors, changes, {}, {GgmlType::kQ4_0, GgmlType::kQ8_0});
  const CurvatureTable one = table_of(*network, windows, {kBlockTensors[3]}, changes, {}, {GgmlType::kQ8_0});
  EXPECT_EQ(one.rows[0].cells[0].damage, all.rows[3].cells[1].damage);
  EXPECT_EQ(one.rows[0].cells[0].terms, all.rows[3].cells[1].terms);
  EXPECT_NE(all.rows[3].cells[0].damage, all.rows[3].cells[1].damage);
}

void expect_equal(const CurvatureTable& a, const CurvatureTable& b) {
  ASSERT_EQ(a.rows.size(), b.rows.size());
  for (size_t r = 0; r < a.rows.size(); ++r)
    for (size_t c = 0; c < a.rows[r].cells.size(); ++c) {
      EXPECT_EQ(a.rows[r].cells[c].damage, b.rows[r].cells[c].damage) << a.rows[r].tensor;
      EXPECT_EQ(a.rows[r].cells[c].standard_error, b.rows[r].cells[c].standard_error) << a.rows[r].tensor;
      EXPECT_EQ(a.rows[r].cells[c].terms, b.rows[r].cells[c].terms) << a.rows[r].tensor;
    }
}

// Finished units are not made again, whichever they are, and the table is the same; also for a tied embedding, which has two.
TEST(Curvature, ResumesFromWhateverUnitsThereAre) {
  for (const bool tied : {false, true}) {
    const auto network = tiny_network(tied);
    const auto windows = some_windows(3, false);
    size_t changes_made = 0;
    const ChangeMaker make = random_changes(*network, 0.05);
    const ChangeMaker counted = [&](const std::string& tensor, GgmlType type) {
      ++changes_made;
      return make(tensor, type);
    };
    std::vector<CurvatureRequest> requests;
    for (const std::string& tensor : kBlockTensors) requests.push_back({tensor, {GgmlType::kQ4_0, GgmlType::kQ5_0}});
    requests.push_back({"token_embd.weight", {GgmlType::kQ4_0, GgmlType::kQ5_0}});
    const auto run = [&](UnitCache& units) {
      changes_made = 0;
      auto table = curvature_table(*network, windows, requests, counted, CurvatureOptions{}, silent_progress(), units);
      EXPECT_TRUE(table) << table.error().message;
      return std::move(*table);
    };
    const CurvatureTable whole = run(no_unit_cache());
    testing_units::MapUnitCache units;
    expect_equal(run(units), whole);
    const size_t all = kBlockTensors.size() + (tied ? 2 : 1);
    EXPECT_EQ(units.kept, all);
    expect_equal(run(units), whole);
    EXPECT_EQ(changes_made, 0u);
    EXPECT_EQ(units.kept, all);
    size_t removed = 0, number = 0;
    for (auto at = units.units.begin(); at != units.units.end(); ++number)
      if (number % 2 == 0) {
        at = units.units.erase(at);
        ++removed;
      } else {
        ++at;
      }
    expect_equal(run(units), whole);
    EXPECT_EQ(changes_made, 2 * removed);
  }
}

TEST(Curvature, NoWindowsIsAnError) {
  const auto network = tiny_network(false);
  const auto none = curvature_table(*network, {}, {}, random_changes(*network, 1), {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
