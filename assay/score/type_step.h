// The step of a model's matrices to a type, as scores with passes of their own take it: everything that can hold the type together, or one
// layer alone. Encoded when first needed; losses and derivatives at points of the path are units that all scores of the family share.
// Non-goals: what is made of the points (second_order.h and the scores' files).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/score/pass_score.h"
#include "assay/score/path_gradients.h"

namespace assay {

inline constexpr char kPathFamily[] = "path";

class TypeStep {
 public:
  // layer: a group's name by Grouping::kLayer; empty: all matrices. `run` outlives it.
  TypeStep(const PassRun& run, GgmlType type, std::string layer = {});

  GgmlType type() const { return type_; }
  // Those that change, in the run's order. Empty: there is nothing to measure.
  const std::vector<MatrixShape>& matrices() const { return matrices_; }
  const std::string& note() const { return note_; }  // who stays as it is; empty: nobody
  // "Q4_K blk.0 what": the name of a unit of this step.
  std::string unit(const std::string& what) const;

  // Derivatives without their windows at these points, each one unit and three forwards of every window.
  Result<PathGradients> gradients(std::span<const double> ts);
  // Forwards of a window that they still take in this run.
  double estimate(std::span<const double> ts) const;

  Result<QuantizationPath> path();

 private:
  Result<std::string> make_point(double t);

  const PassRun& run_;
  GgmlType type_;
  std::string layer_, note_;
  std::vector<MatrixShape> matrices_;
  std::shared_ptr<const StoredMatrices> far_;  // once made
};

// A step of each target type that some matrix can hold.
std::vector<TypeStep> type_steps(const PassRun& run);
// Forwards of a window that these points of all of them still take.
double estimate_of_steps(const PassRun& run, std::span<const double> ts);

// A row per matrix of the run, to be filled with cells, and where it is.
class MatrixTable {
 public:
  explicit MatrixTable(std::span<const LayerNumbers> layers);
  void add(const std::string& tensor, const ScoreCell& cell) { rows_[places_.at(tensor)].cells.push_back(cell); }
  std::vector<ScoreRow> take() && { return std::move(rows_); }

 private:
  std::vector<ScoreRow> rows_;
  std::map<std::string, size_t> places_;
};

}  // namespace assay
