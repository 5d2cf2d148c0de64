#include "assay/plan/proxy_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

using testing::HasSubstr;

TensorInfo matrix(const std::string& name, uint64_t row, uint64_t rows) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.n_dims = 2;
  tensor.type = GgmlType::kF16;
  tensor.dims = {row, rows, 1, 1};
  return tensor;
}

// Two matrices of one group, 256 and 768 weights.
ModelStructure structure() { return *model_structure({matrix("blk.0.ffn_up.weight", 256, 1), matrix("blk.0.ffn_down.weight", 256, 3)}); }

std::string row(const std::string& name, const std::string& cells) { return R"({"name": ")" + name + R"(", "cells": [)" + cells + "]}"; }
std::string score(const std::string& name, const std::string& rows) { return R"({"name": ")" + name + R"(", "rows": [)" + rows + "]}"; }
std::string result(const std::string& scores) { return R"({"result": {"scores": [)" + scores + "]}}"; }

std::string nsds(const std::string& up = "0.2", const std::string& down_name = "blk.0.ffn_down.weight") {
  return score("nsds_ramp", row("blk.0.ffn_up.weight", R"({"type": null, "value": )" + up + "}") + "," +
                                row(down_name, R"({"type": null, "value": 0.6})"));
}
const std::string kNorm = score("weight_norm", row("blk.0.ffn_up.weight", R"({"type": null, "value": 10})") + "," +
                                                   row("blk.0.ffn_down.weight", R"({"type": null, "value": 30})"));
const std::string kError =
    score("weight_error", row("blk.0.ffn_up.weight", R"({"type": "Q4_K", "value": 0.1}, {"type": "Q8_0", "value": 0.01})") + "," +
                              row("blk.0.ffn_down.weight", R"({"type": "Q4_K", "value": 0.3})"));

TEST(ProxyScores, AggregatesAGroupByElementsAndByEnergy) {
  const std::string text = result(nsds() + "," + kNorm + "," + kError + "," + score("kurtosis", ""));
  EXPECT_TRUE(holds_scores(text));
  const auto facts = proxy_facts_from_scores(text, "s.json", structure());
  ASSERT_TRUE(facts) << facts.error().message;
  ASSERT_EQ(facts->size(), 1u);
  const ProxyFacts& fact = facts->at("layer.0.ffn");
  EXPECT_DOUBLE_EQ(fact.sensitivity, (256 * 0.2 + 768 * 0.6) / 1024);
  ASSERT_EQ(fact.errors.size(), 1u);  // Q8_0 is not known of every member
  EXPECT_DOUBLE_EQ(fact.errors.at(GgmlType::kQ4_K), std::sqrt(0.4 / 40));
}

TEST(ProxyScores, DoesWithoutMeasuredErrors) {
  const auto facts = proxy_facts_from_scores(result(nsds() + "," + kError), "s.json", structure());
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(facts->at("layer.0.ffn").errors.empty());  // errors without norms are not relative
}

TEST(ProxyScores, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::string& text) { return proxy_facts_from_scores(text, "s.json", structure()).error().message; };
  EXPECT_FALSE(holds_scores(R"({"group_scores": {}})"));
  EXPECT_THAT(refused("{}"), HasSubstr("result.scores is missing"));
  EXPECT_THAT(refused("[1"), HasSubstr("s.json"));
  EXPECT_THAT(refused(result(kNorm)), HasSubstr("has no nsds_ramp"));
  EXPECT_THAT(refused(result(nsds("1.5"))), HasSubstr("result.scores[0].rows[0].cells[0].value is 1.5"));
  EXPECT_THAT(refused(result(nsds("\"x\""))), HasSubstr("rows[0].cells[0].value"));
  EXPECT_THAT(refused(result(nsds("0.2", "blk.7.ffn_down.weight"))), HasSubstr("'blk.0.ffn_down.weight' has no nsds_ramp"));
  EXPECT_THAT(refused(result(nsds() + "," + score("nsds_ramp", row("blk.9.ffn_up.weight", R"({"type": null, "value": 0.1})")))),
              HasSubstr("'blk.9.ffn_up.weight' is not in the model"));
  EXPECT_THAT(refused(result(nsds() + "," + score("weight_error", row("blk.0.ffn_up.weight", R"({"type": "Q9_Z", "value": 1})")))),
              HasSubstr("type is \"Q9_Z\""));
}

}  // namespace
}  // namespace assay
