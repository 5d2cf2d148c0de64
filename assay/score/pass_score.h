// Scores that run passes of their own, of the model or of changed ones: they say first what that takes, and obey a budget.
// Non-goals: scores that share a pass (activation_score.h, gradient_scores.h), scores that one sweep measures (variant_score.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/model/interpolated_checkpoint.h"
#include "assay/model/network.h"
#include "assay/probe/gradient_pass.h"
#include "assay/score/score_run.h"
#include "assay/score/weight_values.h"
#include "assay/text/windows.h"

namespace assay {

// One forward and one backward of a window, in forwards of a window.
constexpr double kGradientForwards = 3;

struct PassRun {
  std::shared_ptr<const Network> network;
  NetworkOptions network_options;  // to load a changed model as this one was
  std::span<const Window> windows;
  std::span<const LayerNumbers> layers;  // -1 first; without numbers
  std::vector<GgmlType> types;           // target types
  std::function<std::vector<GgmlType>(const std::string& tensor)> types_of;
  std::function<Result<StoredMatrix>(const std::string& tensor, GgmlType type)> stored;  // encoded, each once for all scores
  GradientPassOptions pass;
  const ScoreContext& context;
  double budget = 0;  // forwards of one window that this score may take; infinity: any number
  // Finds a finished unit of this score, or makes and keeps it. Its name holds whatever the result depends on beside the windows.
  std::function<Result<std::string>(const std::string& name, const std::function<Result<std::string>()>& make)> unit;
  Progress& progress;
  // A score of this run has that unit from its family already: it costs nothing. Units that an earlier run kept count as work, so that
  // what fits a budget does not depend on what is in the store. Empty: none has any.
  std::function<bool(const std::string& name)> at_hand = {};
  // Takes terms of the scores it wants, which make what they are of with unit_anew; null: nobody does.
  WeightSink* weights = nullptr;
  // As unit(), without looking for a finished one.
  std::function<Result<std::string>(const std::string& name, const std::function<Result<std::string>()>& make)> unit_anew = {};

  double passes() const { return static_cast<double>(windows.size()); }
};

struct PassRows {
  std::vector<ScoreRow> rows;
  double forward_equivalents = 0;  // forwards of a window that it took, or would have if no unit was found
  double unspent = 0;              // of the estimate: it could stop early
  std::vector<std::string> notes;
};

class PassScore : public Score {
 public:
  // Scores of one family find each other's units.
  virtual std::string family() const { return std::string(info().name); }
  // Forwards of one window; at most the budget where the score can do with less.
  virtual double estimate(const PassRun& run) const = 0;
  // Called if the estimate is within the budget.
  virtual Result<PassRows> rows(const PassRun& run) const = 0;
};

}  // namespace assay
