#include "assay/plan/allocate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <regex>

#include "assay/base/text.h"
#include "tests/plan/small_model.h"

namespace assay {
namespace {

using small_model::Shape;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using T = GgmlType;

constexpr T kTypes[] = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kQ8_0, T::kF16};

class Allocate : public testing::Test {
 protected:
  void SetUp() override { checkpoint_ = small_model::make(dir_ / "in.gguf"); }

  // Damage falls by a factor of four per bit, the later the tensor the more it matters.
  DamageTable table() const {
    DamageTable result;
    double weight = 1;
    for (const TensorInfo& tensor : checkpoint_->tensors()) {
      if (!is_quantizable(tensor)) continue;
      DamageRow row{tensor.name, {tensor.name}, {}};
      for (const T type : kTypes) {
        const GgmlTypeInfo* info = find_type(type);
        row.cells.push_back({type, weight * std::exp2(-16.0 * info->block_bytes / info->block_size), 0, false});
      }
      result.rows.push_back(row);
      weight *= 1.3;
    }
    return result;
  }

  OutputFile output_of(const Recipe& recipe) const {
    OutputRequest request;
    request.recipe = recipe;
    return *plan_output(*checkpoint_, request);
  }

  testing_files::ScratchDirectory dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
};

TEST_F(Allocate, BudgetsInEveryForm) {
  const OutputFile stored = output_of({});
  const auto bytes = [&](const BudgetRequest& request) { return budget_bytes(*checkpoint_, request, {}); };
  EXPECT_EQ(*bytes({.bpw = {}, .size = "300KiB", .like = {}}), 307'200u);
  EXPECT_EQ(*bytes({.bpw = {}, .size = "50%", .like = {}}), std::filesystem::file_size(dir_ / "in.gguf") / 2);
  EXPECT_EQ(*bytes({.bpw = 4.5, .size = {}, .like = {}}),
            stored.header_bytes + static_cast<uint64_t>(4.5 * static_cast<double>(stored.parameters) / 8));
  const Recipe preset = preset_recipe(**find_preset("Q4_K_M"), checkpoint_->tensors(), preset_context(checkpoint_->metadata(), false));
  EXPECT_EQ(*bytes({.bpw = {}, .size = {}, .like = "q4_k_m"}), output_of(preset).file_bytes);

  for (const char* wrong : {"0%", "-5%", "x%", "5 apples", "5%%"})
    EXPECT_EQ(bytes({.bpw = {}, .size = wrong, .like = {}}).error().code, ErrorCode::kUsage) << wrong;
  EXPECT_EQ(bytes({.bpw = -1, .size = {}, .like = {}}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bytes({.bpw = {}, .size = {}, .like = "Q4_K_XXL"}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bytes({}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bytes({.bpw = 4, .size = "1MiB", .like = {}}).error().code, ErrorCode::kUsage);
}

TEST_F(Allocate, ThePlanIsTheFileAndKeepsToTheBudget) {
  for (const double bpw : {3.0, 4.0, 5.5, 8.0}) {
    SCOPED_TRACE(bpw);
    const uint64_t budget = *budget_bytes(*checkpoint_, {.bpw = bpw, .size = {}, .like = {}}, {});
    const auto plan = allocate(*checkpoint_, table(), budget, {}, {});
    ASSERT_TRUE(plan) << plan.error().message;
    const OutputFile output = output_of(plan->recipe);
    EXPECT_EQ(plan->file_bytes, output.file_bytes);
    EXPECT_LE(plan->file_bytes, budget);
    EXPECT_EQ(plan->tensor_bytes, output.tensor_bytes);
    EXPECT_LE(plan->bpw, bpw);
    EXPECT_GT(plan->bpw, bpw - 0.1);
    EXPECT_TRUE(plan->exact);
    EXPECT_EQ(plan->gap, 0);
    EXPECT_LE(plan->relaxed_bound, plan->predicted_damage);
    double sum = 0;
    for (const PlanRow& row : plan->rows) {
      sum += row.damage;
      EXPECT_EQ(plan->recipe.types.at(row.name), row.type);
    }
    EXPECT_NEAR(plan->predicted_damage, sum, 1e-12);
    EXPECT_THAT(plan->warnings, IsEmpty());
    ASSERT_TRUE(write_model(*checkpoint_, output, nullptr, dir_ / "out.gguf", {true, 0}));
    EXPECT_EQ(std::filesystem::file_size(dir_ / "out.gguf"), plan->file_bytes);
  }
}

TEST_F(Allocate, BeatsEveryPresetAtItsBytesByTheTable) {
  const DamageTable damages = table();
  for (const char* name : {"Q2_K", "Q3_K_M", "Q4_K_M", "Q6_K"}) {
    const Recipe preset = preset_recipe(**find_preset(name), checkpoint_->tensors(), preset_context(checkpoint_->metadata(), false));
    double damage = 0;
    for (const DamageRow& row : damages.rows)
      for (const DamageCell& cell : row.cells)
        if (cell.type == preset.types.at(row.name)) damage += cell.damage;
    const auto plan = allocate(*checkpoint_, damages, *budget_bytes(*checkpoint_, {.bpw = {}, .size = {}, .like = name}, {}), {}, {});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_LE(plan->predicted_damage, damage) << name;
  }
}

TEST_F(Allocate, GroupsTakeOneType) {
  DamageTable damages = table();
  DamageRow group{"layer 0 attention", {}, damages.rows[1].cells};
  for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output"}) group.tensors.push_back(std::string("blk.0.") + part + ".weight");
  std::erase_if(damages.rows, [&](const DamageRow& row) {
    return std::find(group.tensors.begin(), group.tensors.end(), row.name) != group.tensors.end();
  });
  damages.rows.push_back(group);
  const auto plan = allocate(*checkpoint_, damages, *budget_bytes(*checkpoint_, {.bpw = 5, .size = {}, .like = {}}, {}), {}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  for (const std::string& tensor : group.tensors) EXPECT_EQ(plan->recipe.types.at(tensor), plan->rows.back().type);
  EXPECT_EQ(plan->file_bytes, output_of(plan->recipe).file_bytes);
}

TEST_F(Allocate, ConstraintsHold) {
  const uint64_t budget = *budget_bytes(*checkpoint_, {.bpw = 6, .size = {}, .like = {}}, {});
  AllocateConstraints constraints;
  constraints.types = {T::kQ3_K, T::kQ4_K, T::kQ6_K, T::kQ8_0};
  constraints.min_type = T::kQ4_K;
  constraints.keep = {{"blk\\.0\\.attn_v", T::kQ5_K}, {"attn_v", T::kQ8_0}};
  const auto plan = allocate(*checkpoint_, table(), budget, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->recipe.types.at("blk.0.attn_v.weight"), T::kQ5_K);  // --keep is above the allowed types
  EXPECT_EQ(plan->recipe.types.at("blk.1.attn_v.weight"), T::kQ8_0);
  for (const auto& [name, type] : plan->recipe.types)
    EXPECT_THAT((std::vector<T>{T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kQ8_0}), Contains(type)) << name;
  EXPECT_THAT(plan->warnings, IsEmpty());
  EXPECT_EQ(plan->file_bytes, output_of(plan->recipe).file_bytes);

  constraints.keep = {{"ssm_out", T::kQ8_0}};
  EXPECT_EQ(allocate(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kMismatch);
  constraints.keep = {{"attn_v[", T::kQ8_0}};
  EXPECT_EQ(allocate(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kUsage);
  constraints.keep = {{"attn_v", T::kQ2_0}};  // no encoder
  EXPECT_EQ(allocate(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kUsage);
  constraints.keep = {};
  constraints.types = {T::kIQ4_XS};  // not in the table
  const auto none = allocate(*checkpoint_, table(), budget, constraints, {});
  EXPECT_THAT(none.error().message, HasSubstr("'token_embd.weight' has no type left"));
}

// The fewest constraints that leave a row without a type, and no other.
TEST_F(Allocate, ContradictionsAreNamed) {
  AllocateConstraints constraints;
  constraints.types = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kQ6_K, T::kQ8_0};
  constraints.types_of = {{"ffn_down", {T::kQ2_K, T::kQ3_K}}, {"attn", {T::kQ4_K}}};
  constraints.at_least = {{"blk.1.ffn_down", T::kQ6_K}, {"ffn", T::kQ3_K}};
  const auto refused = [&] {
    const auto plan = allocate(*checkpoint_, table(), 1 << 20, constraints, {});
    EXPECT_FALSE(plan);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_THAT(refused(),
              HasSubstr("'blk.1.ffn_down.weight' has no type left; --types-of 'ffn_down' and --at-least 'blk.1.ffn_down=Q6_K' leave "
                        "none of Q2_K"));
  constraints.at_least = {{"ffn_down", T::kQ4_K}};
  constraints.types_of = {};
  constraints.types = {T::kQ3_K};
  EXPECT_THAT(refused(), HasSubstr("'blk.0.ffn_down.weight' has no type left; --types and --at-least 'ffn_down=Q4_K' leave none of"));
  constraints.types = {T::kIQ4_XS};
  constraints.at_least = {};
  EXPECT_THAT(refused(), HasSubstr("--types leaves none of Q2_K, Q3_K"));
}

TEST_F(Allocate, ABackendLacksTypes) {
  DamageTable table = this->table();
  for (DamageRow& row : table.rows) row.cells.push_back({T::kTQ2_0, 0, 0, false});  // no damage at 2 bits: everybody would take it
  AllocateConstraints constraints;
  EXPECT_EQ(allocate(*checkpoint_, table, 1 << 20, constraints, {})->rows[0].type, T::kTQ2_0);
  constraints.backend = *find_backend("metal");
  const auto plan = allocate(*checkpoint_, table, 1 << 20, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  for (const PlanRow& row : plan->rows) EXPECT_NE(row.type, T::kTQ2_0);
  constraints.types = {T::kTQ2_0};
  EXPECT_THAT(allocate(*checkpoint_, table, 1 << 20, constraints, {}).error().message,
              HasSubstr("--types and --backend metal leave none of"));
}

TEST_F(Allocate, NegativeDamagesCountAsZeroAndAreCounted) {
  DamageTable table = this->table();
  table.rows[1].cells[2].damage = -0.25;
  table.rows[2].cells[0].damage = -1;
  const auto plan = allocate(*checkpoint_, table, 1 << 20, {}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->warnings, Contains(HasSubstr("2 damages of the table are negative and count as 0; the first is -0.25 of '" +
                                                 table.rows[1].name + "' at Q4_K")));
  EXPECT_GE(plan->predicted_damage, 0);
}

TEST_F(Allocate, ABudgetAboveTheLargestRecipeSaysWhatIsLeft) {
  DamageTable table = this->table();
  for (DamageRow& row : table.rows) row.cells.resize(3);  // Q2_K to Q4_K
  const auto most = allocate(*checkpoint_, table, 1 << 30, {}, {});
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_THAT(most->warnings, Contains(HasSubstr("the largest recipe of these types has " + group_digits(most->file_bytes) + " bytes; " +
                                                 group_digits((uint64_t{1} << 30) - most->file_bytes) + " of the budget are left")));
  EXPECT_THAT(allocate(*checkpoint_, table, most->file_bytes, {}, {})->warnings, IsEmpty());
}

// The best preset by the table, told by name; its gap is against the exact bound.
TEST_F(Allocate, PresetsAreASolver) {
  AllocateConstraints constraints;
  constraints.solver = "presets";
  const OutputFile q4 =
      output_of(preset_recipe(**find_preset("Q4_K_M"), checkpoint_->tensors(), preset_context(checkpoint_->metadata(), false)));
  const auto plan = allocate(*checkpoint_, table(), q4.file_bytes, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  const Recipe recipe = preset_recipe(**find_preset(plan->preset), checkpoint_->tensors(), preset_context(checkpoint_->metadata(), false));
  EXPECT_EQ(plan->file_bytes, output_of(recipe).file_bytes);
  EXPECT_LE(plan->file_bytes, q4.file_bytes);
  for (const auto& [name, type] : recipe.types) EXPECT_EQ(plan->recipe.types.at(name), type) << name;
  const auto exact = allocate(*checkpoint_, table(), q4.file_bytes, {}, {});
  EXPECT_LE(exact->predicted_damage, plan->predicted_damage);
  EXPECT_LE(plan->bound, exact->predicted_damage);
  EXPECT_GT(plan->gap, 0);
}

TEST_F(Allocate, AKeptTypeTheTableLacksIsCountedAsZeroWithAWarning) {
  AllocateConstraints constraints;
  constraints.keep = {{"^output.weight", T::kQ4_0}};
  const auto plan = allocate(*checkpoint_, table(), 1 << 20, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->warnings, Contains(HasSubstr("no damage for 'output.weight'")));
}

TEST_F(Allocate, MatricesWithoutARowStayAsStored) {
  DamageTable damages = table();
  damages.rows.erase(damages.rows.begin());  // token_embd.weight: 40 rows of 256 in F16, 20 KiB
  const auto plan = allocate(*checkpoint_, damages, *budget_bytes(*checkpoint_, {.bpw = 6, .size = {}, .like = {}}, {}), {}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->recipe.types.at("token_embd.weight"), T::kF16);
  EXPECT_THAT(plan->warnings, testing::ElementsAre(HasSubstr("1 matrices (20.00 KiB) are not in the table")));
  EXPECT_EQ(plan->file_bytes, output_of(plan->recipe).file_bytes);
}

TEST_F(Allocate, RowsTooShortForATypeDoNotTakeIt) {
  const auto narrow = small_model::make(dir_ / "narrow.gguf", {1, 96, 256, 8, T::kF16, true});
  DamageTable damages;
  for (const TensorInfo& tensor : narrow->tensors())
    if (is_quantizable(tensor))
      damages.rows.push_back({tensor.name, {tensor.name}, {{T::kQ4_K, 1e-3, 0, false}, {T::kQ5_0, 1e-3, 0, false}}});
  const auto plan = allocate(*narrow, damages, *budget_bytes(*narrow, {.bpw = 7, .size = {}, .like = {}}, {}), {}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->recipe.types.at("blk.0.ffn_down.weight"), T::kQ4_K);
  EXPECT_EQ(plan->recipe.types.at("blk.0.attn_q.weight"), T::kQ5_0);
}

TEST_F(Allocate, AnImpossibleBudgetNamesTheSmallestFile) {
  Recipe smallest;
  for (const TensorInfo& tensor : checkpoint_->tensors())
    if (is_quantizable(tensor)) smallest.types[tensor.name] = T::kQ2_K;
  const uint64_t bytes = output_of(smallest).file_bytes;
  EXPECT_TRUE(allocate(*checkpoint_, table(), bytes, {}, {}));
  const auto refused = allocate(*checkpoint_, table(), bytes - 1, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr(group_digits(bytes)));
}

TEST_F(Allocate, ATableOfAnotherModelIsRefused) {
  DamageTable damages = table();
  damages.rows[3].tensors = {"blk.9.attn_q.weight"};
  EXPECT_EQ(allocate(*checkpoint_, damages, 1 << 20, {}, {}).error().code, ErrorCode::kMismatch);
  damages = table();
  damages.rows[3].tensors = {"blk.0.attn_norm.weight"};
  EXPECT_EQ(allocate(*checkpoint_, damages, 1 << 20, {}, {}).error().code, ErrorCode::kMismatch);
  damages = table();
  damages.rows[3].tensors = damages.rows[2].tensors;
  EXPECT_EQ(allocate(*checkpoint_, damages, 1 << 20, {}, {}).error().code, ErrorCode::kUsage);
}

TEST_F(Allocate, DevicesHaveTheirOwnBudgets) {
  const uint64_t budget = *budget_bytes(*checkpoint_, {.bpw = 6, .size = {}, .like = {}}, {});
  const auto free = allocate(*checkpoint_, table(), budget, {}, {});
  ASSERT_TRUE(free);
  const auto ffn_bytes = [&](const Plan& plan) {
    uint64_t bytes = 0;
    const OutputFile output = output_of(plan.recipe);
    for (const TensorInfo& tensor : output.tensors)
      if (std::regex_search(tensor.name, std::regex("ffn_(up|gate|down)"))) bytes += (tensor.bytes + 31) / 32 * 32;
    return bytes;
  };
  AllocateConstraints constraints;
  constraints.device_bytes = {{"ffn_(up|gate|down)", ffn_bytes(*free) * 3 / 4}};
  const auto plan = allocate(*checkpoint_, table(), budget, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_LE(ffn_bytes(*plan), ffn_bytes(*free) * 3 / 4);
  EXPECT_LE(plan->file_bytes, budget);
  EXPECT_EQ(plan->file_bytes, output_of(plan->recipe).file_bytes);
  EXPECT_GT(plan->predicted_damage, free->predicted_damage);
  EXPECT_LE(plan->bound, plan->predicted_damage);
  ASSERT_EQ(plan->limits.size(), 1u);
  EXPECT_EQ(plan->limits[0].used, static_cast<double>(ffn_bytes(*plan)));
  EXPECT_GT(plan->limits[0].price, 0);

  constraints.device_bytes = {{"ffn_(up|gate|down)", 100}};
  EXPECT_THAT(allocate(*checkpoint_, table(), budget, constraints, {}).error().message, HasSubstr("ffn_(up|gate|down)"));
  constraints.device_bytes = {{"no_such_name", 1000}};
  EXPECT_EQ(allocate(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kMismatch);
}

TEST_F(Allocate, SlowTypesAreAvoided) {
  const uint64_t budget = *budget_bytes(*checkpoint_, {.bpw = 4, .size = {}, .like = {}}, {});
  AllocateConstraints constraints;
  constraints.types = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kQ6_K};
  constraints.speeds.per_weight = {{T::kQ2_K, 1}, {T::kQ3_K, 3}, {T::kQ4_K, 1.2}, {T::kQ6_K, 1.5}};
  const auto time = [&](const Plan& plan) {
    double sum = 0, least = 0;
    for (const auto& [name, type] : plan.recipe.types) {
      const auto elements = static_cast<double>(checkpoint_->find(name)->elements());
      sum += elements * constraints.speeds.per_weight.at(type);
      least += elements;
    }
    return sum / least;
  };
  const auto free = allocate(*checkpoint_, table(), budget, constraints, {});
  ASSERT_TRUE(free);
  EXPECT_GT(time(*free), 1.25);
  constraints.speeds.most = 1.25;
  const auto plan = allocate(*checkpoint_, table(), budget, constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_LE(time(*plan), 1.25 + 1e-9);
  EXPECT_NEAR(plan->limits.at(0).used, time(*plan), 1e-9);
  constraints.solver = "greedy";
  EXPECT_EQ(allocate(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kUsage);
}

TEST_F(Allocate, RolesThatShareAType) {
  AllocateConstraints constraints;
  constraints.fused = {{"ffn_gate", "ffn_up"}};
  constraints.types_of = {{"attn_v", {T::kQ8_0, T::kQ6_K}}};
  constraints.at_least = {{"ffn_down", T::kQ5_K}};
  const auto plan = allocate(*checkpoint_, table(), *budget_bytes(*checkpoint_, {.bpw = 5.5, .size = {}, .like = {}}, {}), constraints, {});
  ASSERT_TRUE(plan) << plan.error().message;
  for (const auto& [name, type] : plan->recipe.types) {
    if (name.find("ffn_gate") != std::string::npos) {
      std::string up = name;
      up.replace(up.find("ffn_gate"), 8, "ffn_up");
      EXPECT_EQ(plan->recipe.types.at(up), type) << name;
    }
    if (name.find("attn_v") != std::string::npos) {
      EXPECT_TRUE(type == T::kQ8_0 || type == T::kQ6_K);
    }
    if (name.find("ffn_down") != std::string::npos) {
      EXPECT_GE(find_type(type)->block_bytes * 256 / find_type(type)->block_size, 176u);
    }
  }
}

// Every point of the curve is what the solver finds at its size, and what lies between is not below the line.
// The rows as a knapsack of one's own: the same optimum, and the file it makes.
TEST_F(Allocate, GivesItsRowsToOthers) {
  AllocateConstraints constraints;
  constraints.types = {T::kQ2_K, T::kQ4_K, T::kQ6_K};
  constraints.keep = {{"token_embd", T::kQ6_K}};
  const uint64_t budget = *budget_bytes(*checkpoint_, {.bpw = 4.5, .size = {}, .like = {}}, {});
  const auto plan = allocate(*checkpoint_, table(), budget, constraints, {});
  const auto given = allocation_rows(*checkpoint_, table(), budget, constraints, {});
  ASSERT_TRUE(plan);
  ASSERT_TRUE(given);
  std::vector<KnapsackGroup> groups;
  for (const AllocationRow& row : given->rows) {
    EXPECT_NE(row.name, "token_embd.weight");
    EXPECT_EQ(row.types.size(), row.items.size());
    groups.push_back(row.items);
  }
  const auto solved = solve_knapsack(groups, given->budget);
  ASSERT_TRUE(solved);
  Recipe recipe = plan->recipe;
  for (size_t r = 0; r < groups.size(); ++r)
    for (const std::string& tensor : given->rows[r].tensors) recipe.types[tensor] = given->rows[r].types[solved->choice[r]];
  EXPECT_EQ(recipe.types, plan->recipe.types);
  EXPECT_EQ(output_of(recipe).file_bytes, budget - given->budget + solved->bytes);
  constraints.device_bytes = {{"ffn", uint64_t{1} << 30}};
  EXPECT_EQ(allocation_rows(*checkpoint_, table(), budget, constraints, {}).error().code, ErrorCode::kUsage);
}

TEST_F(Allocate, TheFrontierIsTheHullOfAllPlans) {
  const auto frontier = plan_frontier(*checkpoint_, table(), {}, {});
  ASSERT_TRUE(frontier) << frontier.error().message;
  const auto& points = frontier->points;
  ASSERT_GT(points.size(), 20u);
  for (size_t i = 0; i < points.size(); i += 7) {
    const auto plan = allocate(*checkpoint_, table(), points[i].file_bytes, {}, {});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_NEAR(plan->predicted_damage, points[i].damage, 1e-9 * points[0].damage);
    if (i == 0) continue;
    const FrontierPoint &a = points[i - 1], &b = points[i];
    const uint64_t middle = (a.file_bytes + b.file_bytes) / 2;
    const double line =
        a.damage + (b.damage - a.damage) * static_cast<double>(middle - a.file_bytes) / static_cast<double>(b.file_bytes - a.file_bytes);
    EXPECT_GE(allocate(*checkpoint_, table(), middle, {}, {})->predicted_damage, line * (1 - 1e-9));
    EXPECT_GE(b.upgrade.saved, 0);
  }
  const auto largest = allocate(*checkpoint_, table(), points.back().file_bytes - 1, {}, {});
  EXPECT_FALSE(largest->next.empty());
}

}  // namespace
}  // namespace assay
