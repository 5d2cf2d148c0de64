// The curvature table: predicted damage of every matrix at every type from one backward pass per window (design.md section 6).
// For labels drawn from the model itself and G = d/dW of the sum of log p(label), a change dW costs KL ~ 1/2 E <G, dW>^2.
//   per-token form    1/2 E sum_t (g_t . dW x_t)^2             one product per (matrix, type), tokens may be subsampled
//   segment form      1/2 E sum_segments (sum_t g_t . dW x_t)^2  one dot product per (matrix, type) and segment
//   window form       the segment form with one segment: holds all cross-position terms, has the largest variance
// The head (and a tied embedding's use as head) is exact second order: 1/2 E_p[(e - E_p e)^2], e = x dW^T.
// Unit: nats per scored token. Non-goals: choosing types (plan/).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

enum class CurvatureForm { kPerToken, kSegment, kWindow };

struct CurvatureOptions {
  CurvatureForm form = CurvatureForm::kPerToken;
  uint32_t segment = 16;         // tokens per segment, segment form
  double token_fraction = 0.25;  // of each window's tokens in the per-token products, (0, 1]; stratified by position, seeded
  uint32_t samples = 1;          // label draws (and backward passes) per window
  uint64_t seed = 0;
  Compute product_compute = Compute::kFloat32;  // of the per-type products; their rounding is far below the sampling error
  uint64_t memory = uint64_t{2} << 30;          // bytes for kept block inputs
};

// What is asked for: a tensor and the types to predict.
struct CurvatureRequest {
  std::string tensor;
  std::vector<GgmlType> types;
};
// The change dW of a tensor at a type, [out, in] float32 on the CPU.
using ChangeMaker = std::function<Result<at::Tensor>(const std::string& tensor, GgmlType type)>;

struct CurvatureCell {
  GgmlType type = GgmlType::kF16;
  double damage = 0;
  double standard_error = 0;  // over windows
  // First-order terms g_t . dW x_t of the sampled tokens (per-token form; one per kept token, window after window), scaled so that
  // 1/2 of the sum of squares is the damage; empty for the head, whose damage is not of this form.
  std::vector<float> terms;
};

struct CurvatureRow {
  std::string tensor;
  std::vector<CurvatureCell> cells;
};

struct CurvatureTable {
  std::vector<CurvatureRow> rows;
  double forward_seconds = 0;    // forward and backward
  double product_seconds = 0;    // per-type products, without making the changes
  double change_seconds = 0;     // making the changes (encoding, decoding)
  uint64_t labels = 0;           // scored positions
};

// Every scored position of every window gets a sampled label. Errors: unknown tensor, non-finite values, kInterrupted.
Result<CurvatureTable> curvature_table(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests,
                                       const ChangeMaker& change_of, const CurvatureOptions& options, Progress& progress = silent_progress());

// Predicted damage of a whole recipe with the interactions between matrices: 1/2 sum over tokens of (sum over matrices of terms)^2,
// plus the separable damage of cells without terms. `cells`: one chosen cell per matrix.
double joint_damage(std::span<const CurvatureCell* const> cells);

}  // namespace assay
