#include "assay/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "assay/base/progress.h"

namespace assay {
namespace {

TEST(ParallelFor, EveryIndexOnceForAnyThreads) {
  EXPECT_GE(available_threads(), 1);
  for (const int threads : {0, 1, 2, 7}) {
    for (const size_t count : {0u, 1u, 2u, 5u, 1000u}) {
      std::vector<std::atomic<int>> calls(count);
      parallel_for(count, threads, [&](size_t i) { ++calls.at(i); });
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(calls[i].load(), 1) << threads << " threads, index " << i << " of " << count;
    }
  }
}

TEST(ParallelFor, MayBeNested) {
  std::atomic<int> calls{0};
  parallel_for(4, 3, [&](size_t) { parallel_for(5, 3, [&](size_t) { ++calls; }); });
  EXPECT_EQ(calls.load(), 20);
}

TEST(Progress, TheSilentOneSaysNothingAndNeverStops) {
  Progress& progress = silent_progress();
  progress.stage("work", 10);
  progress.update(3, "note");
  progress.log("line");
  EXPECT_FALSE(progress.interrupted());
  EXPECT_EQ(&silent_progress(), &progress);
}

}  // namespace
}  // namespace assay
