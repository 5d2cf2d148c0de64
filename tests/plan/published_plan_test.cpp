#include "assay/plan/published_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "assay/plan/foreign_types.h"

namespace assay {
namespace {

TensorInfo tensor(const std::string& name, uint64_t rows, uint64_t length = 256) {
  TensorInfo info;
  info.name = name;
  info.type = GgmlType::kBF16;
  info.n_dims = 2;
  info.dims = {length, rows, 1, 1};
  info.bytes = 2 * length * rows;
  return info;
}

// Two rows, one of two tensors; a norm of 40 bytes; a tensor that no 256-blocks fit.
struct Case {
  std::vector<TensorInfo> tensors = {tensor("blk.0.attn_k.weight", 8), tensor("blk.0.attn_v.weight", 8), tensor("blk.0.ffn_up.weight", 16),
                                     tensor("blk.0.odd.weight", 2, 10)};
  PublishedObjective objective;

  Case() {
    const auto row = [](const std::string& name, std::vector<std::string> members, double scale) {
      ObjectiveRow made{name, name, 0, std::move(members), true, {}};
      made.cells = {{"q4_K", scale, 0, CellBasis::kMeasured},
                    {"iq4_ks", 3 * scale, 0.1, CellBasis::kPredicted},
                    {"iq5_ks", 0.2 * scale, 0.05, CellBasis::kExtrapolated}};
      return made;
    };
    objective.types = {"q4_K", "iq4_ks", "iq5_ks"};
    objective.rows = {row("blk.0.k+v", {"blk.0.attn_k.weight", "blk.0.attn_v.weight"}, 1),
                      row("blk.0.ffn_up.weight", {"blk.0.ffn_up.weight"}, 2), row("blk.0.odd.weight", {"blk.0.odd.weight"}, 9)};
  }
  uint64_t bytes(const std::string& type, size_t place) const { return *tensor_bytes(*find_type_size(type), tensors[place]); }
};

TEST(PublishedPlan, ExactBytesAndSharedTypes) {
  const Case made;
  // Room for the feed-forward at iq5_ks and attention at q4_K; the odd tensor keeps its 40 bytes, which a file pads to 64.
  const uint64_t budget = 64 + made.bytes("iq5_ks", 2) + 2 * made.bytes("q4_K", 0);
  const auto plan = plan_published(made.objective, made.tensors, {budget, "exact", 32});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->document.types.size(), 3u);
  EXPECT_EQ(plan->document.types.at("blk.0.attn_k.weight"), plan->document.types.at("blk.0.attn_v.weight"));
  EXPECT_EQ(plan->document.types.at("blk.0.attn_k.weight"), "q4_K");
  EXPECT_EQ(plan->document.types.at("blk.0.ffn_up.weight"), "iq5_ks");
  EXPECT_LE(plan->size.padded_bytes, budget);
  EXPECT_EQ(plan->size.tensor_bytes, 40 + made.bytes("iq5_ks", 2) + 2 * made.bytes("q4_K", 0));
  EXPECT_DOUBLE_EQ(plan->damage, 1 + 0.4);
  EXPECT_DOUBLE_EQ(plan->standard_error, 0.05);
  EXPECT_TRUE(plan->exact);
  EXPECT_EQ(plan->bases, (std::array<size_t, 3>{1, 0, 1}));
  ASSERT_EQ(plan->warnings.size(), 1u);
  EXPECT_NE(plan->warnings[0].find("odd"), std::string::npos);
}

TEST(PublishedPlan, EverySolverKeepsToTheBudgetAndTheBound) {
  const Case made;
  const uint64_t least = 64 + made.bytes("iq4_ks", 2) + 2 * made.bytes("iq4_ks", 0);
  for (const char* solver : {"exact", "greedy", "lagrangian", "evolution", "uniform"})
    for (uint64_t more = 0; more < 1500; more += 250) {
      const auto plan = plan_published(made.objective, made.tensors, {least + 64 + more, solver, 32});
      ASSERT_TRUE(plan) << solver << plan.error().message;
      EXPECT_LE(plan->size.padded_bytes, least + 64 + more) << solver;
      EXPECT_GE(plan->damage, plan->bound - 1e-12) << solver;
      EXPECT_GE(plan->gap(), -1e-12);
    }
}

TEST(PublishedPlan, JudgesByRows) {
  Case made;
  RecipeDocument document;
  document.types = {{"blk.0.attn_k.weight", "q4_K"}, {"blk.0.ffn_up.weight", "iq4_ks"}, {"blk.0.odd.weight", "iq5_ks"}};
  const auto damages = row_damages(made.objective, document);
  ASSERT_TRUE(damages) << damages.error().message;
  EXPECT_EQ(*damages, (std::vector<double>{1, 6, 0.2 * 9}));
  document.types["blk.0.attn_k.weight"] = "q8_0";
  EXPECT_EQ(row_damages(made.objective, document).error().code, ErrorCode::kMismatch);
}

TEST(PublishedPlan, Refusals) {
  Case made;
  const auto small = plan_published(made.objective, made.tensors, {500, "exact", 32});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::kUsage);
  EXPECT_EQ(plan_published(made.objective, made.tensors, {10, "exact", 32}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(plan_published(made.objective, made.tensors, {1 << 20, "best", 32}).error().code, ErrorCode::kUsage);
  made.objective.rows[0].tensors[0] = "blk.7.attn_k.weight";
  EXPECT_EQ(plan_published(made.objective, made.tensors, {1 << 20, "exact", 32}).error().code, ErrorCode::kMismatch);
}

}  // namespace
}  // namespace assay
