#include "assay/probe/schedule.h"

#include <algorithm>
#include <string>

#include "assay/base/text.h"

namespace assay {
namespace {

using Part = ScheduleEdit::Part;

struct Expansion {
  const std::string& who;  // "variant 'x': schedule[2]"
  int layers;

  tl::unexpected<Error> refuse(std::string found, std::string needed) const {
    return fail(ErrorCode::kMismatch, {who, std::move(found), std::move(needed), ""});
  }
  Status block_exists(int block) const {
    if (block >= 0 && block < layers) return {};
    return refuse("names block " + std::to_string(block), "the model has blocks 0 to " + std::to_string(layers - 1));
  }
  Status range_exists(int first, int last) const {
    ASSAY_TRY(block_exists(first));
    ASSAY_TRY(block_exists(last));
    if (first > last)
      return refuse("names blocks " + std::to_string(first) + " to " + std::to_string(last), "the first comes before the last");
    return {};
  }

  Status skip(std::vector<Step>& steps, int block, Part part) const {
    // What is left of a step when `part` goes: the other half, or nothing.
    const Part other = part == Part::kAttention ? Part::kFfn : Part::kAttention;
    bool found = false;
    std::vector<Step> left;
    for (Step step : steps) {
      const bool hit = step.block == block && (part == Part::kBlock || step.part == Part::kBlock || step.part == part);
      found |= hit;
      if (hit && (part == Part::kBlock || step.part == part)) continue;
      if (hit) step.part = other;
      left.push_back(step);
    }
    steps = std::move(left);
    if (found) return {};
    const std::string what = part == Part::kBlock ? "" : part == Part::kAttention ? "the attention of " : "the feed-forward half of ";
    return refuse("leaves out " + what + "block " + std::to_string(block), "an earlier edit has left that out already");
  }

  Status repeat(std::vector<Step>& steps, const ScheduleEdit& edit) const {
    if (edit.times < 1) return refuse("runs its blocks " + std::to_string(edit.times) + " times", "at least once is needed");
    const auto length = static_cast<size_t>(edit.last - edit.first) + 1;
    std::vector<Step> longer;
    bool found = false;
    for (size_t i = 0; i < steps.size();) {
      size_t matched = 0;
      while (matched < length && i + matched < steps.size() && steps[i + matched].block == edit.first + static_cast<int>(matched))
        ++matched;
      if (matched < length) {
        longer.push_back(steps[i++]);
        continue;
      }
      found = true;
      if (longer.size() + length * static_cast<size_t>(edit.times) > kMaxSteps)
        return refuse("makes too long a schedule", "at most " + group_digits(kMaxSteps) + " steps are run");
      for (int run = 0; run < edit.times; ++run) {
        for (size_t j = 0; j < length; ++j) {
          Step step = steps[i + j];
          step.gamma *= static_cast<float>(edit.gamma);
          longer.push_back(step);
        }
      }
      i += length;
    }
    steps = std::move(longer);
    if (found) return {};
    const std::string first = std::to_string(edit.first), last = std::to_string(edit.last);
    return refuse(
        edit.first == edit.last ? "repeats block " + first : "repeats blocks " + first + " to " + last,
        edit.first == edit.last ? "an earlier edit has left it out" : "after the earlier edits they run nowhere one after another");
  }
};

}  // namespace

Result<std::vector<Step>> expand_schedule(const Variant& variant, int layers) {
  std::vector<Step> steps(static_cast<size_t>(std::max(layers, 0)));
  for (size_t i = 0; i < steps.size(); ++i) steps[i].block = static_cast<int>(i);
  for (size_t i = 0; i < variant.schedule.size(); ++i) {
    const ScheduleEdit& edit = variant.schedule[i];
    const std::string who = "variant '" + printable(variant.name) + "': schedule[" + std::to_string(i) + "]";
    const Expansion expansion{who, layers};
    if (edit.action == ScheduleEdit::Action::kOrder) {
      if (i > 0) return expansion.refuse("is an order after other edits, which it would undo", "put the order first");
      if (edit.order.size() > kMaxSteps)
        return expansion.refuse("makes too long a schedule", "at most " + group_digits(kMaxSteps) + " steps are run");
      steps.clear();
      for (const int block : edit.order) {
        ASSAY_TRY(expansion.block_exists(block));
        steps.push_back({block});
      }
      continue;
    }
    ASSAY_TRY(expansion.range_exists(edit.first, edit.last));
    if (edit.action == ScheduleEdit::Action::kRepeat) {
      ASSAY_TRY(expansion.repeat(steps, edit));
      continue;
    }
    for (int block = edit.first; block <= edit.last; ++block) ASSAY_TRY(expansion.skip(steps, block, edit.part));
  }
  if (steps.empty())
    return fail(ErrorCode::kMismatch,
                {"variant '" + printable(variant.name) + "': schedule", "leaves no block to run", "one is needed", ""});
  return steps;
}

}  // namespace assay
