// Edits of a few weights and of whole matrices through the resolver, against what they say: values, codes, bytes; nothing else changes, and
// the model at hand stays as it is.
#include <gtest/gtest.h>

#include "assay/probe/resolve_variant.h"

namespace assay {
namespace {

class ResolvedEdits : public testing::Test {
 protected:
  void SetUp() override {
    network_ = *Network::load(*Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m"), {});
    changes_ = std::make_unique<ChangeSource>(network_, nullptr, ChangeOptions{});
    resolver_ = std::make_unique<VariantResolver>(network_, *changes_);
    weight_ = network_->plain_weight(kTensor)->clone();
  }

  static WeightEdit edit(WeightEdit::Action action, double value, Selection where = {}) {
    WeightEdit edit;
    edit.tensor = kTensor;
    edit.action = action;
    edit.value = value;
    edit.where = std::move(where);
    return edit;
  }
  static Selection at(std::vector<Coordinate> coordinates) { return {Selection::Kind::kCoordinates, std::move(coordinates), 0}; }
  static Selection whole(Selection::Kind kind, uint64_t index) { return {kind, {}, index}; }

  at::Tensor change_of(std::vector<WeightEdit> edits) {
    Variant variant;
    variant.weights = std::move(edits);
    auto resolved = resolver_->resolve(variant);
    EXPECT_TRUE(resolved) << resolved.error().message;
    auto change = resolved->edits.at(0).make();
    EXPECT_TRUE(change) << change.error().message;
    return change->whole(weight_.size(0), weight_.size(1));
  }

  static constexpr const char* kTensor = "blk.4.attn_output.weight";  // [256, 256], heads of 64 columns
  std::shared_ptr<const Network> network_;
  std::unique_ptr<ChangeSource> changes_;
  std::unique_ptr<VariantResolver> resolver_;
  at::Tensor weight_;
};

TEST_F(ResolvedEdits, ValuesOfChosenWeights) {
  at::Tensor expected = weight_.clone();
  expected[3][7] = 0.5;
  expected[9][1] = 0.5;
  EXPECT_TRUE(at::allclose(change_of({edit(WeightEdit::Action::kSet, 0.5, at({{3, 7}, {9, 1}}))}), expected - weight_, 0, 0));
  expected = weight_.clone();
  expected[3].mul_(1.01);
  EXPECT_TRUE(
      at::allclose(change_of({edit(WeightEdit::Action::kScale, 1.01, whole(Selection::Kind::kRow, 3))}), expected - weight_, 1e-5, 1e-8));
  expected = weight_.clone();
  expected.select(1, 5).zero_();
  EXPECT_TRUE(at::allclose(change_of({edit(WeightEdit::Action::kSet, 0, whole(Selection::Kind::kColumn, 5))}), expected - weight_, 0, 0));
  const int64_t width = network_->hyper().head_dim;
  expected = weight_.clone();
  expected.narrow(1, 2 * width, width).zero_();
  EXPECT_TRUE(at::allclose(change_of({edit(WeightEdit::Action::kSet, 0, whole(Selection::Kind::kHead, 2))}), expected - weight_, 0, 0));
  EXPECT_TRUE(at::allclose(change_of({edit(WeightEdit::Action::kScale, 0)}), -weight_, 0, 0));  // all of it
}

TEST_F(ResolvedEdits, EditsOfOneMatrixFollowEachOther) {
  at::Tensor expected = weight_.clone();
  expected[3][7] = 0.5 * 3;
  EXPECT_TRUE(
      at::allclose(change_of({edit(WeightEdit::Action::kSet, 0.5, at({{3, 7}})), edit(WeightEdit::Action::kScale, 3, at({{3, 7}}))}),
                   expected - weight_, 0, 0));
  WeightEdit requantized = edit(WeightEdit::Action::kType, 0);
  requantized.type = GgmlType::kQ4_0;
  expected = weight_ + *changes_->requantized(kTensor, GgmlType::kQ4_0);
  expected[3][7] = 0.5;
  EXPECT_TRUE(at::allclose(change_of({requantized, edit(WeightEdit::Action::kSet, 0.5, at({{3, 7}}))}), expected - weight_, 0, 1e-7));
  requantized.share = 0.25;
  EXPECT_TRUE(at::allclose(change_of({requantized}), 0.25 * *changes_->requantized(kTensor, GgmlType::kQ4_0), 0, 1e-8));
}

TEST_F(ResolvedEdits, NoiseIsSeededAndOfItsSize) {
  WeightEdit noise = edit(WeightEdit::Action::kNoise, 0.1);
  noise.seed = 7;
  const at::Tensor one = change_of({noise});
  EXPECT_TRUE(at::equal(one, change_of({noise})));
  EXPECT_NEAR(one.std().item<double>() / weight_.std().item<double>(), 0.1, 0.002);  // 65,536 draws: 0.3 % at one standard error
  WeightEdit row = noise;
  row.where = whole(Selection::Kind::kRow, 3);
  EXPECT_TRUE(at::allclose(change_of({row})[3], one[3], 0, 0));  // a weight's noise does not depend on what else is changed
  noise.seed = 8;
  EXPECT_FALSE(at::equal(one, change_of({noise})));
}

TEST_F(ResolvedEdits, TheModelAtHandStaysAsItIs) {
  const auto before = network_->checkpoint().read(*network_->checkpoint().find(kTensor));
  change_of({edit(WeightEdit::Action::kSet, 0.5, at({{3, 7}}))});
  change_of({edit(WeightEdit::Action::kScale, 2)});
  EXPECT_EQ(*before, *network_->checkpoint().read(*network_->checkpoint().find(kTensor)));
  EXPECT_TRUE(at::equal(weight_, *network_->plain_weight(kTensor)));
  // The second change starts from the model's own weights again.
  at::Tensor expected = at::zeros_like(weight_);
  expected[0][0] = 1;
  EXPECT_TRUE(at::allclose(change_of({edit(WeightEdit::Action::kAdd, 1, at({{0, 0}}))}), expected, 0, 1e-6));
}

}  // namespace
}  // namespace assay
