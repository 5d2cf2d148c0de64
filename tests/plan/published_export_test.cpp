// Our damages as the tool suite's files: written, read back the same, and planned by as the suite does - by hand.
#include "assay/plan/published_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "assay/plan/published_plan.h"
#include "assay/plan/solver.h"

namespace assay {
namespace {

using T = GgmlType;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kUp[] = "blk.0.ffn_up.weight", kDown[] = "blk.0.ffn_down.weight";

DamageTable sweep() {
  DamageTable table;
  table.estimator = "measured";
  table.rows = {{kUp, {kUp}, {{T::kQ2_K, 0.1 + 0.2, 0, false}}}, {kDown, {kDown}, {{T::kQ2_K, 0.9, 0.01, false}}}};
  return table;
}

std::vector<DamageCell> whole() { return {{T::kQ2_K, 2, 0, false}, {T::kQ4_K, 0.25, 0, false}, {T::kQ6_K, 1.0 / 3 / 8, 0, false}}; }

PublishedTable read_back(const PublishedTable& table) {
  const std::string text = to_csv(table);
  const auto view = std::as_bytes(std::span(text));
  const auto read = read_published_table(*memory_source({view.begin(), view.end()}, "table"));
  EXPECT_TRUE(read) << read.error().message;
  return *read;
}

TEST(PublishedExport, IsReadBackToTheLastBit) {
  const auto files = published_files(sweep(), whole());
  ASSERT_TRUE(files) << files.error().message;
  const PublishedTable table = read_back(files->table), group0 = read_back(files->group0);
  EXPECT_THAT(table.columns, ElementsAre(kUp, kDown));
  ASSERT_EQ(table.rows.size(), 1u);  // types that no tensor was measured at have no row
  EXPECT_EQ(table.rows[0].type, "q2_K");
  EXPECT_THAT(table.rows[0].values, ElementsAre(0.1 + 0.2, 0.9));
  ASSERT_EQ(group0.rows.size(), 3u);
  EXPECT_EQ(group0.rows[2].values[0], 1.0 / 3 / 8);
}

TEST(PublishedExport, GapsAre404AndGroupsAreCopies) {
  DamageTable table = sweep();
  table.rows[0].cells.push_back({T::kQ4_K, 0.05, 0, false});
  table.rows[1].tensors = {kDown, "blk.0.ffn_gate.weight"};
  const auto files = published_files(table, whole());
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(to_csv(files->table),
            "QTYPE,blk.0.ffn_up.weight,blk.0.ffn_down.weight,blk.0.ffn_gate.weight\nq2_K,0.30000000000000004,0.9,0.9\nq4_K,0.05,404,404\n");
}

TEST(PublishedExport, RefusesWhatTheFilesCannotSay) {
  DamageTable table = sweep();
  table.unit = "rows";
  EXPECT_THAT(published_files(table, whole()).error().message, HasSubstr("cannot hold rows"));
  table = sweep();
  table.rows[0].tensors = {kUp, "blk.0.attn_q.weight", "blk.0.attn_k.weight"};
  EXPECT_THAT(published_files(table, whole()).error().message, HasSubstr("has 3 tensors"));
  table = sweep();
  table.rows[0].cells[0].damage = -1;
  EXPECT_EQ(published_files(table, whole()).error().code, ErrorCode::kBadInput);
  EXPECT_THAT(published_files(sweep(), std::vector<DamageCell>{{T::kQ4_K, 1, 0, false}}).error().message,
              HasSubstr("lacks the whole model's damage at Q2_K"));
}

// The suite's way: from the smallest types, the step of most sens^p x fall of the whole model's curve per byte. Rank-1 has that objective.
TEST(PublishedExport, RankOneAndGreedyPlayTheSuitesPart) {
  const auto files = published_files(sweep(), whole());
  ASSERT_TRUE(files);
  std::vector<MappedTensor> map;
  std::vector<TensorInfo> tensors;
  for (const char* name : {kUp, kDown}) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.type = T::kBF16;
    tensor.n_dims = 2;
    tensor.dims = {256, name == kUp ? 2u : 8u, 1, 1};
    tensor.bytes = tensor.dims[0] * tensor.dims[1] * 2;
    map.push_back(mapped_tensor(tensor));
    tensors.push_back(tensor);
  }
  PublishedOptions options;
  options.model = PublishedModel::kRank1;
  options.types = {"q2_K", "q4_K", "q6_K"};
  const auto objective = published_objective(read_back(files->table), read_back(files->group0), map, options);
  ASSERT_TRUE(objective) << objective.error().message;
  // Damages are proportional to the sensitivities, at every type by the same factor.
  ASSERT_EQ(objective->rows.size(), 2u);
  const auto damage = [&](size_t row, size_t type) { return objective->rows[row].cells[type].damage; };
  for (size_t type = 0; type < 2; ++type) EXPECT_NEAR(damage(0, type) / damage(1, type), (0.1 + 0.2) / 0.9, 1e-9);
  // Up: 2 rows, 168 bytes at Q2_K and 288 at Q4_K; down: four times that. A step of up saves a third of down's at a quarter of the bytes:
  // up goes first. With sens^2 it saves a ninth: down goes first.
  PublishedPlanOptions plan;
  plan.solver = "greedy";
  plan.budget = 288 + 4 * 168;  // one step of up
  const auto by_one = plan_published(*objective, tensors, plan);
  ASSERT_TRUE(by_one) << by_one.error().message;
  EXPECT_EQ(by_one->document.types.at(kUp), "q4_K");
  EXPECT_EQ(by_one->document.types.at(kDown), "q2_K");
  plan.budget = 192 + 4 * 288;  // a step of down, up at Q2_K with its padding, and nothing more
  plan.exponent = 2;
  const auto by_two = plan_published(*objective, tensors, plan);
  ASSERT_TRUE(by_two) << by_two.error().message;
  EXPECT_EQ(by_two->document.types.at(kUp), "q2_K");
  EXPECT_EQ(by_two->document.types.at(kDown), "q4_K");
  EXPECT_GE(by_two->damage, by_two->bound);
}

}  // namespace
}  // namespace assay
