// The blocks a changed model runs, in order: what the schedule edits of a variant make of 0, 1, ..., layers - 1. Torch-free.
// Edits apply one after another:
//   skip    takes every run of its blocks out, or the attention or feed-forward half of it;
//   repeat  finds every place where its blocks run one after another and runs that stretch `times` times in all, each scaled by gamma;
//   order   replaces the whole list, so only the first edit can be one. A block may come twice or not at all.
// Non-goals: running them (sweep.h), which weights they use (a block's runs share its weights).
#pragma once

#include <vector>

#include "assay/base/result.h"
#include "assay/probe/variant.h"

namespace assay {

// One run of a block, at its own position: rotary positions are unchanged, keys and values are its own.
struct Step {
  int block = 0;
  ScheduleEdit::Part part = ScheduleEdit::Part::kBlock;  // what runs: all of it, only attention, only the feed-forward half
  float gamma = 1;                                       // h + gamma (out - h), out the block's own output

  friend bool operator==(const Step&, const Step&) = default;
};

// A schedule has at most this many steps.
constexpr int kMaxSteps = 100'000;

// Errors, kMismatch: a block past the end, a block or half that an earlier edit left out, an order after another edit, nothing left to run.
Result<std::vector<Step>> expand_schedule(const Variant& variant, int layers);

}  // namespace assay
