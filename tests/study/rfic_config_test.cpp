#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "assay/study/rfic_study.h"
#include "tests/file/test_files.h"

// fontconfig keeps its fonts until the process ends.
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }

namespace assay {
namespace {

TEST(RficConfig, ShippedConfigsAreRead) {
  const auto demo = read_rfic_config(ASSAY_SOURCE_DIR "/studies/rfic_demo.yaml");
  ASSERT_TRUE(demo) << demo.error().message;
  EXPECT_EQ(demo->name, "rfic_demo");
  const auto qwen = read_rfic_config(ASSAY_SOURCE_DIR "/studies/rfic_qwen3-1.7b.yaml");
  ASSERT_TRUE(qwen) << qwen.error().message;
  // The source's run.
  EXPECT_EQ(qwen->layers, (std::vector<LayerRange>{{7, 7}, {14, 14}, {20, 20}}));
  EXPECT_EQ(qwen->grid.bits, 4);
  EXPECT_EQ(qwen->grid.group, 128u);
  EXPECT_TRUE(qwen->grid.zero_point);
  EXPECT_EQ(qwen->tokens, 512u);
  EXPECT_EQ(qwen->top_k, 20u);
  EXPECT_EQ(qwen->ruleset, std::vector<RficRule>{RficRule::kB});
  EXPECT_EQ(qwen->windows, 256u);
}

TEST(RficConfig, EachFaultIsNamedAndItsControlReads) {
  const auto parse = [](const std::string& text) { return parse_rfic_config(text, true, "c.yaml"); };
  ASSERT_TRUE(
      parse("{layers: 1-2, roles: [ffn_down, attn_v], bits: 3, group: 64, symmetric: true, tokens: 9, rules: v0, ruleset: BC, "
            "gate_rules: B, gate_top: 0, gate_windows: 2, top_k: 1, calibration_windows: 1, windows: 0, seed: 5}"));
  const std::pair<const char*, const char*> faults[] = {{"{layers: 3-1}", "3-1"},
                                                        {"{roles: [ffn]}", "roles[0]"},
                                                        {"{roles: []}", "roles"},
                                                        {"{bits: 9}", "bits"},
                                                        {"{group: 1}", "group"},
                                                        {"{symmetric: 1}", "symmetric"},
                                                        {"{tokens: 0}", "tokens"},
                                                        {"{rules: D}", "rules"},
                                                        {"{ruleset: B;}", "ruleset"},
                                                        {"{gate_rules: ''}", "gate_rules"},
                                                        {"{gate_top: -1}", "gate_top"},
                                                        {"{gate_windows: 1}", "gate_windows"},
                                                        {"{top_k: 0}", "top_k"},
                                                        {"{calibration_windows: 0}", "calibration_windows"},
                                                        {"{windows: x}", "windows"},
                                                        {"{seed: -1}", "seed"},
                                                        {"{top: 3}", "top"}};
  for (const auto& [text, place] : faults) {
    const auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find(place), std::string::npos) << config.error().message;
  }
}

TEST(RficReport, CsvAndFiguresHoldEveryCandidate) {
  RficResult result;
  for (int i = 0; i < 4; ++i) {
    RficCandidate one;
    one.tensor = "blk.1.ffn_down.weight";
    one.layer = 1;
    one.rule = RficRule::kB;
    one.column = static_cast<uint64_t>(i);
    one.harm = 0.1 * i;
    one.benefit = i == 2 ? -0.1 : 0.2 * i + 0.1;
    result.candidates.push_back(one);
  }
  result.front = pareto_front(result.candidates);
  result.summary = summarize(result.candidates);
  result.zeroed = {0};
  const std::string csv = candidates_csv(result);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  EXPECT_NE(csv.find("blk.1.ffn_down.weight,1,B,0,0,0,0,0,0.1,0,0,1,1\n"), std::string::npos) << csv;
  testing_files::ScratchDirectory dir;
  const auto figures = write_figures(result, dir / "f", "a model", {});
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_EQ(figures->size(), 4u);  // all and the zoom, each as SVG and PNG
}

}  // namespace
}  // namespace assay
