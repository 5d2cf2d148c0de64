// How scores are computed together: each layer is decoded once, each matrix quantized once per type, and one forward pass feeds all that
// look at activations. A score is a class in its own file that says what it wants to see and turns it into a few numbers per piece of
// work; those numbers are kept as units, so a killed run loses nothing. Torch-free.
// Non-goals: scores that see activations (activation_score.h), the order of the work (job/score_model.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/model/architecture.h"
#include "assay/score/score.h"

namespace assay {

// A matrix of the model, decoded: [rows, columns] float32, rows are outputs (GGUF order).
struct MatrixView {
  std::string_view tensor;
  TensorRole role;
  uint64_t rows = 0, columns = 0;
  std::span<const float> values;
  std::span<const float> importance = {};   // [columns], mean squared inputs; empty: not known
  std::span<const float> mean_inputs = {};  // [columns]; empty: not known

  uint64_t elements() const { return rows * columns; }
  std::span<const float> row(uint64_t r) const { return values.subspan(r * columns, columns); }
};

// The matrices of one block in file order; those outside the blocks come together as layer -1.
struct LayerView {
  int layer = 0;
  std::span<const MatrixView> matrices;

  const MatrixView* find(Role role) const;
};

// The same without the weights, with the numbers a score made of them.
struct MatrixShape {
  std::string tensor;
  TensorRole role;
  uint64_t rows = 0, columns = 0;
  uint64_t elements() const { return rows * columns; }
};
struct LayerNumbers {
  int layer = 0;
  std::vector<MatrixShape> matrices;
  std::vector<double> numbers;
};

// What every score may need to know of the run.
struct ScoreContext {
  const Hyper& hyper;
  uint64_t seed = 0;
  int threads = 0;  // 0: all; results do not depend on it
};

class Score {
 public:
  virtual ~Score() = default;
  virtual ScoreInfo info() const = 0;
  // A matrix's value is a sum over its weights, and the score gives the terms (weight_values.h).
  virtual bool has_weight_values() const { return false; }
};

// Of the weights as they are. Layers come one at a time, -1 first, in ascending order.
class WeightScore : public Score {
 public:
  // A score that needs the matrices outside the blocks for every block sees them once, before the rest, in every run.
  virtual bool needs_outside() const { return false; }
  virtual Status prepare(const LayerView& outside, const ScoreContext& context) {
    (void)outside, (void)context;
    return {};
  }
  virtual Result<std::vector<double>> numbers(const LayerView& layer, const ScoreContext& context) const = 0;
  // Scores that name the same make the same numbers, which are made once.
  virtual std::string_view numbers_name() const { return info().name; }
  virtual std::vector<ScoreRow> finish(std::span<const LayerNumbers> layers, const ScoreContext& context) const = 0;
};

// One number per matrix, which is its value.
class MatrixScore : public WeightScore {
 public:
  virtual Result<double> value(const MatrixView& matrix, const ScoreContext& context) const = 0;
  // The terms of value(), where has_weight_values(); out is laid out as the matrix.
  virtual void weight_values(const MatrixView& matrix, const ScoreContext& context, std::span<float> out) const {
    (void)matrix, (void)context, (void)out;
  }
  Result<std::vector<double>> numbers(const LayerView& layer, const ScoreContext& context) const final;
  std::vector<ScoreRow> finish(std::span<const LayerNumbers> layers, const ScoreContext& context) const override;
};

// Of what a type does to a matrix: `change` is decoded(encoded(W)) - W, laid out as the matrix.
class ChangeScore : public Score {
 public:
  virtual Result<double> value(const MatrixView& matrix, GgmlType type, std::span<const float> change,
                               const ScoreContext& context) const = 0;
  // The terms of value(), where has_weight_values(); out is laid out as the matrix.
  virtual void weight_values(const MatrixView& matrix, std::span<const float> change, const ScoreContext& context,
                             std::span<float> out) const {
    (void)matrix, (void)change, (void)context, (void)out;
  }
  virtual bool needs_importance() const { return false; }
  // With that: a matrix that the importance matrix does not have gets no value.
  virtual bool needs_entry() const { return needs_importance(); }
};

// A row per matrix with one cell without type: value(matrix's place in the layer).
ScoreRow matrix_row(const MatrixShape& matrix, double value);
// A row that stands for a whole block.
ScoreRow layer_row(const LayerNumbers& layer, double value);

}  // namespace assay
