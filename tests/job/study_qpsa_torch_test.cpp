// The Q-PSA study on the bundled model at Q4_K: samples taken in parts are the samples taken at once; a quick run draws more where it must.
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/engine.h"
#include "assay/job/qpsa_runner.h"

namespace assay {
namespace {

const std::string kDemo = ASSAY_SOURCE_DIR "/demo/";

// The bundled model at Q4_K_M, made once.
const std::string& quantized() {
  static const std::string path = [] {
    std::string file = testing::TempDir() + "/assay-study-qpsa.gguf";
    EXPECT_EQ(
        std::system(("'" ASSAY_PROGRAM "' quantize '" + kDemo + "reference-9m' --type Q4_K_M --force --quiet -o '" + file + "' > /dev/null")
                        .c_str()),
        0);
    return file;
  }();
  return path;
}

TextInput short_text() {
  TextInput text;
  text.path = kDemo + "evaluation.txt";
  text.windows.max_tokens = 160;
  return text;
}

TEST(StudyQpsa, SamplesInPartsAreTheSamplesAtOnce) {
  const auto runner = QpsaRunner::open(quantized(), short_text(), RunSettings{}, silent_progress());
  ASSERT_TRUE(runner) << runner.error().message;
  const std::vector<std::string> tensors = {"attn_q", "ffn_down"};
  QpsaSamples whole, parts;
  ASSERT_TRUE((*runner)->sample(Family::Kind::kBytes, {0, 5, {0, 3}}, tensors, 1, whole));
  ASSERT_TRUE((*runner)->sample(Family::Kind::kBytes, {0, 2, {0, 3}}, tensors, 1, parts));
  ASSERT_TRUE((*runner)->sample(Family::Kind::kBytes, {2, 5, {0, 3}}, tensors, 1, parts));
  ASSERT_EQ(whole.effects.size(), 20u);
  ASSERT_EQ(parts.effects.size(), 20u);
  for (size_t i = 0; i < whole.effects.size(); ++i) {
    const SampledEffect& one = whole.effects[i];
    const auto same = std::find_if(parts.effects.begin(), parts.effects.end(),
                                   [&](const SampledEffect& other) { return other.tensor == one.tensor && other.number == one.number; });
    ASSERT_NE(same, parts.effects.end()) << one.tensor << " " << one.number;
    EXPECT_EQ(same->effect, one.effect);
    EXPECT_EQ(parts.places[static_cast<size_t>(same - parts.effects.begin())], whole.places[i]);
  }
}

// Segments of the text add up to the whole, so that an interval is about the number it stands beside.
TEST(StudyQpsa, SegmentsAddUp) {
  const auto runner = QpsaRunner::open(quantized(), short_text(), RunSettings{}, silent_progress());
  ASSERT_TRUE(runner);
  Variant skip;
  skip.schedule.push_back({ScheduleEdit::Action::kSkip, 4, 4, ScheduleEdit::Part::kBlock, 1, 1, {}});
  const auto whole = (*runner)->measure(std::span(&skip, 1)), parts = (*runner)->measure(std::span(&skip, 1), 16);
  ASSERT_TRUE(whole && parts);
  EXPECT_TRUE((*whole)[0].segments.empty());
  ASSERT_EQ((*parts)[0].segments.size(), 10u);  // 159 predictions
  WindowTotals totals;
  for (const WindowSums& segment : (*parts)[0].segments) totals.add(segment);
  EXPECT_NEAR(totals.value().nll_difference / 159, (*whole)[0].nll_difference, 1e-12);
  EXPECT_NEAR((*parts)[0].nll_difference, (*whole)[0].nll_difference, 1e-12);
}

TEST(StudyQpsa, QuickDrawsMoreWhereAPlaceIsUnknownAndGivesIntervals) {
  StudyQpsaOptions options;
  options.model = quantized();
  options.text = short_text();
  options.quick = true;
  options.config.layers = {{0, 3}};
  options.config.tensors = {"attn_q", "ffn_down"};
  options.config.samples = 20;
  options.config.k = {1};
  options.config.random_draws = 5;
  const auto made = assay_engine()->study_qpsa(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->result.notes.size(), 1u);  // a third of four layers is soon not known
  EXPECT_NE(made->result.notes[0].find("qpsa_byte: 8 to "), std::string::npos) << made->result.notes[0];
  const auto statistic = [&](const std::string& name) {
    return std::find_if(made->result.statistics.begin(), made->result.statistics.end(),
                        [&](const Statistic& one) { return one.name == name; });
  };
  const auto ratio = statistic("ppl ratio of qpsa_byte over the best baseline at K = 1");
  ASSERT_NE(ratio, made->result.statistics.end());
  ASSERT_TRUE(ratio->interval);
  EXPECT_LE(ratio->interval->first, ratio->value);
  EXPECT_GE(ratio->interval->second, ratio->value);
  ASSERT_TRUE(made->result.shortcut);
  EXPECT_EQ(made->result.shortcut->weights_compared, 32u);  // four of each matrix
  EXPECT_GT(*made->result.shortcut->rho_weights, 0.9);
}

}  // namespace
}  // namespace assay
