#include "assay/quant/grid_scales.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "assay/quant/grid_runs.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

// Sixteen runs are searched side by side, one per lane: a super-block of runs of 16 weights, or two of runs of 32.
//   1. Every run's own scale: a scan, and the parabola through the best of it and its neighbours.
//   2. The super-block's d: with its codes fixed a run's error is a parabola of its scale, so many d are compared at little cost.
//   3. Levels: of the two next to a run's scale the one with the lesser error; then the best codes.
//   4. d and the runs' own scales are fitted to the codes by least squares, and step 3 repeated while the error falls.
// The scan goes by `loose_errors`; what follows in steps 1 and 3 by `errors`, where the format has them; what is kept by the errors of
// codes.
namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using grid_runs::Choice;
using grid_runs::errors_of;
using grid_runs::filled;
using grid_runs::Kernel;
using grid_runs::Lanes;
using grid_runs::Set;

// Scan of scales, in units of the scale whose levels' mean square is that of the run; then of scales around the best.
constexpr int kScanSteps = 11;
constexpr float kScanFirst = 0.6f, kScanFactor = 1.1f, kNearFactor = 1.08f;
constexpr int kMostNear = 9;
constexpr int kUnitSteps = 24;  // values of d that are compared
constexpr float kUnitFirst = 0.80f, kUnitStep = 0.02f;
Kernel of_levels(const GridFormat& format) { return format.errors != nullptr ? format.errors : format.loose_errors; }

struct Fits {
  Lanes scale{}, curvature{};  // a run's error grows by about curvature * (scale - fit)^2
};

// The factor of the middle scale at the vertex of the parabola through three errors at scales apart by `factor`; the middle error is the
// least.
float vertex(float before, float middle, float after, float factor) {
  const float bend = before - 2 * middle + after;
  const float steps = bend > 0 ? 0.5f * (before - after) / bend : 0;
  return 1 + (factor - 1) * steps;  // |steps| <= 1/2
}

// Step 1.
Fits fit_runs(const GridFormat& format, const Set& set) {
  Lanes power{}, weight{}, extreme{}, typical{}, error[kScanSteps];
  for (int i = 0; i < set.run; ++i)
    for (int k = 0; k < kLanes; ++k) {
      const float x = set.x[i * kLanes + k], w = set.w[i * kLanes + k];
      power[k] += w * x * x;
      weight[k] += w;
      extreme[k] = std::max(extreme[k], std::fabs(x));
    }
  for (int k = 0; k < kLanes; ++k) typical[k] = extreme[k] > search::kSmallestRange ? std::sqrt(power[k] / weight[k]) / format.mean : 0;
  Lanes factor = filled(kScanFirst), scale;
  for (int step = 0; step < kScanSteps; ++step) {
    for (int k = 0; k < kLanes; ++k) scale[k] = typical[k] * factor[k], factor[k] *= kScanFactor;
    error[step] = errors_of(format, format.loose_errors, set, scale);
  }
  Fits fits;
  Lanes least{};
  for (int k = 0; k < kLanes; ++k) {
    int best = 0;
    float at = kScanFirst, best_at = at;
    for (int step = 0; step < kScanSteps; ++step, at *= kScanFactor)
      if (error[step][k] < error[best][k]) best = step, best_at = at;
    least[k] = error[best][k];
    const bool inside = best > 0 && best + 1 < kScanSteps;
    fits.scale[k] = typical[k] * best_at * (inside ? vertex(error[best - 1][k], error[best][k], error[best + 1][k], kScanFactor) : 1);
  }
  // The largest weight on either end of the levels, where the scan does not reach that far.
  for (const float level : {format.most, format.least}) {
    for (int k = 0; k < kLanes; ++k) scale[k] = typical[k] > 0 ? extreme[k] / level : 0;
    const Lanes other = errors_of(format, format.loose_errors, set, scale);
    for (int k = 0; k < kLanes; ++k)
      if (scale[k] > typical[k] * factor[k] / kScanFactor && other[k] < least[k]) least[k] = other[k], fits.scale[k] = scale[k];
  }
  if (format.errors != nullptr) {
    Lanes near[kMostNear];
    const int steps = format.near_steps;
    float from_middle[kMostNear];
    from_middle[steps / 2] = 1;
    for (int step = 1; step <= steps / 2; ++step) {
      from_middle[steps / 2 + step] = from_middle[steps / 2 + step - 1] * kNearFactor;
      from_middle[steps / 2 - step] = 1 / from_middle[steps / 2 + step];
    }
    for (int step = 0; step < steps; ++step) {
      for (int k = 0; k < kLanes; ++k) scale[k] = fits.scale[k] * from_middle[step];
      near[step] = errors_of(format, format.errors, set, scale);
    }
    for (int k = 0; k < kLanes; ++k) {
      int best = steps / 2;
      for (int step = 0; step < steps; ++step)
        if (near[step][k] < near[best][k]) best = step;
      fits.scale[k] *= from_middle[best];
      if (best > 0 && best + 1 < steps) fits.scale[k] *= vertex(near[best - 1][k], near[best][k], near[best + 1][k], kNearFactor);
    }
  }
  for (int k = 0; k < kLanes; ++k) fits.curvature[k] = fits.scale[k] > 0 ? power[k] / (fits.scale[k] * fits.scale[k]) : 0;
  return fits;
}

// d and levels of the runs first .. first + runs - 1.
struct Super {
  float d = 0;
  float level[kLanes] = {};  // whole numbers
};

// Step 2: d of each super-block for its runs' own scales.
void set_units(const GridFormat& format, const Fits& fits, int runs, std::span<Super> supers) {
  using lanes::Float16;
  const Float16 scale = lanes::load(fits.scale.data()), curvature = lanes::load(fits.curvature.data());
  const float top = static_cast<float>(format.top);
  float plain[2], least[2] = {INFINITY, INFINITY};
  for (size_t s = 0; s < supers.size(); ++s) {
    const float* mine = fits.scale.data() + static_cast<int>(s) * runs;
    plain[s] = *std::max_element(mine, mine + runs) / (2 * top + 1) / format.unit;
    supers[s].d = search::stored_unit(plain[s]);
  }
  for (int step = 0; step < kUnitSteps; ++step) {
    float d[2];
    Lanes unit, error;
    for (size_t s = 0; s < supers.size(); ++s) {
      d[s] = search::as_half(plain[s] * (kUnitFirst + kUnitStep * static_cast<float>(step)));
      std::fill_n(unit.data() + static_cast<int>(s) * runs, runs, d[s] * format.unit);
    }
    const Float16 units = lanes::load(unit.data());
    const Float16 level = lanes::round(lanes::clamp(0.5f * (scale * search::inverse_of(units) - 1.0f), 0, top));
    const Float16 off = scale - units * (2.0f * level + 1.0f);
    lanes::store(error.data(), curvature * off * off);
    for (size_t s = 0; s < supers.size(); ++s) {
      float total = 0;
      for (int k = 0; k < runs; ++k) total += error[static_cast<int>(s) * runs + k];
      if (d[s] > 0 && total < least[s]) least[s] = total, supers[s].d = d[s];
    }
  }
}

class BlockFit {
  using Totals = std::array<float, 2>;  // errors of the super-blocks

 public:
  BlockFit(const GridFormat& format, const Set& set, const Fits& fits)
      : format_(format), set_(set), fits_(fits), runs_(kSuperBlock / format.run), supers_(kLanes / runs_) {}

  void run() {
    Super first[2];
    set_units(format_, fits_, runs_, std::span(first, static_cast<size_t>(supers_)));
    consider(fits_.scale, first, format_.refits > 0);
    for (int round = 0; round < format_.refits; ++round) {
      Super next[2] = {best_[0], best_[1]};
      bool moved = false;
      for (int s = 0; s < supers_; ++s) moved |= refit(s, next[s]);
      if (!moved && format_.shifts == Shifts::kNone) break;  // shifts were guessed so far
      Lanes own;
      for (int k = 0; k < kLanes; ++k) own[k] = choice_.sum_qq[k] > 0 ? choice_.sum_xq[k] / choice_.sum_qq[k] : 0;
      if (!consider(own, next, false)) break;
    }
    consider_plain();
  }

  GridBlock block(int s) const {
    GridBlock block;
    block.d = best_[s].d;
    const int octets = format_.run / kOctet;
    for (int r = 0; r < runs_; ++r) {
      block.levels[r] = static_cast<uint8_t>(best_[s].level[r]);
      for (int o = 0; o < octets; ++o) block.codes[r * octets + o] = choice_.code[o][s * runs_ + r];
    }
    return block;
  }

 private:
  float scale_of(const Super& super, int run) const { return super.d * format_.unit * (2 * super.level[run] + 1); }
  Lanes scales(const Super (&supers)[2]) const {
    Lanes scale;
    for (int k = 0; k < kLanes; ++k) scale[k] = scale_of(supers[k / runs_], k % runs_);
    return scale;
  }
  Totals totals(const Lanes& error) const {
    Totals total{};
    for (int k = 0; k < kLanes; ++k) total[static_cast<size_t>(k / runs_)] += error[k];
    return total;
  }

  // Step 3 for the given d; kept where it is better than what there was. True if anything was.
  bool consider(const Lanes& own, Super (&supers)[2], bool guess_shifts) {
    choose_levels(own, supers);
    return keep(supers, {true, true}, guess_shifts);
  }

  // Of the two levels next to each run's own scale the better one.
  void choose_levels(const Lanes& own, Super (&supers)[2]) const {
    Super tried[2][2] = {{supers[0], supers[1]}, {supers[0], supers[1]}};
    for (int k = 0; k < kLanes; ++k) {
      const int s = k / runs_, r = k % runs_;
      const float unit = supers[s].d * format_.unit, most = static_cast<float>(format_.top);
      const float level = unit > 0 ? std::clamp(0.5f * (own[k] / unit - 1.0f), 0.0f, most) : 0;
      tried[0][s].level[r] = std::floor(level);
      tried[1][s].level[r] = std::min(std::floor(level) + 1, most);
    }
    const Lanes below = errors_of(format_, of_levels(format_), set_, scales(tried[0]));
    const Lanes above = errors_of(format_, of_levels(format_), set_, scales(tried[1]));
    for (int k = 0; k < kLanes; ++k) supers[k / runs_].level[k % runs_] = tried[above[k] < below[k] ? 1 : 0][k / runs_].level[k % runs_];
  }

  // The best codes under d and levels, kept for the super-blocks that are eligible and where they are better.
  bool keep(const Super (&supers)[2], const std::array<bool, 2>& eligible, bool guess_shifts) {
    Choice choice;
    grid_runs::choose(format_, set_, scales(supers), guess_shifts, choice);
    const Totals total = totals(choice.error);
    bool any = false;
    for (int s = 0; s < supers_; ++s) {
      if (!eligible[s] || !(total[s] < error_[s])) continue;
      any = true;
      error_[s] = total[s];
      best_[s] = supers[s];
      for (int k = s * runs_; k < (s + 1) * runs_; ++k) {
        for (int o = 0; o < format_.run / kOctet; ++o) choice_.code[o][k] = choice.code[o][k];
        choice_.sum_xq[k] = choice.sum_xq[k];
        choice_.sum_qq[k] = choice.sum_qq[k];
      }
    }
    return any;
  }

  // One scale for the whole super-block, its largest weight on the largest level.
  void consider_plain() {
    Super plain[2];
    for (int s = 0; s < supers_; ++s) {
      float extreme = 0;
      for (int i = 0; i < set_.run; ++i)
        for (int k = s * runs_; k < (s + 1) * runs_; ++k) extreme = std::max(extreme, std::fabs(set_.x[i * kLanes + k]));
      plain[s].d = search::as_half(extreme / format_.most / format_.unit / static_cast<float>(2 * format_.top + 1));
      std::fill_n(plain[s].level, runs_, static_cast<float>(format_.top));
    }
    const Totals with = totals(errors_of(format_, format_.loose_errors, set_, scales(plain)));
    const std::array<bool, 2> eligible = {with[0] < error_[0], supers_ == 2 && with[1] < error_[1]};
    if (eligible[0] || eligible[1]) keep(plain, eligible, false);
  }

  // Least squares for d with all codes and levels fixed; false where that changes nothing.
  bool refit(int s, Super& super) const {
    double xa = 0, aa = 0;
    for (int r = 0; r < runs_; ++r) {
      const double a = 2 * static_cast<double>(super.level[r]) + 1;
      xa += a * static_cast<double>(choice_.sum_xq[s * runs_ + r]);
      aa += a * a * static_cast<double>(choice_.sum_qq[s * runs_ + r]);
    }
    const float d = aa > 0 ? search::as_half(static_cast<float>(xa / aa) / format_.unit) : 0;
    if (!(d > 0) || d == super.d) return false;
    super.d = d;
    return true;
  }

  const GridFormat& format_;
  const Set& set_;
  const Fits& fits_;
  int runs_, supers_;
  Super best_[2];
  Choice choice_;  // of best_
  Totals error_ = {INFINITY, INFINITY};
};

}  // namespace

std::span<const GridFormat* const> all_grid_formats() {
  static constexpr const GridFormat* kFormats[] = {&kIq1SFormat, &kIq1MFormat,   &kIq2XxsFormat, &kIq2XsFormat,
                                                   &kIq2SFormat, &kIq3XxsFormat, &kIq3SFormat};
  return kFormats;
}

const GridFormat* find_grid_format(GgmlType type) {
  for (const GridFormat* format : all_grid_formats())
    if (format->type == type) return format;
  return nullptr;
}

void fit_grid_blocks(const GridFormat& format, const float* row, const float* importance, std::span<GridBlock> blocks) {
  const size_t together = static_cast<size_t>(kLanes * format.run / kSuperBlock);
  for (size_t b = 0; b < blocks.size(); b += together) {
    const size_t count = std::min(together, blocks.size() - b);
    const float* x = row + b * kSuperBlock;
    const float* a = importance == nullptr ? nullptr : importance + b * kSuperBlock;
    const int runs = static_cast<int>(count) * kSuperBlock / format.run;
    Set set;
    grid_runs::load(format, x, a, runs, set);
    const Fits fits = fit_runs(format, set);
    BlockFit fit(format, set, fits);
    fit.run();
    for (size_t s = 0; s < count; ++s) blocks[b + s] = fit.block(static_cast<int>(s));
  }
}

void encode_grid_row(const GridFormat& format, const float* row, const float* importance, uint64_t n, std::byte* out) {
  const uint64_t block_bytes = find_type(format.type)->block_bytes;
  for (uint64_t at = 0; at < n; at += 2 * kSuperBlock) {
    GridBlock blocks[2];
    const size_t count = static_cast<size_t>(std::min<uint64_t>(2, (n - at) / kSuperBlock));
    fit_grid_blocks(format, row + at, importance == nullptr ? nullptr : importance + at, std::span(blocks, count));
    for (size_t s = 0; s < count; ++s, out += block_bytes) format.pack(blocks[s], out);
  }
}

#pragma GCC diagnostic pop

}  // namespace assay
