// PQI, the post-quantization integral (methods.md 3.8): what each matrix contributes to the change of the loss when a model is quantized,
//   c_i = d_i sum_k weight_k dF/dw_i(w + t_k d),   sum_i c_i ~ F(w~) - F(w),
// by a quadrature rule on the path from w to w~. The source does not say where the absolute value of its element-wise measure stands: all
// three places are given. The closure error - predicted less measured change - always comes with the result.
// Memory beside that of the path: one float for every weight that changes. Non-goals: which weights make the total (the sink sees them).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/score/path_gradients.h"
#include "assay/score/path_rule.h"

namespace assay {

struct PqiOptions {
  PathRule rule = PathRule::kMidpoint;
  int intervals = 32;
  bool first_order = true;  // also d . g at t = 0: one more pass, unless the rule has it
};

// Of a matrix, a layer or all together; nats per token.
struct PqiValue {
  uint64_t elements = 0;
  double contribution = 0;      // sum of c_i
  double abs_total = 0;         // sum of |c_i|
  double abs_per_step = 0;      // the absolute value taken at every node
  double abs_per_sequence = 0;  // and of every window's own gradient there
  double first_order = 0;       // d . g at w
  std::vector<double> windows;  // contribution to the change of each window's own loss
  void add(const PqiValue& other);
};
struct PqiRow {
  std::string name;  // tensor, or the layer's: "blk.3"; tensors outside the blocks stay alone
  int layer = 0;
  PqiValue value;
};

struct PqiResult {
  std::vector<PqiRow> matrices, layers;  // file order; layers: of their first matrix
  PqiValue total;
  double loss_before = 0, loss_after = 0;  // F(w), F(w~)
  std::vector<double> window_changes;      // F(w~) - F(w) of each window
  PathGradients path;                      // the rule's nodes, then t = 0 if it was asked for beyond them
  double change() const { return loss_after - loss_before; }
  double closure_error() const { return total.contribution - change(); }
};

// c of a matrix, laid out as its weights. Called once per matrix, file order, when the integral is done.
using PqiSink = std::function<Status(const PathMatrix& matrix, std::span<const float> c)>;

// Errors: kUsage (intervals), those of the path.
Result<PqiResult> pqi(const QuantizationPath& path, const PqiOptions& options = {}, const PqiSink& sink = {},
                      Progress& progress = silent_progress());

// Contributions of the matrices by any rule whose nodes are among the path's points: several rules from one set of gradients.
// kUsage: a node is not there.
Result<std::vector<double>> contributions(const PathGradients& path, std::span<const PathNode> nodes);

}  // namespace assay
