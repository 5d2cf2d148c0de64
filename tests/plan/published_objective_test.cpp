#include "assay/plan/published_objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "assay/score/median.h"
namespace assay {
namespace {

constexpr double kRounding = 1e-9;
const std::string kMeasured = ASSAY_SOURCE_DIR "/../shared/data/measured/";

const std::vector<std::pair<std::string, double>> kWhole = {{"bf16", 0},   {"iq1_kt", 3}, {"iq2_ks", 1.2},
                                                            {"q3_K", 0.4}, {"q4_K", 0.1}, {"iq5_ks", 0.02}};

PublishedTable group0() {
  PublishedTable table{{"group0"}, {}, false};
  for (const auto& [type, value] : kWhole) table.rows.push_back({type, {value}});
  return table;
}

double whole_of(const std::string& type) {
  for (const auto& [name, value] : kWhole)
    if (name == type) return value;
  return NAN;
}

const std::vector<std::string> kRoles = {"attn_q", "attn_output", "ffn_down"};

std::string name_of_tensor(int layer, size_t role) { return "blk." + std::to_string(layer) + "." + kRoles[role] + ".weight"; }

using Damage = std::function<double(int layer, size_t role, double whole)>;

struct Model {
  PublishedTable table;
  std::vector<MappedTensor> map;
};

Model model(const std::vector<std::string>& types, const Damage& damage, int layers = 12) {
  Model made;
  for (int layer = 0; layer < layers; ++layer)
    for (size_t role = 0; role < kRoles.size(); ++role) {
      made.table.columns.push_back(name_of_tensor(layer, role));
      made.map.push_back({name_of_tensor(layer, role), {256, 64}, "bf16", 256 * 64, 512 * 64});
    }
  for (const std::string& type : types) {
    PublishedRow row{type, {}};
    for (int layer = 0; layer < layers; ++layer)
      for (size_t role = 0; role < kRoles.size(); ++role) row.values.push_back(damage(layer, role, whole_of(type)));
    made.table.rows.push_back(std::move(row));
  }
  made.map.push_back({"output_norm.weight", {256}, "f32", 256, 1024});
  return made;
}

double rank1(int layer, size_t role, double whole) { return 1e-3 * (layer + 1) * (static_cast<double>(role) + 0.5) * whole; }

const ObjectiveCell& cell(const PublishedObjective& objective, const std::string& row, const std::string& type) {
  for (const ObjectiveRow& one : objective.rows)
    if (one.name == row)
      for (const ObjectiveCell& at : one.cells)
        if (at.type == type) return at;
  throw std::runtime_error(row + " " + type);
}

TEST(PublishedObjective, RankOneTableIsRecoveredByBoth) {
  const Model made = model({"iq1_kt", "iq2_ks", "q3_K"}, rank1);
  for (const PublishedModel which : {PublishedModel::kRank1, PublishedModel::kRoles}) {
    PublishedOptions options;
    options.model = which;
    options.types = {"iq1_kt", "q4_K", "iq5_ks", "bf16"};
    const auto objective = published_objective(made.table, group0(), made.map, options);
    ASSERT_TRUE(objective) << objective.error().message;
    EXPECT_EQ(objective->rows.size(), 36u);  // the norm is never quantized
    for (int layer = 0; layer < 12; ++layer)
      for (size_t role = 0; role < 3; ++role) {
        const std::string name = name_of_tensor(layer, role);
        for (const char* type : {"iq1_kt", "q4_K", "iq5_ks"})
          EXPECT_NEAR(cell(*objective, name, type).damage / rank1(layer, role, whole_of(type)), 1, kRounding);
        EXPECT_EQ(cell(*objective, name, "bf16").damage, 0);
        EXPECT_EQ(cell(*objective, name, "q4_K").basis, CellBasis::kExtrapolated);
      }
    EXPECT_EQ(cell(*objective, name_of_tensor(0, 0), "iq1_kt").basis,
              which == PublishedModel::kRoles ? CellBasis::kMeasured : CellBasis::kPredicted);
  }
}

TEST(PublishedObjective, RoleCurvesArePredictedBetter) {
  const Damage curves = [](int layer, size_t role, double whole) {
    return 1e-3 * (layer + 1) * std::pow(whole, 0.6 + 0.4 * static_cast<double>(role));
  };
  const Model made = model({"iq1_kt", "iq2_ks", "q3_K", "q4_K"}, curves);
  PublishedOptions options;
  options.types = {"iq5_ks"};
  const auto ours = published_objective(made.table, group0(), made.map, options);
  options.model = PublishedModel::kRank1;
  const auto plain = published_objective(made.table, group0(), made.map, options);
  ASSERT_TRUE(ours && plain);
  double error = 0, baseline = 0;
  for (int layer = 0; layer < 12; ++layer)
    for (size_t role = 0; role < 3; ++role) {
      const double truth = curves(layer, role, whole_of("iq5_ks"));
      const ObjectiveCell& guess = cell(*ours, name_of_tensor(layer, role), "iq5_ks");
      error += std::abs(std::log((guess.damage + ours->offset) / truth));
      baseline += std::abs(std::log(cell(*plain, name_of_tensor(layer, role), "iq5_ks").damage / truth));
      EXPECT_GT(guess.standard_error, 0);
    }
  EXPECT_LT(error, 0.35 * baseline);
  EXPECT_LT(ours->type_error, plain->type_error);
}

// A block without numbers lies between its neighbours; a single gap comes from the tensor's other types.
TEST(PublishedObjective, Gaps) {
  Model made = model({"iq1_kt", "iq2_ks"}, rank1);
  for (PublishedRow& row : made.table.rows)
    for (size_t role = 0; role < 3; ++role) row.values[5 * 3 + role] = NAN;
  made.table.rows[1].values[7 * 3] = NAN;
  const auto objective = published_objective(made.table, group0(), made.map);
  ASSERT_TRUE(objective) << objective.error().message;
  EXPECT_EQ(objective->rows.size(), 36u);
  const ObjectiveCell& gap = cell(*objective, name_of_tensor(7, 0), "iq2_ks");
  EXPECT_EQ(gap.basis, CellBasis::kPredicted);
  EXPECT_NEAR(gap.damage / rank1(7, 0, 1.2), 1, 1e-6);
  for (size_t role = 0; role < 3; ++role) {
    const ObjectiveCell& whole_block = cell(*objective, name_of_tensor(5, role), "iq1_kt");
    EXPECT_GT(whole_block.damage, rank1(4, role, 3) * 0.9);
    EXPECT_LT(whole_block.damage, rank1(6, role, 3) * 1.1);
    EXPECT_GT(whole_block.standard_error, 0);
    EXPECT_EQ(whole_block.basis, CellBasis::kPredicted);
  }
  EXPECT_EQ(cell(*objective, name_of_tensor(4, 0), "iq1_kt").standard_error, 0);
}

// Measured together, unmeasured together: one row, counted once.
TEST(PublishedObjective, TensorsMeasuredTogetherAreOneRow) {
  Model made = model({"iq1_kt", "iq2_ks"}, [](int layer, size_t role, double whole) { return rank1(layer, role == 1 ? 0 : role, whole); });
  for (PublishedRow& row : made.table.rows)
    for (size_t role = 0; role < 3; ++role) row.values[5 * 3 + role] = NAN;
  const auto objective = published_objective(made.table, group0(), made.map);
  ASSERT_TRUE(objective) << objective.error().message;
  EXPECT_EQ(objective->rows.size(), 24u);
  size_t joined = 0;
  for (const ObjectiveRow& row : objective->rows)
    if (row.tensors.size() == 2) {
      ++joined;
      EXPECT_EQ(row.role, "attn_q+attn_output");
    }
  EXPECT_EQ(joined, 12u);
}

TEST(PublishedObjective, TypesAtWhichTheModelIsDestroyedTeachNothing) {
  PublishedTable whole = group0();
  whole.rows.push_back({"iq1_bn", {14}});
  const Model clean = model({"iq1_kt", "iq2_ks"}, rank1);
  Model wild = clean;
  wild.table.rows.push_back({"iq1_bn", std::vector<double>(wild.table.columns.size(), 7)});
  PublishedOptions options;
  options.types = {"q4_K"};
  const auto a = published_objective(clean.table, whole, clean.map, options);
  const auto b = published_objective(wild.table, whole, wild.map, options);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(b->collapsed, std::vector<std::string>{"iq1_bn"});
  for (size_t i = 0; i < a->rows.size(); ++i) EXPECT_EQ(a->rows[i].cells[0].damage, b->rows[i].cells[0].damage);
}

TEST(PublishedObjective, IsDeterministic) {
  const Model made = model({"iq1_kt", "q3_K"}, [](int layer, size_t role, double whole) {
    return rank1(layer, role, whole) * (1 + 0.3 * std::sin(layer * 7 + static_cast<double>(role)));
  });
  const auto a = published_objective(made.table, group0(), made.map), b = published_objective(made.table, group0(), made.map);
  ASSERT_TRUE(a && b);
  for (size_t i = 0; i < a->rows.size(); ++i)
    for (size_t c = 0; c < a->rows[i].cells.size(); ++c) EXPECT_EQ(a->rows[i].cells[c].damage, b->rows[i].cells[c].damage);
}

TEST(PublishedObjective, BadInput) {
  const Model good = model({"iq1_kt", "iq2_ks"}, rank1);
  const auto refused = [&](const PublishedTable& table, const PublishedTable& whole, ErrorCode code, const std::string& says,
                           const PublishedOptions& options = {}) {
    const auto objective = published_objective(table, whole, good.map, options);
    ASSERT_FALSE(objective) << says;
    EXPECT_EQ(objective.error().code, code) << objective.error().message;
    EXPECT_NE(objective.error().message.find(says), std::string::npos) << objective.error().message;
  };
  ASSERT_TRUE(published_objective(good.table, group0(), good.map));
  PublishedTable broken = good.table;
  broken.rows[0].values[3] = -0.1;
  refused(broken, group0(), ErrorCode::kBadInput, "not negative");
  broken = good.table;
  broken.percent = true;
  refused(broken, group0(), ErrorCode::kBadInput, "percent");
  broken = good.table;
  broken.rows[0].type = "iq9_zz";
  refused(broken, group0(), ErrorCode::kBadInput, "iq9_zz");
  broken = good.table;
  broken.columns.resize(1);
  for (PublishedRow& row : broken.rows) row.values = {0.0};
  refused(broken, group0(), ErrorCode::kBadInput, "above 0");
  refused(good.table, good.table, ErrorCode::kBadInput, "group0");
  broken = good.table;
  for (PublishedRow& row : broken.rows)
    for (double& value : row.values) value += 6.8;
  refused(broken, group0(), ErrorCode::kBadInput, "perplexities");
  PublishedTable whole = group0();
  for (PublishedRow& row : whole.rows) row.values[0] += 6.8;
  refused(good.table, whole, ErrorCode::kBadInput, "perplexities");
  whole = group0();
  whole.rows[1].values[0] = -1;
  refused(good.table, whole, ErrorCode::kBadInput, "not negative");
  whole = group0();
  std::erase_if(whole.rows, [](const PublishedRow& row) { return row.type == "iq2_ks"; });
  refused(good.table, whole, ErrorCode::kMismatch, "iq2_ks");
  refused(good.table, group0(), ErrorCode::kMismatch, "q6_K", {PublishedModel::kRoles, std::nullopt, {"q6_K"}});
  refused(good.table, group0(), ErrorCode::kUsage, "q4_KK", {PublishedModel::kRoles, std::nullopt, {"q4_KK"}});
  broken = good.table;
  broken.columns[0] = "blk.99.attn_q.weight";
  refused(broken, group0(), ErrorCode::kMismatch, "blk.99");
  EXPECT_EQ(find_published_model("rank1").error().code, ErrorCode::kUsage);
}

TEST(PublishedObjective, DamageTableOfGgmlTypes) {
  const Model made = model({"q3_K"}, rank1);
  PublishedOptions options;
  options.types = {"q3_K", "q4_K"};
  const auto objective = published_objective(made.table, group0(), made.map, options);
  ASSERT_TRUE(objective);
  const auto table = damage_table_of(*objective);
  ASSERT_TRUE(table) << table.error().message;
  const auto read = damage_table_from_json(to_json(*table));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rows.size(), 36u);
  EXPECT_EQ(read->estimator, "published:roles");
  EXPECT_EQ(read->rows[0].cells[1].type, GgmlType::kQ4_K);
  options.types = {"q3_K", "iq5_ks"};
  const auto foreign = published_objective(made.table, group0(), made.map, options);
  ASSERT_TRUE(foreign);
  EXPECT_EQ(damage_table_of(*foreign).error().code, ErrorCode::kUnsupported);
}

struct Published {
  PublishedTable table, whole;
  std::vector<MappedTensor> map;
  explicit Published(const std::string& name) {
    const std::string folder = kMeasured + name + "/";
    table = *read_published_table(**open_file(folder + "kld_results.csv"));
    whole = *read_published_table(**open_file(folder + "group0/kld_results.csv"));
    map = *read_tensor_map(**open_file(folder + "tensors.bf16.map"));
  }
  // Median |log error| at `type`, of tensors in `layers`, when `seen` is all that is known.
  double error(const PublishedTable& seen, const std::string& type, PublishedModel model, const std::function<bool(int)>& layers) const {
    PublishedOptions options;
    options.model = model;
    options.types = {type};
    const auto objective = published_objective(seen, whole, map, options);
    EXPECT_TRUE(objective) << objective.error().message;
    const PublishedRow& row =
        *std::find_if(table.rows.begin(), table.rows.end(), [&](const PublishedRow& one) { return one.type == type; });
    std::vector<double> errors;
    for (const ObjectiveRow& one : objective->rows) {
      const auto column = std::find(table.columns.begin(), table.columns.end(), one.tensors[0]);
      if (column == table.columns.end() || !layers(one.layer)) continue;
      const double truth = row.values[static_cast<size_t>(column - table.columns.begin())];
      if (!std::isnan(truth)) errors.push_back(std::abs(std::log((one.cells[0].damage + objective->offset) / truth)));
    }
    return median(std::move(errors));
  }
};

// docs/studies/allocation.md has the intervals.
TEST(PublishedObjective, PredictsTypesLeftOutBetterThanRankOne) {
  if (!std::filesystem::exists(kMeasured)) GTEST_SKIP() << "published measurements are not here: " << kMeasured;
  const Published qwen("Qwen3-4B-Instruct-2507");
  const auto all = [](int) { return true; };
  for (const std::string type : {"iq1_kt", "iq1_m", "iq2_ks", "q2_k_r4"}) {
    PublishedTable seen = qwen.table;
    std::erase_if(seen.rows, [&](const PublishedRow& row) { return row.type.starts_with(type); });  // iq1_m_r4 too
    EXPECT_LT(qwen.error(seen, type, PublishedModel::kRoles, all), 0.8 * qwen.error(seen, type, PublishedModel::kRank1, all)) << type;
  }
}

TEST(PublishedObjective, PredictsBlocksLeftOutBetterThanRoleMedians) {
  if (!std::filesystem::exists(kMeasured)) GTEST_SKIP() << "published measurements are not here: " << kMeasured;
  for (const auto& [name, type] :
       {std::pair("Qwen3.5-0.8B", "iq1_kt"), std::pair("Qwen3.5-35B-A3B", "iq1_kt"), std::pair("GLM-4.5-Air", "iq1_m_r4")}) {
    const Published model(name);
    const auto hidden = [](int layer) { return layer % 4 == 1; };
    PublishedTable seen = model.table;
    for (size_t c = 0; c < seen.columns.size(); ++c)
      if (hidden(named_tensor(seen.columns[c], 0).layer)) seen.rows[0].values[c] = NAN;
    EXPECT_LT(model.error(seen, type, PublishedModel::kRoles, hidden), 0.7 * model.error(seen, type, PublishedModel::kRank1, hidden))
        << name;
  }
}

// The published tables themselves: every quantized tensor has every type of group0 that has a size.
TEST(PublishedObjective, PublishedTables) {
  if (!std::filesystem::exists(kMeasured)) GTEST_SKIP() << "published measurements are not here: " << kMeasured;
  for (const char* name : {"Qwen3-4B-Instruct-2507", "Qwen3.5-0.8B"}) {
    const Published model(name);
    PublishedOptions options;
    options.types = {"iq1_kt", "iq2_ks", "q4_K", "q6_K", "bf16"};
    const auto objective = published_objective(model.table, model.whole, model.map, options);
    ASSERT_TRUE(objective) << objective.error().message;
    for (const ObjectiveRow& row : objective->rows) {
      ASSERT_EQ(row.cells.size(), 5u);
      for (size_t c = 0; c < 5; ++c) EXPECT_GE(row.cells[c].damage, 0) << row.name;
      EXPECT_GT(row.cells[0].damage, row.cells[2].damage) << row.name;
      EXPECT_GT(row.cells[2].damage, row.cells[3].damage) << row.name;
    }
  }
}

}  // namespace
}  // namespace assay
