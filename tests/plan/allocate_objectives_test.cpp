// Plans with interactions, robust ones and those of several domains, on a small model.
#include "assay/plan/allocate_objectives.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/plan/allocate_interactions.h"
#include "assay/plan/table_objectives.h"
#include "tests/plan/small_model.h"

namespace assay {
namespace {

using T = GgmlType;

constexpr T kTypes[] = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kQ6_K};
constexpr size_t kTerms = 40;

class Objectives : public testing::Test {
 protected:
  void SetUp() override {
    checkpoint_ = small_model::make(dir_ / "in.gguf");
    budget_ = *budget_bytes(*checkpoint_, {.bpw = 4.2, .size = {}, .like = {}}, {});
    CounterRandom random(3, 1);
    for (const TensorInfo& tensor : checkpoint_->tensors()) {
      if (!is_quantizable(tensor)) continue;
      DamageRow row{tensor.name, {tensor.name}, {}};
      const double weight = std::exp(random.next_normal());
      for (const T type : kTypes) {
        const GgmlTypeInfo* info = find_type(type);
        const double size = weight * std::exp2(-8.0 * info->block_bytes / info->block_size);
        std::vector<float>& terms = terms_[tensor.name][type];
        double square = 0;
        for (size_t t = 0; t < kTerms; ++t) {
          terms.push_back(static_cast<float>(size * (0.4 + random.next_normal())));
          square += static_cast<double>(terms[t]) * static_cast<double>(terms[t]);
        }
        row.cells.push_back({type, 0.5 * square, 0.05 * square, false});
      }
      row.cells.push_back({T::kF16, 0, 0, false});  // as stored: no terms
      table_.rows.push_back(row);
    }
  }

  TermsOf terms() const {
    return [this](const std::string& row, T type) -> std::span<const float> {
      const auto found = terms_.at(row).find(type);
      return found == terms_.at(row).end() ? std::span<const float>() : std::span<const float>(found->second);
    };
  }

  // The damage of a recipe by the definition.
  double joint(const Recipe& recipe) const {
    double damage = 0;
    std::vector<double> sum(kTerms), square(kTerms);
    for (const DamageRow& row : table_.rows) {
      const T type = recipe.types.at(row.name);
      for (const DamageCell& cell : row.cells)
        if (cell.type == type) damage += cell.damage;
      const auto terms = this->terms()(row.name, type);
      for (size_t t = 0; t < terms.size(); ++t) sum[t] += terms[t], square[t] += static_cast<double>(terms[t]) * terms[t];
    }
    for (size_t t = 0; t < kTerms; ++t) damage += 0.5 * (sum[t] * sum[t] - square[t]);
    return damage;
  }

  testing_files::ScratchDirectory dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  uint64_t budget_ = 0;
  DamageTable table_;
  std::map<std::string, std::map<T, std::vector<float>>> terms_;
};

TEST_F(Objectives, InteractionsOfARecipeAreThePlans) {
  const auto plain = allocate(*checkpoint_, table_, budget_, {}, {});
  const auto plan = allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, {}, {});
  ASSERT_TRUE(plain && plan) << plan.error().message;
  EXPECT_LE(plan->file_bytes, budget_);
  EXPECT_NEAR(plan->predicted_damage, joint(plan->recipe), 1e-9 * plan->predicted_damage);
  ASSERT_TRUE(plan->interactions);
  EXPECT_NEAR(plan->interactions->separable_damage, joint(plain->recipe), 1e-9 * plan->predicted_damage);
  EXPECT_LT(plan->predicted_damage, plan->interactions->separable_damage);
  EXPECT_GE(plan->interactions->separable, plain->predicted_damage * (1 - 1e-12));
  EXPECT_LE(plan->bound, plan->predicted_damage);
  EXPECT_EQ(plan->interactions->terms, kTerms);
}

// Shrunk terms make another objective: the plan's damage is that of its recipe by them, its own damages stay, and the plan says how far
// the terms repeat. Terms here share a constant beside their noise, and there are few pairs.
TEST_F(Objectives, ShrunkInteractions) {
  const CrossTerms cross = cross_terms(table_, terms(), {});
  const auto plan = allocate_with_interactions(*checkpoint_, table_, terms(), cross, budget_, {}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  const CrossReliability& said = plan->interactions->reliability;
  EXPECT_EQ(said.all, cross.reliability().all);
  EXPECT_EQ(said.types.size(), std::size(kTypes));
  EXPECT_GT(said.all, 0);
  EXPECT_LT(said.all, 1);
  auto raw = terms_;
  for (const DamageRow& row : table_.rows)
    for (const DamageCell& cell : row.cells)
      if (auto& cells = terms_[row.name]; cells.contains(cell.type)) cells[cell.type] = cross.of(cell.type, cell.damage, cells[cell.type]);
  EXPECT_NEAR(plan->predicted_damage, joint(plan->recipe), 1e-6 * plan->predicted_damage);
  double alone = 0;
  for (const PlanRow& row : plan->rows) alone += row.damage;
  EXPECT_NEAR(plan->interactions->separable, alone, 1e-9 * alone);
  EXPECT_LE(plan->bound, plan->predicted_damage);
  // What planning refuses does not stop the estimate.
  terms_ = raw;
  terms_["blk.0.ffn_up.weight"][T::kQ3_K] = {1, 2};
  terms_["blk.0.ffn_up.weight"][T::kQ4_K][3] = NAN;
  EXPECT_LT(cross_terms(table_, terms(), {}).reliability().pairs, cross.reliability().pairs);
}

TEST_F(Objectives, InteractionsKeepToConstraints) {
  AllocateConstraints constraints;
  constraints.fused = {{"ffn_up", "attn_q"}};
  constraints.keep = {{"attn_v", T::kQ2_K}, {"attn_k", T::kQ8_0}};
  constraints.at_least = {{"ffn_down", T::kQ4_K}};
  constraints.types_of = {{"attn_output", {T::kQ3_K, T::kQ6_K}}};
  const auto plan = allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  const auto& types = plan->recipe.types;
  for (const std::string block : {"blk.0.", "blk.1."}) {
    EXPECT_EQ(types.at(block + "ffn_up.weight"), types.at(block + "attn_q.weight"));
    EXPECT_EQ(types.at(block + "attn_v.weight"), T::kQ2_K);
    EXPECT_EQ(types.at(block + "attn_k.weight"), T::kQ8_0);
    EXPECT_TRUE(types.at(block + "attn_output.weight") == T::kQ3_K || types.at(block + "attn_output.weight") == T::kQ6_K);
    EXPECT_NE(types.at(block + "ffn_down.weight"), T::kQ2_K);
  }
  // The table has no Q8_0: its rows are counted as 0 and act on nothing, and a warning says so; what is kept at Q2_K acts on all.
  EXPECT_EQ(plan->warnings.size(), 2u);
  Recipe known = plan->recipe;
  for (const char* block : {"blk.0.", "blk.1."}) known.types[std::string(block) + "attn_k.weight"] = T::kF16;
  EXPECT_NEAR(plan->predicted_damage, joint(known), 1e-6 * plan->predicted_damage);  // fused terms are added as floats
}

TEST_F(Objectives, InteractionsRefuseWhatTheyCannotPlan) {
  AllocateConstraints constraints;
  constraints.solver = "greedy";
  EXPECT_EQ(allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, constraints, {}).error().code, ErrorCode::kUsage);
  constraints = {};
  constraints.device_bytes = {{"blk", 1 << 20}};
  EXPECT_EQ(allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, constraints, {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(allocate_with_interactions(*checkpoint_, table_, terms(), {}, 100, {}, {}).error().code, ErrorCode::kUsage);
  terms_["blk.0.ffn_up.weight"].erase(T::kQ3_K);
  const auto missing = allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, {}, {});
  EXPECT_EQ(missing.error().code, ErrorCode::kMismatch);
  EXPECT_NE(missing.error().message.find("'blk.0.ffn_up.weight' at Q3_K"), std::string::npos) << missing.error().message;
  terms_["blk.0.ffn_up.weight"][T::kQ3_K] = {1, 2};
  EXPECT_EQ(allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, {}, {}).error().code, ErrorCode::kBadInput);
  terms_["blk.0.ffn_up.weight"][T::kQ3_K] = std::vector<float>(kTerms, NAN);
  EXPECT_EQ(allocate_with_interactions(*checkpoint_, table_, terms(), {}, budget_, {}, {}).error().code, ErrorCode::kBadInput);
}

// One tensor is cheap on average and uncertain: the plain plan trusts it, the robust one does not.
TEST_F(Objectives, RobustPlansTrustCertainCells) {
  for (DamageRow& row : table_.rows)
    for (DamageCell& cell : row.cells) cell.standard_error = 0.01 * cell.damage;
  const auto plain = allocate(*checkpoint_, table_, budget_, {}, {});
  ASSERT_TRUE(plain);
  // A row of low type in the plain plan becomes uncertain there.
  size_t uncertain = table_.rows.size();
  for (size_t r = 0; r < table_.rows.size(); ++r)
    if (plain->rows[r].type == T::kQ2_K || plain->rows[r].type == T::kQ3_K) uncertain = r;
  ASSERT_LT(uncertain, table_.rows.size());
  for (DamageCell& cell : table_.rows[uncertain].cells)
    if (cell.type == plain->rows[uncertain].type) cell.standard_error = 20 * cell.damage;
  const auto robust = allocate_robust(*checkpoint_, table_, 2, budget_, {}, {});
  ASSERT_TRUE(robust) << robust.error().message;
  EXPECT_NE(robust->plan.rows[uncertain].type, plain->rows[uncertain].type);
  EXPECT_GE(robust->mean, robust->plain_mean);
  EXPECT_LT(robust->upper, robust->plain_upper);
  EXPECT_EQ(robust->plain_mean, plain->predicted_damage);
  EXPECT_TRUE(robust->unknown.empty());
  const auto none = allocate_robust(*checkpoint_, table_, 0, budget_, {}, {});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->plan.recipe.types, plain->recipe.types);
  EXPECT_NEAR(none->upper, none->mean, 1e-12);
  EXPECT_EQ(allocate_robust(*checkpoint_, table_, -1, budget_, {}, {}).error().code, ErrorCode::kUsage);
  table_.rows[0].cells[0].standard_error = 0;
  EXPECT_EQ(allocate_robust(*checkpoint_, table_, 1, budget_, {}, {})->unknown.size(), 1u);
}

// The worst domain of the plan for it is no worse than that of either table's own plan or of their mean's.
TEST_F(Objectives, WorstOfTwoTexts) {
  DamageTable other = table_;
  CounterRandom random(8, 1);
  for (DamageRow& row : other.rows) {
    const double factor = std::exp(1.5 * random.next_normal());
    for (DamageCell& cell : row.cells) cell.damage *= factor;
  }
  const std::vector<DamageTable> tables = {table_, other};
  const auto worst = allocate_worst(*checkpoint_, tables, budget_, {}, {});
  ASSERT_TRUE(worst) << worst.error().message;
  EXPECT_LE(worst->plan.file_bytes, budget_);
  const auto worst_by = [&](const Plan& plan) { return std::max(damage_by(tables[0], plan, {}), damage_by(tables[1], plan, {})); };
  EXPECT_NEAR(worst_by(worst->plan), worst->plan.predicted_damage, 1e-9 * worst->plan.predicted_damage);
  EXPECT_NEAR(worst->damages[1], damage_by(other, worst->plan, {}), 1e-9 * worst->plan.predicted_damage);
  EXPECT_LE(worst->plan.bound, worst->plan.predicted_damage);
  EXPECT_GT(worst->plan.bound, 0.9 * worst->plan.predicted_damage);
  for (const DamageTable& table : {table_, other, weighted_table(tables, std::vector<double>{1, 1})}) {
    const auto plan = allocate(*checkpoint_, table, budget_, {}, {});
    ASSERT_TRUE(plan);
    EXPECT_LE(worst->plan.predicted_damage, worst_by(*plan) * (1 + 1e-9));
  }
}

}  // namespace
}  // namespace assay
