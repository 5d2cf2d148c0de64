// The curvature table: predicted damage of every matrix at every type from one backward pass per window (design.md section 6).
// For a random residual r of the logits with the softmax's Fisher matrix as covariance (labels drawn from the model, or random signs) and
// g = the gradient it sends to a matrix's output, a change dW costs KL ~ 1/2 E (sum_t a_t)^2, a_t = g_t . dW x_t.
//   token form     1/2 E sum_t a_t^2                          one product per (matrix, type), tokens may be sampled; drops cross-position
//   terms centred form   token form of x_t - m, plus 1/2 E (sum_t g_t . dW m)^2, m the window's mean input weighted by |g_t|^2: what a
//   change does
//                  alike at all positions adds up with its sign (values add, a common shift of keys cancels); one more row per window
//   segment form   1/2 E sum_segments (sum_t a_t)^2           one dot product per (matrix, type) and segment
//   window form    the segment form with one segment: holds all cross-position terms, has the largest variance
// The head is exact second order: 1/2 Var_p(e), e = x dW^T; a tied embedding has both ends and their covariance at each position.
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
#include "assay/base/unit_cache.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

enum class CurvatureForm { kToken, kCentred, kSegment, kWindow };
enum class CurvatureNoise { kSigns, kLabels };  // curvature_kernels.h
enum class TokenDraw { kImportance, kEven };    // by the squared gradient at the last block's output, or all alike (token_sample.h)

struct CurvatureOptions {
  CurvatureForm form = CurvatureForm::kCentred;
  CurvatureNoise noise = CurvatureNoise::kSigns;
  TokenDraw draw = TokenDraw::kImportance;
  uint32_t segment = 16;         // tokens per segment, segment form
  double token_fraction = 0.25;  // of each window's tokens in the per-type products, (0, 1]; token and centred form, seeded
  uint32_t samples = 1;          // residual draws (and backward passes) per window
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
  // First-order terms of the draws, window after window, scaled so that 1/2 of the sum of squares is a damage per scored token: one per
  // drawn token and, centred, one per window. Token and centred form only. The same places for every matrix, the head too.
  std::vector<float> terms;
};

struct CurvatureRow {
  std::string tensor;
  std::vector<CurvatureCell> cells;
};

struct CurvatureTable {
  std::vector<CurvatureRow> rows;
  double forward_seconds = 0;  // forward, residuals, backward
  double product_seconds = 0;  // per-type products, without making the changes
  double change_seconds = 0;   // making the changes (encoding, decoding)
  uint64_t labels = 0;         // scored positions times samples
};

// Every scored position of every window gets a random residual. Units: a matrix on the windows of a pass; the caller's key must hold
// windows, options and what the changes are made of. Errors: unknown tensor, non-finite values, kInterrupted.
Result<CurvatureTable> curvature_table(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests,
                                       const ChangeMaker& change_of, const CurvatureOptions& options,
                                       Progress& progress = silent_progress(), UnitCache& units = no_unit_cache());

// Predicted damage of a whole recipe with the interactions between matrices at the same position: the sum of the damages plus the products
// of different matrices' terms, summed. `cells`: one chosen cell per matrix. One cell alone: its own damage.
double joint_damage(std::span<const CurvatureCell* const> cells);

}  // namespace assay
