// The plans' objective is joint_damage() of the curvature's cells.
#include <gtest/gtest.h>

#include "assay/plan/interaction_objective.h"
#include "assay/score/curvature.h"
#include "tests/plan/interaction_problem.h"

namespace assay {
namespace {

constexpr double kRounding = 1e-12;  // of sums of a few hundred doubles, in another order

TEST(InteractionObjective, IsTheJointDamageOfCurvature) {
  const auto problem = interaction_problem::make({.groups = 12, .items = 3, .terms = 129, .common = 0.3}, 2);
  CounterRandom random(1, 1);
  for (int n = 0; n < 20; ++n) {
    std::vector<size_t> choice;
    std::vector<CurvatureCell> cells(12);
    std::vector<const CurvatureCell*> chosen;
    for (size_t g = 0; g < 12; ++g) {
      choice.push_back(random.next_below(3));
      cells[g].damage = problem.alone[g][choice[g]];
      cells[g].terms = problem.terms[g][choice[g]];
      chosen.push_back(&cells[g]);
    }
    const double joint = joint_damage(chosen);
    EXPECT_NEAR(problem.objective.damage(choice), joint, kRounding * joint);
  }
}

}  // namespace
}  // namespace assay
