#include <algorithm>

#include "assay/base/random.h"
#include "assay/model/panel_product.h"
#include "assay/probe/gradient_sums.h"
#include "assay/probe/sweep.h"

namespace assay {

GradientNeeds GradientReaders::needs(const MatrixPlace& place, GradientLabels labels) const {
  GradientNeeds all;
  for (const GradientReader* reader : readers_) all = all | reader->needs(place, labels);
  return all;
}

bool GradientReaders::wanted(const MatrixPlace& place) const {
  return (needs(place, GradientLabels::kText) | needs(place, GradientLabels::kDrawn)).any();
}

Status GradientReaders::add_window(const MatrixPlace& place, GradientLabels labels, size_t window, const at::Tensor& own,
                                   MatrixGradients& sums) {
  const GradientNeeds wanted = needs(place, labels);
  if (wanted.windows) {
    const at::Tensor on_cpu = own.to(at::kCPU);
    const Stopwatch watch(seconds);
    for (GradientReader* reader : readers_)
      if (reader->needs(place, labels).windows) ASSAY_TRY(reader->window(place, labels, window, on_cpu));
  }
  MatrixGradient& sum = sums[labels];
  if (wanted.squares) sum.squares.defined() ? sum.squares.addcmul_(own, own) : sum.squares = own.square();
  if (wanted.mean) sum.mean.defined() ? sum.mean.add_(own) : sum.mean = own;
  return {};
}

Status GradientReaders::finish(const MatrixPlace& place, MatrixGradients& sums) {
  for (const GradientLabels labels : {GradientLabels::kText, GradientLabels::kDrawn}) {
    MatrixGradient& sum = sums[labels];
    if (sum.mean.defined()) sum.mean = sum.mean.div_(static_cast<double>(windows_)).to(at::kCPU);
    if (sum.squares.defined()) sum.squares = sum.squares.to(at::kCPU);
    sum.windows = windows_;
    sum.scored = scored_;
  }
  const Stopwatch watch(seconds);
  for (GradientReader* reader : readers_)
    if ((reader->needs(place, GradientLabels::kText) | reader->needs(place, GradientLabels::kDrawn)).any())
      ASSAY_TRY(reader->matrix(place, sums));
  sums = {};
  return {};
}

LossHead::LossHead(const Network& network, std::span<const Window> windows, uint64_t seed)
    : network_(network), seed_(seed), scored_(static_cast<int64_t>(windows[0].scored())), labels_(scored_labels(windows)) {}

at::Tensor LossHead::log_predictions(const at::Tensor& normed) const {
  return at::log_softmax(network_.head().multiply(normed).to(at::kCPU), -1);
}

std::span<const int32_t> LossHead::text_labels(size_t window, int64_t first, int64_t count) const {
  return std::span(labels_).subspan(window * static_cast<size_t>(scored_) + static_cast<size_t>(first), static_cast<size_t>(count));
}

at::Tensor LossHead::residual(GradientLabels labels, size_t window, int64_t first, const at::Tensor& p) const {
  at::Tensor residual = p.div(static_cast<double>(scored_));
  const int64_t vocab = p.size(1);
  const float* from_p = p.const_data_ptr<float>();
  const std::span<const int32_t> text = text_labels(window, first, p.size(0));
  float* values = residual.mutable_data_ptr<float>();
  at::parallel_for(0, p.size(0), 1, [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; ++r) {
      int64_t label = text[static_cast<size_t>(r)];
      if (labels == GradientLabels::kDrawn) label = draw(window, first + r, {from_p + r * vocab, static_cast<size_t>(vocab)});
      values[r * vocab + label] = (from_p[r * vocab + label] - 1) / static_cast<float>(scored_);
    }
  });
  return residual;
}

int64_t LossHead::draw(size_t window, int64_t position, std::span<const float> p) const {
  double left = CounterRandom(seed_, window, static_cast<uint64_t>(position)).next_uniform();
  for (size_t v = 0; v < p.size(); ++v) {
    left -= static_cast<double>(p[v]);
    if (left < 0) return static_cast<int64_t>(v);
  }
  return std::ranges::max_element(p) - p.begin();  // rounding: the sum stayed below what was drawn
}

namespace {

// sum + g^T x, in place; a sum that is not there yet is 0.
void add_outer_product(const at::Tensor& g, const at::Tensor& x, at::Tensor& sum) {
  if (!x.is_cpu() || !panel::float32_supported()) {
    const at::Tensor product = Matrix::pack(x.t().contiguous(), Compute::kFloat32, x.device()).multiply(g.t().contiguous());
    sum.defined() ? sum.add_(product) : sum = product;
    return;
  }
  const at::Tensor left = g.contiguous(), right = x.contiguous();
  const int64_t rows = left.size(0), out = left.size(1), in = right.size(1);
  const bool add = sum.defined();
  if (!add) sum = at::empty({out, in});
  const float* from_g = left.const_data_ptr<float>();
  const float* from_x = right.const_data_ptr<float>();
  float* to = sum.mutable_data_ptr<float>();
  const int64_t blocks = (out + panel::kRows - 1) / panel::kRows, panels = panel::panels(in);
  at::parallel_for(0, blocks * panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task % blocks, column = task / blocks * panel::kOutputs;
      const int64_t row = block * out / blocks, count = (block + 1) * out / blocks - row;
      float* corner = to + row * in + column;
      panel::multiply_turned(
          {.count = count, .in = rows, .stride = in, .addend = add ? corner : nullptr, .addend_stride = in, .x_stride = out}, from_g + row,
          from_x + column, in, std::min(panel::kOutputs, in - column), corner);
    }
  });
}

// Adds the gradients g [tokens, d] at the embedding's output to the rows of their tokens.
void add_rows(at::Tensor& own, std::span<const TokenId> tokens, const at::Tensor& g) {
  const at::Tensor rows = g.to(at::kCPU).contiguous();
  const int64_t width = rows.size(1);
  float* to = own.mutable_data_ptr<float>();
  const float* from = rows.const_data_ptr<float>();
  for (size_t t = 0; t < tokens.size(); ++t)
    for (int64_t i = 0; i < width; ++i) to[tokens[t] * width + i] += from[static_cast<int64_t>(t) * width + i];
}

}  // namespace

Status end_gradients(const Network& network, std::span<const Window> windows, const LossHead& head, const at::Tensor& hidden,
                     std::span<const GradientLabels> kinds, std::span<const at::Tensor> g, std::span<const at::Tensor> kept,
                     GradientReaders& readers) {
  const MatrixPlace output{-1, network.head_tensor()}, input{-1, network.embedding_tensor()};
  const bool tied = output.tensor == input.tensor;
  const auto tokens = static_cast<int64_t>(windows[0].tokens.size());
  const int64_t vocab = network.head().out(), width = hidden.size(1), scored = head.scored();
  // The windows of one matrix; `make` gives a window's gradient.
  const auto sum = [&](const MatrixPlace& place, const auto& make) -> Status {
    MatrixGradients sums;
    for (size_t w = 0; w < windows.size(); ++w)
      for (size_t k = 0; k < kinds.size(); ++k) {
        if (!readers.needs(place, kinds[k]).any()) continue;
        at::Tensor own;
        make(w, k, own);
        ASSAY_TRY(readers.add_window(place, kinds[k], w, own, sums));
      }
    return readers.finish(place, sums);
  };
  const auto add_head = [&](size_t w, size_t k, at::Tensor& own) {
    for (int64_t first = 0; first < scored; first += LossHead::kRows) {
      const int64_t n = std::min(LossHead::kRows, scored - first);
      const at::Tensor normed = network.final_norm(hidden.narrow(0, static_cast<int64_t>(w) * scored + first, n));
      const auto pieces = static_cast<size_t>((scored + LossHead::kRows - 1) / LossHead::kRows);
      const size_t piece = w * pieces + static_cast<size_t>(first / LossHead::kRows);
      const at::Tensor p = kept.empty() ? head.log_predictions(normed).exp_() : kept[piece];
      const at::Tensor residual = head.residual(kinds[k], w, first, p);
      add_outer_product(residual, normed.to(at::kCPU), own);
    }
  };
  const auto add_embedding = [&](size_t w, size_t k, at::Tensor& own) {
    if (!own.defined()) own = at::zeros({vocab, width});
    add_rows(own, windows[w].tokens, g[k].narrow(0, static_cast<int64_t>(w) * tokens, tokens));
  };
  if (readers.wanted(output))
    ASSAY_TRY(sum(output, [&](size_t w, size_t k, at::Tensor& own) {
      add_head(w, k, own);
      if (tied) add_embedding(w, k, own);
    }));
  if (tied || !readers.wanted(input)) return {};
  return sum(input, add_embedding);
}

at::Tensor outer_product(const at::Tensor& g, const at::Tensor& x) {
  at::Tensor product;
  add_outer_product(g, x, product);
  return product;
}

}  // namespace assay
