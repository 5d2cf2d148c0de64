// Models made of numbers, for tests of the tournament: tensors of seven roles, block after block, whose damage a test makes up.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/random.h"
#include "assay/score/tournament.h"

namespace assay::made {

inline const std::vector<std::string> kTypes = {"Q2_K", "Q4_K", "Q8_0"};
inline const std::vector<std::string> kRoles = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

// Tensors of seven roles, block after block, at three types; `damage(tensor, type)` is what they suffer. Size goes by role.
template <class Damage>
TournamentTruth model_of(size_t tensors, const Damage& damage, size_t types = 3) {
  TournamentTruth truth;
  for (size_t t = 0; t < tensors; ++t)
    for (size_t k = 0; k < types; ++k)
      truth.items.push_back({"blk." + std::to_string(t), kTypes[k], kRoles[t % kRoles.size()], static_cast<int>(t / kRoles.size()),
                             1000 + 100 * (t % 7), damage(t, k)});
  return truth;
}

template <class Value>
TournamentScore score_of(const TournamentTruth& truth, const Value& value, std::string name = "score") {
  TournamentScore score{std::move(name), {}, false};
  for (size_t i = 0; i < truth.items.size(); ++i) score.values.push_back(value(i));
  return score;
}

inline ScoreJudgement judged(const TournamentTruth& truth, const TournamentScore& score,
                             const TournamentOptions& options = {400, 999, 5, 0.1}) {
  auto judgements = judge_scores(truth, std::vector{score}, options);
  EXPECT_TRUE(judgements) << judgements.error().message;
  return judgements->at(0);
}

inline double noise(uint64_t seed, uint64_t stream) { return CounterRandom(seed, stream, 77).next_normal(); }

}  // namespace assay::made
