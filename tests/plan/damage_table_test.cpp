#include "assay/plan/damage_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::HasSubstr;

DamageTable example() {
  DamageTable table;
  table.model_sha256 = "ab12";
  table.estimator = "measured";
  table.noise_floor = 1.25e-9;
  table.rows = {
      {"blk.0.attn_q.weight", {"blk.0.attn_q.weight"}, {{GgmlType::kQ4_K, 0.001, 0.0002, false}, {GgmlType::kQ2_K, 0.1, 0, false}}},
      {"layer 1 ffn", {"blk.1.ffn_up.weight", "blk.1.ffn_down.weight"}, {{GgmlType::kQ8_0, 1e-10, 0, true}}}};
  return table;
}

TEST(DamageTable, RoundTrip) {
  const std::string text = to_json(example());
  const auto read = damage_table_from_json(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->rows[1].tensors[1], "blk.1.ffn_down.weight");
  EXPECT_EQ(read->rows[0].cells[1].type, GgmlType::kQ2_K);
  EXPECT_DOUBLE_EQ(read->rows[0].cells[0].standard_error, 0.0002);
  EXPECT_TRUE(read->rows[1].cells[0].below_floor);
  EXPECT_EQ(read->noise_floor, 1.25e-9);
}

TEST(DamageTable, TheEnvelopeOfACommandIsReadToo) {
  const auto read = damage_table_from_json(R"({"assay": "0.1.0", "result": {"table": )" + to_json(example()) + "}}");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(example()));
}

TEST(DamageTable, AHandWrittenTableNeedsLittle) {
  const auto read = damage_table_from_json(R"({"rows": [{"name": "output.weight", "cells": [{"type": "q6_k", "damage": 0.5}]}]})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rows[0].tensors, std::vector<std::string>{"output.weight"});
  EXPECT_EQ(read->rows[0].cells[0].type, GgmlType::kQ6_K);
}

// Nesting without end costs nothing: it is refused at the hundredth level.
TEST(DamageTable, ABombIsRefusedByItsDepth) {
  const auto read = damage_table_from_json(R"({"rows": )" + std::string(1 << 24, '['));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(read.error().message, HasSubstr("nests deeper than 100 levels"));
}

TEST(DamageTable, TheUnitIsNatsUnlessItSaysSo) {
  EXPECT_EQ(damage_table_from_json(R"({"rows": [{"name": "a", "cells": []}]})")->unit, "nats per token");
  EXPECT_EQ(damage_table_from_json(R"({"unit": "rows", "rows": [{"name": "a", "cells": []}]})")->unit, "rows");
}

struct Fault {
  const char* name;
  const char* json;
  const char* message;
};

class DamageTableFault : public testing::TestWithParam<Fault> {};

TEST_P(DamageTableFault, NamesTheField) {
  const auto read = damage_table_from_json(GetParam().json);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(read.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, DamageTableFault,
    testing::Values(
        Fault{"NotJson", "{", "is not JSON at byte"}, Fault{"NotAnObject", "[1]", "is not a JSON object"},
        Fault{"DamageIsNan", R"({"rows": [{"name": "a", "cells": [{"type": "F16", "damage": NaN}]}]})", "is not JSON at byte"},
        Fault{"DamageIsHuge", R"({"rows": [{"name": "a", "cells": [{"type": "F16", "damage": 1e999}]}]})", "is not JSON at byte"},
        Fault{"KeyTwice", R"({"rows": [], "rows": [{"name": "a", "cells": []}]})", "key 'rows' is given twice"},
        Fault{"UnitIsNumber", R"({"unit": 3, "rows": [{"name": "a", "cells": []}]})", "unit is not a string"},
        Fault{"NoRows", R"({"estimator": "x"})", "rows is missing"}, Fault{"EmptyRows", R"({"rows": []})", "rows is not a list of rows"},
        Fault{"RowsAreText", R"({"rows": "a"})", "rows is not a list of rows"},
        Fault{"RowIsNumber", R"({"rows": [1]})", "rows[0] is not an object"},
        Fault{"NoName", R"({"rows": [{"cells": []}]})", "rows[0].name is missing"},
        Fault{"NoCells", R"({"rows": [{"name": "a"}]})", "rows[0].cells is not a list"},
        Fault{"TensorIsNumber", R"({"rows": [{"name": "a", "tensors": [1], "cells": []}]})", "rows[0].tensors"},
        Fault{"TensorTwice", R"({"rows": [{"name": "a", "cells": []}, {"name": "b", "tensors": ["a"], "cells": []}]})",
              "rows[1].tensors names 'a' again"},
        Fault{"UnknownType", R"({"rows": [{"name": "a", "cells": [{"type": "Q4_K_M", "damage": 1}]}]})",
              "rows[0].cells[0].type is 'Q4_K_M'"},
        Fault{"TypeTwice", R"({"rows": [{"name": "a", "cells": [{"type": "F16", "damage": 1}, {"type": "f16", "damage": 1}]}]})",
              "holds F16 twice"},
        Fault{"NoDamage", R"({"rows": [{"name": "a", "cells": [{"type": "F16"}]}]})", "rows[0].cells[0].damage is missing"},
        Fault{"DamageIsText", R"({"rows": [{"name": "a", "cells": [{"type": "F16", "damage": "1"}]}]})",
              "rows[0].cells[0].damage is not a finite"},
        Fault{"NegativeError", R"({"rows": [{"name": "a", "cells": [{"type": "F16", "damage": 1, "standard_error": -1}]}]})",
              "standard_error is negative"},
        Fault{"FloorIsNumber", R"({"noise_floor": "0", "rows": [{"name": "a", "cells": []}]})", "noise_floor is not a finite"}),
    [](const auto& fault) { return fault.param.name; });

}  // namespace
}  // namespace assay
