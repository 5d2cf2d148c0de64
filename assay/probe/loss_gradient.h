// Gradient of the mean negative log-likelihood of the scored positions at every matrix of the blocks: a gradient pass (gradient_pass.h)
// with one reader; one block's gradients are in memory at a time. float32, sums over windows in a fixed order. Non-goals: embedding and
// head, gradients per token (score/site_rows.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <span>
#include <string>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

// gradient: [out, in] float32 on the CPU, nats per unit of weight.
using GradientSink = std::function<Status(int layer, const std::string& tensor, const at::Tensor& gradient)>;

// Returns the mean negative log-likelihood, nats per token. Windows of one length and one scored range.
Result<double> loss_gradient(const Network& network, std::span<const Window> windows, const GradientSink& sink,
                             Progress& progress = silent_progress());

}  // namespace assay
