// The matrices of the demo model's blocks at one type, with codes chosen under second moments of one text, and their damage on others:
// what codes_bench and codes_gain share. Any error ends the program.
#pragma once

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assay/codes/encode_codes.h"
#include "assay/job/inputs.h"
#include "assay/probe/observation.h"
#include "assay/probe/statistics.h"

namespace assay::bench {

template <class R>
auto value(R result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (requires { *result; }) return std::move(*result);
}

// Seconds that this thread has worked.
inline double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double least_seconds(int repeats, const Work& work) {
  double least = INFINITY;
  for (int i = 0; i < repeats; ++i) {
    const double begin = thread_seconds();
    work();
    least = std::min(least, thread_seconds() - begin);
  }
  return least;
}

std::vector<GgmlType> types_of(const std::vector<std::string>& names);

// Second moments of a text's first windows, by the tensor that reads them.
struct Calibration {
  std::map<std::string, std::shared_ptr<const SecondMoment>> moments;
  std::map<std::string, double> damping;  // by role of the input; empty: one was given
  size_t windows = 0;
};

// One encoded matrix.
struct Encoded {
  at::Tensor change;  // decoded minus the weight
  CodesReport report;
  double seconds = 0, plain_seconds = 0;  // of one thread; the latter, the plain encoder's, with kNearest
};

using Changes = std::map<std::string, at::Tensor>;  // by tensor

class DemoModel {
 public:
  DemoModel();
  const OpenModel& open() const { return model_; }
  // The first `chunks` windows of 512 tokens; 0: all.
  ProbeSet windows(const std::string& text, uint64_t chunks) const;
  // damping 0: what holds best on tokens held back, as `imatrix --full` chooses it.
  Calibration calibrate(const std::string& text, uint64_t chunks, double damping) const;
  // False where the type's blocks do not fit the model's rows.
  bool takes(GgmlType type) const;
  // The least time of `repeats` counts.
  Encoded encode(const std::string& tensor, GgmlType type, const SecondMoment& moment, Codes codes, int repeats = 1) const;
  // The model with each of these changes against the model without, window by window.
  std::vector<Observation> measure(const std::vector<Changes>& variants, const ProbeSet& set) const;

 private:
  OpenModel model_;
};

// By how much a's KL is above b's, as a share of b's; paired.
inline Interval relative_kl(const Observation& a, const Observation& b) {
  return bootstrap_pair(a.windows(), b.windows(), [](const WindowSums& x, const WindowSums& y) { return x.kl / y.kl - 1; });
}

}  // namespace assay::bench
