// A sensitivity score: a number per matrix, or per layer, that is meant to say how much damage a change there would do. Here: what every
// score declares about itself, the form of its values, and how matrices' values become those of a group. Torch-free.
// Non-goals: computing them (score_run.h and one file per score), judging them (tournament.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/file/tensor_role.h"

namespace assay {

// What a score estimates.
enum class Estimand : uint8_t {
  kQuantization,  // damage of storing the weights with fewer bits
  kRemoval,       // damage of leaving the layer out
  kNothing,       // a control
};
std::string_view name_of(Estimand estimand);  // "quantization", "removal", "control"

// How the values of several matrices become one.
enum class Pooling : uint8_t {
  kSum,   // losses add up
  kMean,  // by number of weights: values that are not of that kind
};

struct ScoreInfo {
  std::string_view name;  // as --scores takes it: "kurtosis"
  std::string_view what;  // one line for people
  Estimand estimand = Estimand::kQuantization;
  std::string_view unit = "1";
  bool higher_is_worse = true;  // a larger value predicts more damage; false: less
  Grouping finest = Grouping::kTensor;
  Pooling pooling = Pooling::kSum;
  bool by_type = false;  // a value for each target type
  bool needs_text = false, needs_gradients = false;
  std::string_view source;  // paper or program, section of methods.md
};

struct ScoreCell {
  std::optional<GgmlType> type;  // none: of the weights as they are
  double value = 0;
  double standard_error = 0;  // 0: unknown
};

// A matrix, or a group of them.
struct ScoreRow {
  std::string name;                  // tensor name, or the group's (group_of)
  std::vector<std::string> tensors;  // members, file order
  uint64_t elements = 0;
  std::vector<ScoreCell> cells;
};

struct ScoreTable {
  std::string name;
  std::vector<ScoreRow> rows;
  double seconds = 0;              // beside what several scores share
  double forward_equivalents = 0;  // passes that it needs, shared or not, in forwards of the text
  std::vector<std::string> notes;  // what a reader must know: a fallback, a cap
};

// The rows of tensors put together by `by`, in the order of their first tensor; cells of types that all members have. Standard errors add
// in squares. Rows that are groups already stay as they are.
std::vector<ScoreRow> pooled(std::span<const ScoreRow> rows, Grouping by, Pooling pooling);

// The cell of a type; a row without types has one for every type. Null: none.
const ScoreCell* find_cell(const ScoreRow& row, std::optional<GgmlType> type);

}  // namespace assay
