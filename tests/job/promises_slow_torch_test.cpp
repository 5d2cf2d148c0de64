// As promises_crash_torch_test.cpp, for longer.
#include "tests/job/killed_runs.h"

namespace assay {
namespace {

using killed_runs::KilledRuns;

TEST_F(KilledRuns, P2_P3_P12_KilledAt1000RandomInstants) { kill_at_random_instants(1000); }

}  // namespace
}  // namespace assay
