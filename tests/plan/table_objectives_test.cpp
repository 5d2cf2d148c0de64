#include "assay/plan/table_objectives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace assay {
namespace {

using T = GgmlType;

DamageTable table(double factor) {
  DamageTable made;
  made.model_sha256 = "m";
  made.rows = {{"a", {"a"}, {{T::kQ4_K, 2 * factor, 0.3, false}, {T::kQ6_K, factor, 0, false}}}, {"b", {"b"}, {{T::kQ4_K, 4, 0.4, false}}}};
  return made;
}

TEST(TableObjectives, UpperByHand) {
  const UpperTable upper = upper_table(table(1), 2);
  EXPECT_DOUBLE_EQ(upper.table.rows[0].cells[0].damage, 2.6);
  EXPECT_DOUBLE_EQ(upper.table.rows[0].cells[1].damage, 1);
  EXPECT_DOUBLE_EQ(upper.table.rows[1].cells[0].damage, 4.8);
  EXPECT_EQ(upper.unknown, (std::vector<std::string>{"a at Q6_K"}));
  EXPECT_DOUBLE_EQ(upper_table(table(1), 0).table.rows[0].cells[0].damage, 2);
}

// Weights 1 and 3: a quarter and three quarters; errors of independent texts add up in squares.
TEST(TableObjectives, WeightedByHand) {
  const std::vector<DamageTable> tables = {table(1), table(5)};
  const DamageTable made = weighted_table(tables, std::vector<double>{1, 3});
  EXPECT_DOUBLE_EQ(made.rows[0].cells[0].damage, 0.25 * 2 + 0.75 * 10);
  EXPECT_DOUBLE_EQ(made.rows[0].cells[0].standard_error, 0.3 * std::sqrt(0.0625 + 0.5625));
  EXPECT_EQ(made.rows[0].cells[1].standard_error, 0);  // unknown stays unknown
  EXPECT_DOUBLE_EQ(made.rows[1].cells[0].damage, 4);
  EXPECT_DOUBLE_EQ(weighted_table(tables, std::vector<double>{0, 2}).rows[0].cells[0].damage, 10);
}

TEST(TableObjectives, OrderIsTheFirstTablesAndDifferencesAreNamed) {
  const std::vector<std::string> names = {"one.json", "two.json"};
  DamageTable other = table(3);
  std::swap(other.rows[0], other.rows[1]);
  std::swap(other.rows[1].cells[0], other.rows[1].cells[1]);
  const auto aligned = aligned_tables(std::vector<DamageTable>{table(1), other}, names);
  ASSERT_TRUE(aligned) << aligned.error().message;
  EXPECT_EQ(rows_sha256((*aligned)[1]), rows_sha256(table(3)));
  EXPECT_NE(rows_sha256(other), rows_sha256(table(3)));
  struct Fault {
    std::function<void(DamageTable&)> make;
    std::string words;
  };
  const Fault faults[] = {
      {[](DamageTable& t) { t.rows.pop_back(); }, "has no row 'b'"},
      {[](DamageTable& t) { t.rows.push_back({"c", {"c"}, {}}); }, "has row 'c', which the first has not"},
      {[](DamageTable& t) { t.rows[0].cells.pop_back(); }, "has no Q6_K in row 'a'"},
      {[](DamageTable& t) { t.rows[1].cells.push_back({T::kQ8_0, 0, 0, false}); }, "has Q8_0 in row 'b'"},
      {[](DamageTable& t) { t.rows[0].tensors = {"x"}; }, "other tensors in row 'a'"},
      {[](DamageTable& t) { t.model_sha256 = "n"; }, "another model"},
  };
  for (const Fault& fault : faults) {
    DamageTable second = table(1);
    fault.make(second);
    const auto made = aligned_tables(std::vector<DamageTable>{table(1), second}, names);
    ASSERT_FALSE(made) << fault.words;
    EXPECT_EQ(made.error().code, ErrorCode::kMismatch);
    EXPECT_NE(made.error().message.find(fault.words), std::string::npos) << made.error().message;
    EXPECT_NE(made.error().message.find("two.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace assay
