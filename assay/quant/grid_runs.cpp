#include "assay/quant/grid_runs.h"

#include <algorithm>

#include "assay/quant/scale_search.h"

namespace assay::grid_runs {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

// Weights without importance are free to take any code; this share of the run's mean importance makes them take near ones.
constexpr float kLeastImportance = 1e-6f;

template <int kRun>
void load_of(const float* row, const float* importance, int count, Set& set) {
  search::Runs<kRun> runs;
  search::load_runs(row, importance, count, runs);
  lanes::Float16 mean{};
  for (const auto& w : runs.w) mean += w;
  for (int i = 0; i < kRun; ++i) {
    lanes::store(set.x + i * kLanes, runs.x[i]);
    lanes::store(set.w + i * kLanes, runs.w[i] + mean * (kLeastImportance / kRun));
  }
  set.run = kRun;
}

alignas(64) constexpr Lanes kRaised = filled(kIq1Shift), kLowered = filled(-kIq1Shift);

Octets octets_at(const Set& set, int octet, const Lanes& scale, const Lanes& shift) {
  return {set.x + octet * kOctet * kLanes, set.w + octet * kOctet * kLanes, scale.data(), shift.data()};
}

void add(const Set& set, int octet, const ChosenOctets& chosen, Choice& choice) {
  using lanes::Float16;
  std::copy_n(chosen.code, kLanes, choice.code[octet]);
  Float16 xq{}, qq{};
  for (int j = 0; j < kOctet; ++j) {
    const int at = (octet * kOctet + j) * kLanes;
    const Float16 q = lanes::load(chosen.level + j * kLanes), wq = lanes::load(set.w + at) * q;
    xq += wq * lanes::load(set.x + at);
    qq += wq * q;
  }
  lanes::store(choice.error.data(), lanes::load(choice.error.data()) + lanes::load(chosen.error));
  lanes::store(choice.sum_xq.data(), lanes::load(choice.sum_xq.data()) + xq);
  lanes::store(choice.sum_qq.data(), lanes::load(choice.sum_qq.data()) + qq);
}

void copy_lane(const ChosenOctets& from, int lane, ChosenOctets& to) {
  to.code[lane] = from.code[lane];
  to.error[lane] = from.error[lane];
  for (int j = 0; j < kOctet; ++j) to.level[j * kLanes + lane] = from.level[j * kLanes + lane];
}

}  // namespace

void load(const GridFormat& format, const float* row, const float* importance, int count, Set& set) {
  format.run == 32 ? load_of<32>(row, importance, count, set) : load_of<16>(row, importance, count, set);
}

Lanes errors_of(const GridFormat& format, Kernel kernel, const Set& set, const Lanes& scale) {
  Lanes total{}, total_lowered{}, error, lowered;
  for (int o = 0; o < set.run / kOctet; ++o) {
    kernel(octets_at(set, o, scale, kRaised), error.data());
    if (format.shifts != Shifts::kNone) kernel(octets_at(set, o, scale, kLowered), lowered.data());
    for (int k = 0; k < kLanes; ++k) {
      if (format.shifts == Shifts::kPerOctet) error[k] = std::min(error[k], lowered[k]);
      if (format.shifts == Shifts::kPerRun) total_lowered[k] += lowered[k];
      total[k] += error[k];
    }
  }
  if (format.shifts == Shifts::kPerRun)
    for (int k = 0; k < kLanes; ++k) total[k] = std::min(total[k], total_lowered[k]);
  return total;
}

void choose(const GridFormat& format, const Set& set, const Lanes& scale, bool guess_shifts, Choice& choice) {
  choice.error = choice.sum_xq = choice.sum_qq = {};
  const int octets = set.run / kOctet;
  ChosenOctets raised[32 / kOctet], lowered[32 / kOctet];
  Lanes gain[32 / kOctet] = {}, total{};  // of lowering an octet, and a run
  if (format.shifts == Shifts::kNone) guess_shifts = false;
  for (int o = 0; o < octets; ++o) {
    if (format.shifts == Shifts::kNone) {
      format.choose(octets_at(set, o, scale, kRaised), raised[o]);
      continue;
    }
    alignas(64) Lanes up, down;
    if (guess_shifts) {
      format.loose_errors(octets_at(set, o, scale, kRaised), up.data());
      format.loose_errors(octets_at(set, o, scale, kLowered), down.data());
    } else {
      format.choose(octets_at(set, o, scale, kRaised), raised[o]);
      format.choose(octets_at(set, o, scale, kLowered), lowered[o]);
      std::copy_n(raised[o].error, kLanes, up.data());
      std::copy_n(lowered[o].error, kLanes, down.data());
    }
    for (int k = 0; k < kLanes; ++k) gain[o][k] = up[k] - down[k], total[k] += gain[o][k];
  }
  for (int o = 0; o < octets; ++o) {
    const Lanes& better = format.shifts == Shifts::kPerRun ? total : gain[o];
    if (guess_shifts) {
      alignas(64) Lanes shift;
      for (int k = 0; k < kLanes; ++k) shift[k] = better[k] > 0 ? -kIq1Shift : kIq1Shift;
      format.choose(octets_at(set, o, scale, shift), raised[o]);
    }
    for (int k = 0; k < kLanes && !guess_shifts; ++k)
      if (better[k] > 0) copy_lane(lowered[o], k, raised[o]);
    add(set, o, raised[o], choice);
  }
}

#pragma GCC diagnostic pop

}  // namespace assay::grid_runs
