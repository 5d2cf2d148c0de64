#include "assay/score/score_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace assay {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

RankStatistic between(double low, double high) {
  const double middle = (low + high) / 2;
  return {middle, Interval{middle, low, high}, {}};
}

// Evidence for "informative"; each case of a rule changes what it is about.
ScoreEvidence good() { return {between(0.5, 0.8), between(0.4, 0.7), between(0.8, 1), between(0.2, 0.6), 24, 0.0002, 0.004, 0.02, 0.31}; }

TEST(ScoreVerdict, Informative) { EXPECT_EQ(decide(good()), ScoreVerdict::kInformative); }

TEST(ScoreVerdict, FewBlocksAreNotDecidable) {
  ScoreEvidence evidence = good();
  evidence.blocks = kFewestBlocks - 1;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNotDecidable);
}

TEST(ScoreVerdict, SizeAlone) {
  ScoreEvidence evidence = good();
  evidence.given_size = between(-0.1, 0.5);
  EXPECT_EQ(decide(evidence), ScoreVerdict::kSizeAlone);
  evidence.given_size = {};  // nothing left of it
  EXPECT_EQ(decide(evidence), ScoreVerdict::kSizeAlone);
  evidence = good();
  evidence.p_given_size_holm = 0.06;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kSizeAlone);
}

// Either interval at 0 is enough to doubt; so is Holm's p. What matters is then not ruled out either.
TEST(ScoreVerdict, DoubtIsNotNoise) {
  ScoreEvidence evidence = good();
  evidence.within_type.over_documents = Interval{0.5, -0.01, 0.7};
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNotDecidable);
  evidence = good();
  evidence.p_holm = 0.06;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNotDecidable);
}

TEST(ScoreVerdict, AbsentWithinTypes) {
  ScoreEvidence evidence = good();
  evidence.within_type = between(-0.2, 0.29);
  evidence.p = evidence.p_holm = 0.3;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kOnlyAcrossTypes);
  evidence.within_tensor = between(0, 0);
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNoise) << "the same at every type";
  evidence.within_tensor = {};
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNoise) << "one type";
  evidence.within_tensor = between(0.8, 1);
  evidence.overall = between(-0.1, 0.4);
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNoise);
  evidence.within_type = between(-0.2, 0.31);
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNotDecidable) << "0.31 could be detected, not 0.3";
  evidence.smallest_detectable = 0.29;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNoise);
  evidence.p = 0.19;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNotDecidable);
}

TEST(ScoreVerdict, TheOppositeIsAbsent) {
  ScoreEvidence evidence = good();
  evidence.overall = evidence.within_type = between(-0.8, -0.4);
  evidence.p = evidence.p_holm = 1;
  EXPECT_EQ(decide(evidence), ScoreVerdict::kNoise);
}

TEST(ScoreVerdict, HasWords) {
  std::set<std::string_view> names, sentences;
  for (const auto verdict : {ScoreVerdict::kInformative, ScoreVerdict::kOnlyAcrossTypes, ScoreVerdict::kSizeAlone, ScoreVerdict::kNoise,
                             ScoreVerdict::kNotDecidable}) {
    names.insert(name_of(verdict));
    sentences.insert(sentence_of(verdict));
  }
  EXPECT_EQ(names.size(), 5u);
  EXPECT_EQ(sentences.size(), 5u);
}

TEST(ScoreVerdict, IntervalsThatAreNotThereShowNothing) {
  EXPECT_FALSE(RankStatistic{}.is_above(-1));
  EXPECT_FALSE((RankStatistic{0.9, {}, {}}.is_above(0)));
  EXPECT_TRUE((RankStatistic{0.9, {}, Interval{0.9, 0.1, 1}}.is_above(0)));
}

// 2.4865 / sqrt(24 - 1) = 0.518; 70 is the first n that finds 0.3: 2.4865 / sqrt(69) = 0.2993.
TEST(SmallestDetectableRho, ByHand) {
  EXPECT_NEAR(null_deviation_of(24), 0.2085, 5e-5);
  EXPECT_NEAR(smallest_detectable_rho(null_deviation_of(24)), 0.5185, 5e-5);
  EXPECT_LE(smallest_detectable_rho(null_deviation_of(70)), 0.3);
  EXPECT_GT(smallest_detectable_rho(null_deviation_of(69)), 0.3);
  EXPECT_EQ(smallest_detectable_rho(null_deviation_of(1)), 1);
  EXPECT_EQ(smallest_detectable_rho(null_deviation_of(5)), 1);
}

// Sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, made monotone .02 .03 .06 .06.
TEST(Holm, ByHand) {
  const std::vector<double> p = {0.01, 0.04, 0.03, 0.005};
  EXPECT_THAT(holm(p), ElementsAre(DoubleNear(0.03, 1e-15), DoubleNear(0.06, 1e-15), DoubleNear(0.06, 1e-15), DoubleNear(0.02, 1e-15)));
  const std::vector<double> large = {0.6, 0.7};
  EXPECT_THAT(holm(large), ElementsAre(1.0, 1.0));
  EXPECT_TRUE(holm({}).empty());
}

}  // namespace
}  // namespace assay
