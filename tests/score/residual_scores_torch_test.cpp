// Stability, LieQ and super weights of small models made so that the answer is known.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "assay/model/random_checkpoint.h"
#include "assay/probe/sweep.h"
#include "assay/score/residual_scores.h"
#include "tests/score/pass_runs.h"

namespace assay {
namespace {

using testing_passes::small_model;
using testing_passes::SmallRun;
using testing_passes::values_of;

StoredMatrix as_stored(const std::vector<float>& values) {
  StoredMatrix matrix;
  matrix.bytes.resize(values.size() * sizeof(float));
  std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
  return matrix;
}

// "Quantized": one tensor with a rank-one change, or with noise; all others as they are.
std::function<Result<StoredMatrix>(const std::string&, GgmlType)> changed(std::shared_ptr<const Checkpoint> model, std::string tensor,
                                                                          bool rank_one) {
  return [=](const std::string& name, GgmlType) -> Result<StoredMatrix> {
    const TensorInfo& info = *model->find(name);
    std::vector<float> values = model->read_float(info).value();
    CounterRandom random(3, 1), left(3, 2), right(3, 3);
    std::vector<double> rows, columns;
    for (uint64_t r = 0; r < info.rows(); ++r) rows.push_back(left.next_normal());
    for (uint64_t c = 0; c < info.row_length(); ++c) columns.push_back(right.next_normal());
    for (size_t i = 0; name == tensor && i < values.size(); ++i)
      values[i] +=
          static_cast<float>(0.1 * (rank_one ? rows[i / info.row_length()] * columns[i % info.row_length()] : random.next_normal()));
    return as_stored(values);
  };
}

TEST(Stability, OneDirectionIsOneAndNoiseIsNot) {
  const auto model = small_model();
  SmallRun run(model);
  run.stored = changed(model, "blk.2.ffn_down.weight", true);
  auto line = run.rows(stability_score());
  ASSERT_EQ(line.rows.size(), 3u);
  EXPECT_EQ(line.rows[2].name, "blk.2");
  EXPECT_EQ(line.rows[2].cells[0].type, GgmlType::kF32);
  EXPECT_NEAR(values_of(line)[2], 1, 1e-6);
  EXPECT_EQ(values_of(line)[0], 0);  // nothing changed there: no direction
  EXPECT_NEAR(values_of(run.rows(stability_uncentred_score()))[2], 1, 1e-6);
  run.stored = changed(model, "blk.2.ffn_down.weight", false);
  const double noise = values_of(run.rows(stability_score()))[2];
  EXPECT_LT(noise, 0.7);
  EXPECT_GE(noise, 1.0 / 32);
}

// Against the streams of the changed model itself, loaded as a model.
TEST(Stability, EqualsTheChangedModelsOwnStreams) {
  const auto model = small_model();
  SmallRun run(model);
  const std::string tensor = "blk.0.attn_v.weight";
  run.stored = changed(model, tensor, false);
  auto far = std::make_shared<StoredMatrices>();
  far->emplace(tensor, *run.stored(tensor, GgmlType::kF32));
  const auto edited = Network::load(*interpolated_checkpoint(model, far, 1), NetworkOptions{}).value();
  at::Tensor before, after;
  const auto last = [](at::Tensor& out) { return [&out](int, const at::Tensor& h) { out = h.clone(); }; };
  ASSERT_TRUE(run_blocks(*run.network, run.windows, {}, last(before)));
  ASSERT_TRUE(run_blocks(*edited, run.windows, {}, last(after)));
  const at::Tensor delta = (after - before).to(at::kDouble), centred = delta - delta.mean(0, true);
  const at::Tensor s = std::get<1>(at::linalg_svd(centred, false)).square();
  EXPECT_NEAR(values_of(run.rows(stability_score()))[0], (s[0] / s.sum()).item<double>(), 1e-4);
  EXPECT_EQ(run.units, 3);
}

// The mean over Q, K and V of exp(-entropy), here from each output's covariance matrix.
double by_hand(const Network& network, std::span<const Window> windows, int wanted) {
  double sum = 0;
  EXPECT_TRUE(run_blocks(network, windows, [&](int layer, Site site, const at::Tensor& x) {
    if (layer != wanted || (site != Site::kQ && site != Site::kK && site != Site::kV)) return;
    const at::Tensor w = network.plain_weight(network.tensor_name(layer, site))->to(at::kDouble);
    const at::Tensor y = x.to(at::kDouble).matmul(w.t());
    const at::Tensor p = at::linalg_eigvalsh(at::cov(y.t())).clamp_min(1e-300);
    const at::Tensor q = p / p.sum();
    sum += std::exp((q * q.log()).sum().item<double>()) / 3;
  }));
  return sum;
}

TEST(Lieq, IsTheDifferenceOfConcentrations) {
  // A model whose attention reads one direction of the stream only.
  const auto folded = small_model([](const TensorInfo& tensor, std::span<float> values) {
    if (tensor.name.find("blk.1.attn_") != 0 || tensor.n_dims != 2 || tensor.name.find("output") != std::string::npos) return;
    for (uint64_t i = tensor.row_length(); i < values.size(); ++i) values[i] = 0.5F * values[i % tensor.row_length()];
  });
  SmallRun run(folded), one(folded, 1);
  const auto values = values_of(run.rows(lieq_score()));
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values, values_of(one.rows(lieq_score())));
  const auto random = Network::load(std::make_shared<RandomCheckpoint>(folded, run.context->seed), NetworkOptions{}).value();
  for (int layer = 0; layer < 3; ++layer)
    EXPECT_NEAR(values[static_cast<size_t>(layer)], by_hand(*run.network, run.windows, layer) - by_hand(*random, run.windows, layer), 1e-4);
  EXPECT_GT(values[1], 0.5);  // one direction, against many
  EXPECT_LT(std::fabs(values[0]), 0.2);
}

// A huge weight of blk.1.ffn_down that meets a large input.
std::shared_ptr<const Checkpoint> planted(float weight) {
  return small_model([weight](const TensorInfo& tensor, std::span<float> values) {
    const uint64_t width = tensor.row_length();
    if (tensor.name == "blk.1.ffn_gate.weight" || tensor.name == "blk.1.ffn_up.weight")
      for (uint64_t c = 0; c < width; ++c) values[7 * width + c] *= 6.5F;
    if (tensor.name == "blk.1.ffn_down.weight") values[5 * width + 7] = weight;
  });
}

TEST(SuperWeight, IsFoundWhereItIsPlantedAndNotWithoutIt) {
  SmallRun with(planted(5)), without(planted(0));
  const PassRows found = with.rows(super_weight_score()), none = without.rows(super_weight_score());
  ASSERT_EQ(found.rows.size(), 3u);
  EXPECT_EQ(found.rows[1].name, "blk.1.ffn_down.weight");
  ASSERT_EQ(found.notes.size(), 1u) << values_of(found)[1];  // with it out, no block has both spikes
  EXPECT_EQ(found.notes[0], "super weight at layer 1, row 5, column 7 of ffn_down: 5");
  EXPECT_GT(values_of(found)[1], 1);
  EXPECT_LT(values_of(found)[0], 1);
  ASSERT_EQ(none.notes.size(), 1u);
  EXPECT_NE(none.notes[0].find("no super weight"), std::string::npos);
  EXPECT_LT(values_of(none)[1], 1);
  EXPECT_EQ(values_of(none)[0], values_of(found)[0]);  // blocks before it do not know
}

// The value is the lesser peak over 50: the model's own products, taken here.
TEST(SuperWeight, ValueIsTheLesserPeak) {
  SmallRun run(small_model());
  const auto values = values_of(run.rows(super_weight_score()));
  const Window& window = run.windows[0];  // 12 tokens: fewer than the prompt may have
  ASSERT_TRUE(run_blocks(*run.network, {&window, 1}, [&](int layer, Site site, const at::Tensor& x) {
    if (site != Site::kDown) return;
    const at::Tensor y = x.matmul(run.network->plain_weight(run.network->tensor_name(layer, site))->t());
    const double lesser = std::min(x.abs().max().item<double>(), y.abs().max().item<double>());
    EXPECT_NEAR(values[static_cast<size_t>(layer)], lesser / 50, 1e-6 * lesser);
  }));
}

}  // namespace
}  // namespace assay
