// How often the tournament's statements err, counted on made models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "assay/score/agreement.h"
#include "assay/score/tournament.h"
#include "tests/score/made_models.h"

namespace assay {
namespace {

using namespace made;

// Three standard errors of rates of 5 % (or 95 %) and of 50 % in as many trials.
constexpr int kTrials = 400;
constexpr double kRateError = 0.033, kHalfError = 0.075;

// Damage goes by role and layer, neighbouring layers alike, and a tensor's damages at all types go together, as in life; the score is drawn
// by lot per tensor, per layer, per role, or per layer with neighbours alike. The tests must still err in 5 % of cases, and no verdict but
// noise and not decidable may be more common than that.
TEST(Tournament, ChanceErrsAtItsRate) {
  const auto smooth = [](uint64_t seed, uint64_t what, size_t layer) {
    return (noise(seed, what + layer) + noise(seed, what + layer + 1) + noise(seed, what + layer + 2)) / std::sqrt(3.0);
  };
  const auto drawn = [&](const std::string& kind, uint64_t seed, size_t t) {
    const size_t layer = t / kRoles.size();
    if (kind == "smooth") return smooth(seed, 5000, layer);
    return noise(seed, 5000 + (kind == "tensor" ? t : kind == "layer" ? layer : t % kRoles.size()));
  };
  for (const std::string kind : {"tensor", "layer", "role", "smooth"}) {
    int significant = 0, given_size = 0, below_half = 0, wrong = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto seed = static_cast<uint64_t>(1000 + trial);
      const auto suffers = [&](size_t t, size_t k) {
        return std::exp(noise(seed, t) + smooth(seed, 2000, t / kRoles.size()) + noise(seed, 3000 + t % kRoles.size()) +
                        0.1 * noise(seed, 10000 + 10 * t + k));
      };
      const TournamentTruth truth = model_of(24 * kRoles.size(), suffers);
      const auto score = score_of(truth, [&](size_t i) { return drawn(kind, seed, i / 3); });
      const auto judgement = judged(truth, score, {100, 199, seed, 0.1});
      significant += judgement.p <= 0.05;
      given_size += judgement.p_given_size <= 0.05;
      below_half += judgement.p <= 0.5;
      wrong += judgement.verdict != ScoreVerdict::kNoise && judgement.verdict != ScoreVerdict::kNotDecidable;
    }
    EXPECT_NEAR(significant / static_cast<double>(kTrials), 0.05, kRateError) << kind;
    EXPECT_NEAR(given_size / static_cast<double>(kTrials), 0.05, kRateError) << kind;
    EXPECT_NEAR(below_half / static_cast<double>(kTrials), 0.5, kHalfError) << kind;
    EXPECT_LE(wrong / static_cast<double>(kTrials), 0.05 + kRateError) << kind;
  }
}

// Spearman's rho of a bivariate normal population with correlation r.
double population_rho(double r) { return 6 / std::numbers::pi * std::asin(r / 2); }

struct Coverage {
  int trials = 0, inside = 0, too_high = 0;
  void add(const Interval& interval, double true_value) {
    ++trials;
    too_high += interval.low > true_value;
    inside += interval.low <= true_value && true_value <= interval.high;
  }
  double rate() const { return inside / static_cast<double>(trials); }
};

// Models drawn from populations whose rank correlations are known. Half of the variance of size, score and truth alike is a layer's. Size,
// score and truth share a part, so what is left given size is known too, from the three correlations.
TEST(Tournament, IntervalsOverBlocksCover) {
  for (const size_t layers : {size_t{12}, size_t{30}})
    for (const double r : {0.0, 0.6, 0.9}) {
      const double shared = 0.6, apart = 1 - shared * shared;  // correlation of each with size; of score and truth: r
      const double own = (r - shared * shared) / apart;        // of what each has beside size
      Coverage plain, given_size;
      for (int trial = 0; trial < kTrials; ++trial) {
        const auto seed = static_cast<uint64_t>(trial) + 9000;
        const auto draw = [&](uint64_t what, size_t t) {
          return std::sqrt(0.5) * (noise(seed, 10000 * what + t) + noise(seed, 10000 * what + 5000 + t / kRoles.size()));
        };
        const auto beside = [&](size_t t) { return shared * draw(0, t) + std::sqrt(apart) * draw(1, t); };
        TournamentTruth truth = model_of(layers * kRoles.size(), [&](size_t t, size_t) { return beside(t); }, 1);
        for (size_t t = 0; t < truth.items.size(); ++t) truth.items[t].elements = static_cast<uint64_t>(1e6 * std::exp(draw(0, t)));
        const auto score = score_of(truth, [&](size_t t) {
          return shared * draw(0, t) + std::sqrt(apart) * (own * draw(1, t) + std::sqrt(1 - own * own) * draw(2, t));
        });
        const auto judgement = judged(truth, score, {400, 1, seed, 0.1});
        const double both = population_rho(r), size = population_rho(shared);
        plain.add(*judgement.within_type.spearman.over_blocks, both);
        given_size.add(*judgement.given_size.over_blocks, (both - size * size) / (1 - size * size));
      }
      // Nominal 95 %; resampled blocks are slightly too alike when they are few.
      EXPECT_NEAR(plain.rate(), 0.935, kRateError) << layers << " layers, r = " << r;
      EXPECT_NEAR(given_size.rate(), 0.935, kRateError) << layers << " layers, r = " << r;
    }
}

// Text is drawn: 16 documents of 4 windows whose difficulty they share. What much text would say is the Spearman with the noiseless truth.
// Intervals cover it where the noise of an item is small beside what tells items apart (1 in log damage); beyond that they lie too low, as
// the header says, and never too high.
TEST(Tournament, IntervalsOverDocumentsCoverOrLieLow) {
  constexpr uint32_t kWindows = 64, kEach = 4;
  for (const double spread : {0.3, 0.6}) {
    Coverage coverage;
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto seed = static_cast<uint64_t>(trial) + 400;
      TournamentTruth truth = model_of(40, [&](size_t t, size_t) { return std::exp(noise(7, t)); }, 1);
      const auto score = score_of(truth, [&](size_t i) { return noise(7, i) + 0.5 * noise(8, i); });
      const double much_text = *spearman(score.values, score_of(truth, [&](size_t i) { return truth.items[i].truth; }).values);
      for (size_t i = 0; i < truth.items.size(); ++i) {
        std::vector<WindowSums> windows(kWindows);
        double sum = 0;
        for (uint32_t w = 0; w < kWindows; ++w) {
          const uint32_t document = w / kEach;
          windows[w].document = document;
          windows[w].count = 100;
          const double difficulty = noise(seed, 1000000000 + document);
          const double own = noise(seed, 100000 * i + document) + 0.5 * noise(seed, 100000 * i + 1000 + w);
          windows[w].kl = 100 * truth.items[i].truth * std::exp(spread * (difficulty + own));
          sum += windows[w].kl;
        }
        truth.items[i].truth = sum / (100 * kWindows);
        truth.windows.push_back(std::move(windows));
      }
      coverage.add(*judged(truth, score, {400, 1, seed, 0.1}).within_type.spearman.over_documents, much_text);
    }
    if (spread < 0.5) {
      EXPECT_NEAR(coverage.rate(), 0.95, kRateError);
    }
    EXPECT_LE(coverage.too_high / static_cast<double>(coverage.trials), 0.025 + kRateError);
  }
}

}  // namespace
}  // namespace assay
