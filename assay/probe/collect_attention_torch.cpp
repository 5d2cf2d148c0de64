#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"
#include "assay/model/attention.h"
#include "assay/probe/collect_attention.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

std::vector<double> copied(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

// Of x [tokens, heads, d], by head; one thread per head, so that threads change no bit.
std::vector<SecondMoment> moments_of(const at::Tensor& x) {
  const at::Tensor by_head = x.to(at::kCPU, at::kDouble).transpose(0, 1).contiguous();  // [heads, tokens, d]
  std::vector<SecondMoment> moments(static_cast<size_t>(by_head.size(0)));
  at::parallel_for(0, by_head.size(0), 1, [&](int64_t begin, int64_t end) {
    at::NoGradGuard no_grad;
    for (int64_t head = begin; head < end; ++head) {
      const at::Tensor own = by_head[head];
      SecondMoment& moment = moments[static_cast<size_t>(head)];
      moment.count = static_cast<uint64_t>(own.size(0));
      moment.square = copied(own.t().matmul(own));
      moment.sum = copied(own.sum(0));
    }
  });
  return moments;
}

// q [1, tokens, heads, d] with noise in every entry.
at::Tensor shaken(const at::Tensor& q, const AttentionRequest& request, int layer, uint64_t window) {
  at::Tensor out = q.to(at::kCPU).contiguous().clone();
  const int64_t tokens = out.size(1), heads = out.size(2), d = out.size(3);
  float* data = out.mutable_data_ptr<float>();
  at::parallel_for(0, heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      double sum = 0, squares = 0;
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < d; ++i) {
          const double value = data[(t * heads + head) * d + i];
          sum += value;
          squares += value * value;
        }
      const auto n = static_cast<double>(tokens * d);
      const double deviation = std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
      CounterRandom random(request.seed, static_cast<uint64_t>(layer * heads + head), window);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < d; ++i)
          data[(t * heads + head) * d + i] += static_cast<float>(request.noise * deviation * random.next_normal());
    }
  });
  return out;
}

void diagnose(const AttentionFacts& facts, const AttentionFacts& under_noise, int layer, AttentionSums& sums) {
  const int64_t tokens = facts.top.size(2);
  for (int64_t head = 0; head < sums.heads; ++head) {
    HeadDiagnostics& to = sums.diagnostics[static_cast<size_t>(int64_t{layer} * sums.heads + head)];
    const int32_t* top = facts.top.const_data_ptr<int32_t>() + head * tokens;
    const int32_t* moved = under_noise.top.const_data_ptr<int32_t>() + head * tokens;
    const float* largest = facts.largest.const_data_ptr<float>() + head * tokens;
    const float* second = facts.second.const_data_ptr<float>() + head * tokens;
    for (int64_t t = kFirstDiagnosed; t < tokens; ++t) {
      ++to.queries;
      to.ratio += static_cast<double>(second[t]) / static_cast<double>(largest[t]);
      to.margin += static_cast<double>(largest[t]) - static_cast<double>(second[t]);
      to.stable += top[t] == moved[t] ? 1 : 0;
    }
  }
}

Status look_at_window(const Network& network, const Window& window, uint64_t number, const AttentionRequest& request, AttentionSums& sums) {
  const Hyper& hyper = network.hyper();
  const auto tokens = static_cast<int64_t>(window.tokens.size());
  ASSAY_ASSIGN(at::Tensor h, network.embed(token_matrix(std::span(&window, 1))));
  for (int layer = 0; layer < hyper.layers; ++layer) {
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network.block(layer));
    const at::Tensor x = block->attention_input(h);
    const Block::Heads heads = block->has(Site::kQkv) ? block->heads_of_fused(block->linear(Site::kQkv, x), 1, tokens, 0, tokens)
                                                      : block->heads_of(block->linear(Site::kQ, x), block->linear(Site::kK, x),
                                                                        block->linear(Site::kV, x), 1, tokens, 0, tokens);
    const AttentionFacts facts = inspect_attention(hyper, heads.q, heads.k, heads.v, true);
    if (request.diagnostics)
      diagnose(facts, inspect_attention(hyper, shaken(heads.q, request, layer, number), heads.k, heads.v, false), layer, sums);
    if (std::find(request.moments.begin(), request.moments.end(), layer) != request.moments.end()) {
      LayerMoments moments;
      moments.residual = moments_of(facts.residual.view({tokens, hyper.heads, hyper.head_dim}));
      moments.context = moments_of(facts.context.view({tokens, hyper.heads, hyper.head_dim}));
      moments.values = moments_of(heads.v[0]);
      sums.moments.emplace(layer, std::move(moments));
    }
    const at::Tensor middle = h + block->linear(Site::kO, facts.context.to(h.device()));
    h = middle + block->mlp(block->ffn_input(middle));
    if (!at::isfinite(h.sum()).item<bool>())
      return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                         "finite activations are needed", "broken weights in this block"});
  }
  return {};
}

}  // namespace

Result<AttentionSums> collect_attention(const Network& network, std::span<const Window> windows, const AttentionRequest& request,
                                        Progress& progress) {
  at::NoGradGuard no_grad;
  AttentionSums all;
  for (size_t w = 0; w < windows.size(); ++w) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "attention: interrupted between windows");
    AttentionSums one;
    one.layers = network.hyper().layers;
    one.heads = network.hyper().heads;
    one.diagnostics.resize(static_cast<size_t>(one.layers * one.heads));
    ASSAY_TRY(look_at_window(network, windows[w], request.first_window + w, request, one));
    all.add(one);
  }
  return all;
}

}  // namespace assay
