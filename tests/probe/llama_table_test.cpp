#include "assay/probe/llama_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "assay/base/random.h"

namespace assay {
namespace {

PositionObservation position(double nll, double nll_base, double kl, float p, float p_base, bool flip) {
  PositionObservation seen;
  seen.nll = nll;
  seen.nll_base = nll_base;
  seen.nll_difference = nll - nll_base;
  seen.kl = kl;
  seen.p = p;
  seen.p_base = p_base;
  seen.flip = flip;
  return seen;
}

std::map<std::string, LlamaRow> rows_of(const Observation& observation) {
  std::map<std::string, LlamaRow> rows;
  for (const LlamaRow& row : llama_table(observation)) EXPECT_TRUE(rows.emplace(row.key, row).second) << row.key;
  return rows;
}

// 101 positions i = 0 .. 100: kl = i / 100; half the label's probability gained or lost in turn.
// Means by hand: mean kl 0.5, E[kl^2] = (0 + .. + 100^2) / (101 * 10^4) = 0.335, error sqrt((0.335 - 0.25) / 100).
TEST(LlamaTable, AnswersByHand) {
  std::vector<PositionObservation> list;
  for (int i = 0; i <= 100; ++i) list.push_back(position(2, 1, i / 100.0, 0.5F, i % 2 == 0 ? 0.25F : 0.75F, i < 10));
  Observation observation;
  observation.add(0, list);
  const auto rows = rows_of(observation);
  EXPECT_EQ(rows.size(), 6u + 12 + 16);
  EXPECT_NEAR(rows.at("ppl").value, std::exp(2.0), 1e-12);
  EXPECT_NEAR(rows.at("ppl_base").value, std::exp(1.0), 1e-12);
  EXPECT_NEAR(rows.at("ppl_ratio").value, std::exp(1.0), 1e-12);
  EXPECT_NEAR(rows.at("ppl_difference").value, std::exp(2.0) - std::exp(1.0), 1e-12);
  EXPECT_NEAR(rows.at("kld_mean").value, 0.5, 1e-12);
  EXPECT_NEAR(*rows.at("kld_mean").error, std::sqrt(0.085 / 100), 1e-9);
  EXPECT_EQ(rows.at("kld_max").value, 1.0);
  EXPECT_NEAR(rows.at("kld_99.9").value, 0.999, 1e-6);
  EXPECT_NEAR(rows.at("kld_99").value, 0.99, 1e-6);
  EXPECT_NEAR(rows.at("kld_50").value, 0.5, 1e-6);
  EXPECT_NEAR(rows.at("kld_0.1").value, 0.001, 1e-6);
  EXPECT_EQ(rows.at("kld_min").value, 0.0);
  EXPECT_FALSE(rows.at("kld_99").error.has_value());
  EXPECT_NEAR(rows.at("dp_mean").value, 0.25 / 101, 1e-12);  // 51 gains, 50 losses of a quarter
  EXPECT_EQ(rows.at("dp_max").value, 0.25);
  EXPECT_EQ(rows.at("dp_min").value, -0.25);
  EXPECT_NEAR(rows.at("dp_rms").value, 0.25, 1e-12);
  EXPECT_NEAR(*rows.at("dp_rms").error, 0, 1e-12);  // every square is 1/16
  const double same = 91.0 / 101;
  EXPECT_NEAR(rows.at("same_top_p").value, same, 1e-12);
  EXPECT_NEAR(*rows.at("same_top_p").error, std::sqrt(same * (1 - same) / 100), 1e-12);
}

// Two losses that move alike: nll = 2 nll_base. Then se = 2 se_base, cov = 2 se_base^2, Cor = 1, and the ratio's error is se_base.
TEST(LlamaTable, ErrorsOfTheRatioUseTheCovariance) {
  std::vector<PositionObservation> list;
  for (int i = 0; i < 200; ++i) {
    const double base = i % 2 == 0 ? 0.5 : 1.5;
    list.push_back(position(2 * base, base, 0, 0.5F, 0.5F, false));
  }
  Observation observation;
  observation.add(0, list);
  const auto rows = rows_of(observation);
  const double base_error = std::sqrt(0.25 / 199);
  EXPECT_NEAR(rows.at("cor_ln_ppl").value, 1, 1e-9);
  EXPECT_NEAR(*rows.at("ppl_base").error, std::exp(1.0) * base_error, 1e-9);
  EXPECT_NEAR(*rows.at("ppl").error, std::exp(2.0) * 2 * base_error, 1e-9);
  EXPECT_NEAR(*rows.at("ln_ppl_ratio").error, base_error, 1e-9);
  EXPECT_NEAR(*rows.at("ppl_ratio").error, std::exp(1.0) * base_error, 1e-9);
  // u_Q = 2 e^2 s, u_base = e s, covariance 2 s^2: sqrt(4 e^4 + e^2 - 4 e^3) s = (2 e^2 - e) s.
  EXPECT_NEAR(*rows.at("ppl_difference").error, (2 * std::exp(2.0) - std::exp(1.0)) * base_error, 1e-9);
}

TEST(LlamaTable, OrderOfPositionsDoesNotMatterAndFewAreSkipped) {
  CounterRandom random(3, 1);
  std::vector<PositionObservation> list;
  for (int i = 0; i < 150; ++i) {
    const double base = random.next_uniform();
    const auto p = static_cast<float>(random.next_uniform());
    list.push_back(position(base + random.next_uniform(), base, random.next_uniform(), p, 0.5F, random.next_u32() % 4 == 0));
  }
  Observation forward, backward, few;
  forward.add(0, list);
  backward.add(0, std::vector<PositionObservation>(list.rbegin(), list.rend()));
  few.add(0, std::span(list).first(99));
  EXPECT_TRUE(llama_table(few).empty());
  const auto a = llama_table(forward), b = llama_table(backward);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].value, b[i].value, 1e-12) << a[i].name;
}

}  // namespace
}  // namespace assay
