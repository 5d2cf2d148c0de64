#include "assay/score/tournament.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/score/made_models.h"

namespace assay {
namespace {

using namespace made;
using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Two types of four tensors. Q2_K: truth 1 2 3 4, score 1 2 4 3 -> rho 0.8, tau 2/3. Q4_K: truth and score reversed -> -1, -1.
// Roles: q has tensors 0, 1, v has 2, 3: within (role, type) rho is 1, -1 (Q2_K) and -1, -1 (Q4_K).
TEST(Tournament, ByHand) {
  TournamentTruth truth;
  const double damages[] = {1, 2, 3, 4};
  for (size_t t = 0; t < 4; ++t) truth.items.push_back({"t" + std::to_string(t), "Q2_K", t < 2 ? "q" : "v", -1, 10, damages[t]});
  for (size_t t = 0; t < 4; ++t) truth.items.push_back({"t" + std::to_string(t), "Q4_K", t < 2 ? "q" : "v", -1, 10, damages[t] / 10});
  TournamentScore score{"s", {1, 2, 4, 3, 0.4, 0.3, 0.2, 0.1}, true};
  const ScoreJudgement judgement = judged(truth, score);
  EXPECT_EQ(judgement.items, 8u);
  EXPECT_EQ(judgement.tensors, 4u);
  EXPECT_EQ(judgement.types, 2u);
  EXPECT_NEAR(*judgement.within_type.spearman.value, (0.8 - 1) / 2, 1e-12);
  EXPECT_NEAR(*judgement.within_type.kendall, (2.0 / 3 - 1) / 2, 1e-12);
  EXPECT_NEAR(*judgement.within_type.top_overlap, 0, 1e-12);
  EXPECT_NEAR(*judgement.within_role.spearman.value, -0.5, 1e-12);
  // Overall: d^2 = 1 + 1 at the top, 9 + 1 + 1 + 9 at the bottom: 1 - 6 * 22 / (8 * 63).
  EXPECT_NEAR(*judgement.overall.spearman.value, 1 - 6.0 * 22 / 504, 1e-12);
  EXPECT_NEAR(*judgement.overall.kendall, 14.0 / 28, 1e-12);  // 7 of 28 pairs are discordant
  // Each tensor's two types: score and truth both fall.
  EXPECT_NEAR(*judgement.within_tensor.spearman.value, 1, 1e-12);
  // All have one size: nothing to take out.
  EXPECT_NEAR(*judgement.given_size.value, *judgement.within_type.spearman.value, 1e-12);
  // score . truth = 1 + 4 + 12 + 12 + .01 (4 + 6 + 6 + 4) = 29.2; score^2 = 30 + .3.
  EXPECT_NEAR(*judgement.calibration.slope, 29.2 / 30.3, 1e-12);
  EXPECT_NEAR(*judgement.calibration.ratio, 1, 1e-12);
  EXPECT_EQ(judgement.verdict, ScoreVerdict::kNotDecidable) << "four tensors";
}

// truth = 3 score^2: slope 2 in log-log, R^2 1; where either is not positive the point is left out.
TEST(Tournament, CalibrationInLogs) {
  TournamentTruth truth = model_of(12, [](size_t t, size_t) { return 3.0 * static_cast<double>(t * t); }, 1);
  const auto judgement = judged(truth, score_of(truth, [](size_t i) { return static_cast<double>(i); }));
  EXPECT_EQ(judgement.calibration.positive, 11u);
  EXPECT_NEAR(*judgement.calibration.log_slope, 2, 1e-12);
  EXPECT_NEAR(*judgement.calibration.log_r_squared, 1, 1e-12);
  EXPECT_FALSE(judgement.calibration.slope) << "other units";
  EXPECT_FALSE(judgement.calibration.ratio);
}

// Truth 1 2 3 4, score 2 1 4 3 (rho 0.6), size 1 3 2 4 (0.8 with the truth, 0 with the score).
TEST(Tournament, PartialGivenSize) {
  TournamentTruth truth;
  const uint64_t sizes[] = {10, 30, 20, 40};
  for (size_t t = 0; t < 4; ++t) truth.items.push_back({"t" + std::to_string(t), "", "q", -1, sizes[t], static_cast<double>(t)});
  const auto judgement = judged(truth, {"s", {2, 1, 4, 3}, false});
  EXPECT_NEAR(*judgement.given_size.value, (0.6 - 0.8 * 0) / std::sqrt(1 - 0.64), 1e-12);
}

double damage(size_t tensor, size_t type) {
  return std::exp(noise(1, tensor) + 0.3 * noise(2, 10 * tensor + type) - 2.0 * static_cast<double>(type));
}

TEST(Tournament, TheTruthItselfIsInformative) {
  const TournamentTruth truth = model_of(70, damage);
  auto score = score_of(truth, [&](size_t i) { return truth.items[i].truth; });
  score.same_unit = true;
  const auto judgement = judged(truth, score);
  for (const RankAgreement* look : {&judgement.overall, &judgement.within_type, &judgement.within_role, &judgement.within_tensor}) {
    EXPECT_NEAR(*look->spearman.value, 1, 1e-12);
    EXPECT_NEAR(look->spearman.over_blocks->low, 1, 1e-12);
    EXPECT_NEAR(*look->kendall, 1, 1e-12);
    EXPECT_NEAR(*look->top_overlap, 1, 1e-12);
  }
  EXPECT_NEAR(*judgement.given_size.value, 1, 1e-12);
  EXPECT_NEAR(*judgement.calibration.slope, 1, 1e-12);
  EXPECT_NEAR(*judgement.calibration.ratio, 1, 1e-12);
  EXPECT_EQ(judgement.p, 1.0 / 1000);
  EXPECT_EQ(judgement.verdict, ScoreVerdict::kInformative);
}

TEST(Tournament, OnlyOrderMatters) {
  const TournamentTruth truth = model_of(70, damage);
  const auto plain = score_of(truth, [&](size_t i) { return std::log(truth.items[i].truth) + noise(3, i); });
  auto stretched = plain;
  for (double& value : stretched.values) value = std::exp(3 * value) - 7;
  const auto a = judged(truth, plain), b = judged(truth, stretched);
  EXPECT_EQ(a.within_type.spearman.value, b.within_type.spearman.value);
  EXPECT_EQ(a.within_type.spearman.over_blocks->low, b.within_type.spearman.over_blocks->low);
  EXPECT_EQ(a.within_role.top_overlap, b.within_role.top_overlap);
  EXPECT_EQ(a.given_size.over_blocks->high, b.given_size.over_blocks->high);
  EXPECT_EQ(a.overall.kendall, b.overall.kendall);
  EXPECT_EQ(a.p, b.p);
}

TEST(Tournament, SizeIsSizeAlone) {
  const auto sized = [](size_t t, size_t k) {
    return (1000.0 + 100 * static_cast<double>(t % 7)) * std::exp(0.1 * noise(4, 10 * t + k)) * std::pow(0.1, static_cast<double>(k));
  };
  const TournamentTruth truth = model_of(70, sized);
  const auto size = score_of(truth, [&](size_t i) { return static_cast<double>(truth.items[i].elements); }, "size");
  const auto like_size = score_of(truth, [&](size_t i) { return static_cast<double>(truth.items[i].elements) + 60 * noise(5, i); }, "near");
  const auto judgements = judge_scores(truth, std::vector{size, like_size}, {400, 999, 5, 0.1});
  ASSERT_TRUE(judgements);
  for (const ScoreJudgement& judgement : *judgements) {
    EXPECT_GT(judgement.within_type.spearman.over_blocks->low, 0.5) << judgement.name;
    EXPECT_EQ(judgement.verdict, ScoreVerdict::kSizeAlone) << judgement.name;
  }
  EXPECT_FALSE(judgements->at(0).given_size.value) << "nothing is left of size";
}

// The bits of a type, and nothing else: across types, and 0 within them.
TEST(Tournament, TypeAloneIsAcrossTypes) {
  const TournamentTruth truth = model_of(70, damage);
  const auto judgement = judged(truth, score_of(truth, [](size_t i) { return -static_cast<double>(i % 3); }));
  EXPECT_GT(*judgement.overall.spearman.value, 0.6);
  EXPECT_EQ(*judgement.within_type.spearman.value, 0);
  EXPECT_NEAR(*judgement.within_type.top_overlap, 0.1, 1e-12);
  EXPECT_EQ(judgement.p, 1);
  EXPECT_EQ(judgement.verdict, ScoreVerdict::kOnlyAcrossTypes);
}

TEST(Tournament, TheOppositeIsNoise) {
  const TournamentTruth truth = model_of(70, damage);
  const auto judgement = judged(truth, score_of(truth, [&](size_t i) { return -truth.items[i].truth; }));
  EXPECT_NEAR(*judgement.within_type.spearman.value, -1, 1e-12);
  EXPECT_EQ(judgement.verdict, ScoreVerdict::kNoise);
}

// Score and truth share a part per tensor: what can be detected is then as for independent tensors. Where the score is one number per layer
// it takes far more.
TEST(Tournament, DetectsLessInLayersThanInTensors) {
  const TournamentTruth truth = model_of(140, [](size_t t, size_t) { return noise(1, t) + noise(1, 500 + t / kRoles.size()); }, 1);
  const auto by_tensor = judged(truth, score_of(truth, [](size_t i) { return noise(2, i); }));
  const auto by_layer = judged(truth, score_of(truth, [](size_t i) { return noise(3, i / kRoles.size()); }));
  EXPECT_NEAR(by_tensor.smallest_detectable, smallest_detectable_rho(null_deviation_of(140)), 0.06);
  EXPECT_GT(by_layer.smallest_detectable, 1.5 * by_tensor.smallest_detectable);
}

// Windows drawn with their documents, all items together: equal windows of all items leave no doubt; one document is one block of windows
// after another, and a single window nothing to draw from.
TEST(Tournament, DocumentsThatAgreeLeaveNoDoubt) {
  TournamentTruth truth = model_of(20, damage, 1);
  const auto windows_of = [&](double kl, uint32_t count) {
    std::vector<WindowSums> windows(count);
    for (uint32_t w = 0; w < count; ++w) windows[w].document = w, windows[w].count = 10, windows[w].kl = kl * (1 + w);
    return windows;
  };
  const auto score = score_of(truth, [&](size_t i) { return std::log(truth.items[i].truth) + noise(3, i); });
  for (const TournamentItem& item : truth.items) truth.windows.push_back(windows_of(item.truth, 12));
  const auto& agreed = judged(truth, score).within_type.spearman;
  ASSERT_TRUE(agreed.over_documents);
  EXPECT_EQ(agreed.over_documents->low, *agreed.value);
  EXPECT_EQ(agreed.over_documents->high, *agreed.value);
  for (auto& windows : truth.windows) windows.resize(1);
  EXPECT_FALSE(judged(truth, score).within_type.spearman.over_documents);
}

TEST(Tournament, AScoreIsJudgedOnWhatItSpeaksOf) {
  const TournamentTruth truth = model_of(70, damage);
  const auto whole = score_of(truth, [&](size_t i) { return std::log(truth.items[i].truth) + noise(3, i); });
  auto part = whole;
  TournamentTruth part_truth;
  TournamentScore part_alone{"score", {}, false};
  for (size_t i = 0; i < truth.items.size(); ++i) {
    if (truth.items[i].role == "attn_q") {
      part.values[i] = kNan;
    } else {
      part_truth.items.push_back(truth.items[i]);
      part_alone.values.push_back(part.values[i]);
    }
  }
  const TournamentScore silent = score_of(truth, [](size_t) { return kNan; });
  const auto judgements = judge_scores(truth, std::vector{whole, part, silent}, {400, 999, 5, 0.1});
  ASSERT_TRUE(judgements);
  const auto alone = judged(part_truth, part_alone);
  EXPECT_EQ(judgements->at(0).items, truth.items.size());
  EXPECT_EQ(judgements->at(1).items, part_truth.items.size());
  EXPECT_EQ(judgements->at(1).within_type.spearman.value, alone.within_type.spearman.value);
  EXPECT_EQ(judgements->at(1).within_type.spearman.over_blocks->low, alone.within_type.spearman.over_blocks->low);
  EXPECT_EQ(judgements->at(1).p, alone.p);
  EXPECT_EQ(judgements->at(2).items, 0u);
  EXPECT_EQ(judgements->at(2).verdict, ScoreVerdict::kNotDecidable);
  EXPECT_EQ(judgements->at(2).p_holm, 1);
}

TEST(Tournament, NamesWhatIsWrong) {
  const TournamentTruth good = model_of(10, damage, 1);
  const auto values = score_of(good, [](size_t i) { return static_cast<double>(i); });
  ASSERT_TRUE(judge_scores(good, std::vector{values}));
  struct Case {
    const char* what;
    ErrorCode code;
    const char* message;
    std::function<void(TournamentTruth&, TournamentScore&, TournamentOptions&)> spoil;
  };
  const Case cases[] = {
      {"no items", ErrorCode::kUsage, "no items", [](auto& t, auto&, auto&) { t.items.clear(); }},
      {"truth NaN", ErrorCode::kBadInput, "'blk.3'", [](auto& t, auto&, auto&) { t.items[3].truth = kNan; }},
      {"item twice", ErrorCode::kBadInput, "occurs twice", [](auto& t, auto&, auto&) { t.items[4].name = "blk.3"; }},
      {"short score", ErrorCode::kUsage, "9 values; needed 10", [](auto&, auto& s, auto&) { s.values.pop_back(); }},
      {"infinite score", ErrorCode::kBadInput, "'blk.2' is infinite", [](auto&, auto& s, auto&) { s.values[2] = INFINITY; }},
      {"no resamples", ErrorCode::kUsage, "at least 1", [](auto&, auto&, auto& o) { o.resamples = 0; }},
      {"no permutations", ErrorCode::kUsage, "at least 1", [](auto&, auto&, auto& o) { o.permutations = 0; }},
      {"top share", ErrorCode::kUsage, "top share", [](auto&, auto&, auto& o) { o.top_share = 0; }},
      {"windows of some", ErrorCode::kUsage, "windows of 9 items", [](auto& t, auto&, auto&) { t.windows.resize(9); }},
      {"other windows", ErrorCode::kMismatch, "'blk.7' was measured on other windows",
       [](auto& t, auto&, auto&) {
         t.windows.assign(10, std::vector<WindowSums>(3));
         t.windows[7].resize(2);
       }},
      {"other documents", ErrorCode::kMismatch, "'blk.6'",
       [](auto& t, auto&, auto&) {
         t.windows.assign(10, std::vector<WindowSums>(3));
         t.windows[6][1].document = 5;
       }},
      {"window NaN", ErrorCode::kBadInput, "a window of 'blk.8'",
       [](auto& t, auto&, auto&) {
         t.windows.assign(10, std::vector<WindowSums>(3));
         t.windows[8][1].kl = kNan;
       }},
  };
  for (const Case& c : cases) {
    TournamentTruth truth = good;
    TournamentScore score = values;
    TournamentOptions options;
    c.spoil(truth, score, options);
    const auto result = judge_scores(truth, std::vector{score}, options);
    ASSERT_FALSE(result) << c.what;
    EXPECT_EQ(result.error().code, c.code) << c.what;
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace assay
