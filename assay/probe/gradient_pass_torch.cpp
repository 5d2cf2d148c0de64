#include <algorithm>

#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/model/stored_product.h"
#include "assay/probe/gradient_pass.h"
#include "assay/probe/gradient_sums.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr int64_t kBatchRows = 2048;  // tokens of one forward or backward

// One matrix of the block at hand.
struct Collected {
  MatrixPlace place;
  MatrixGradients gradients;
};

class GradientPass {
 public:
  GradientPass(const Network& network, std::span<const Window> windows, std::span<GradientReader* const> readers,
               const GradientPassOptions& options, Progress& progress)
      : network_(network),
        windows_(windows),
        readers_(readers, windows.size(), windows[0].scored()),
        options_(options),
        progress_(progress),
        loss_head_(network, windows, options.seed),
        layers_(network.hyper().layers),
        tokens_(static_cast<int64_t>(windows[0].tokens.size())),
        scored_(static_cast<int64_t>(windows[0].scored())),
        lowest_(layers_) {
    for (const GradientLabels labels : {GradientLabels::kText, GradientLabels::kDrawn}) {
      const bool ends = wants_end(network.head_tensor(), labels), start = wants_end(network.embedding_tensor(), labels);
      const int lowest = start ? 0 : lowest_layer(labels);
      if (lowest < layers_ || ends) kinds_.push_back({labels, lowest, {}});
      lowest_ = std::min(lowest_, lowest);
      ends_ |= ends || start;
      head_wanted_ |= ends;
    }
  }

  Result<GradientLosses> run() {
    at::NoGradGuard no_grad;
    ASSAY_TRY(plan_memory());
    progress_.stage("gradients", static_cast<uint64_t>(layers_ - lowest_) + 1);
    ASSAY_ASSIGN(const at::Tensor hidden, forward());
    ASSAY_TRY(head(hidden));
    progress_.update(1);
    for (int layer = layers_ - 1; layer >= lowest_; --layer) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "gradients: interrupted between blocks");
      ASSAY_TRY(block(layer));
      progress_.update(static_cast<uint64_t>(layers_ - layer) + 1);
    }
    if (ends_) ASSAY_TRY(ends(hidden));
    losses_.reader_seconds = readers_.seconds;
    return std::move(losses_);
  }

 private:
  struct Kind {
    GradientLabels labels;
    int lowest = 0;     // the first block that has a wanted matrix
    at::Tensor g = {};  // at the output of the block at hand, [windows * tokens, d]
  };

  bool wants_end(const std::string& tensor, GradientLabels labels) const { return readers_.needs({-1, tensor}, labels).any(); }

  int lowest_layer(GradientLabels labels) const {
    for (int layer = 0; layer < layers_; ++layer)
      for (const Site site : kSites) {
        const std::string tensor = network_.tensor_name(layer, site);
        if (network_.checkpoint().find(tensor) != nullptr && readers_.needs({layer, tensor}, labels).any()) return layer;
      }
    return layers_;
  }

  // Every block's input is kept, or every n-th one and those between them made again when their turn comes. What is left over holds
  // predictions, if the head's gradient is wanted, and traces of the blocks whose turn comes first, so that they are not run again.
  Status plan_memory() {
    const uint64_t one = static_cast<uint64_t>(tokens_ * network_.hyper().d_model) * sizeof(float) * windows_.size();
    const auto blocks_kept = [&](int every) {
      return static_cast<uint64_t>((layers_ + every - 1) / every + (every - 1)) + 1 + kinds_.size();
    };
    int best = 1;
    for (int every = 1; every <= layers_; ++every) {
      if (blocks_kept(every) < blocks_kept(best)) best = every;
      if (options_.memory != 0 && blocks_kept(every) * one > options_.memory) continue;
      every_ = every;
      plan_rest(blocks_kept(every) * one);
      return {};
    }
    return fail(ErrorCode::kUsage, {"gradients: " + format_bytes(options_.memory) + " for activations",
                                    "do not hold " + std::to_string(windows_.size()) + " windows of " + std::to_string(tokens_) + " tokens",
                                    format_bytes(blocks_kept(best) * one) + " are needed", "take fewer windows or allow more memory"});
  }

  void plan_rest(uint64_t taken) {
    first_traced_ = layers_;
    const uint64_t predictions = windows_.size() * static_cast<uint64_t>(scored_ * network_.head().out()) * sizeof(float);
    if (head_wanted_ && (options_.memory == 0 || taken + predictions <= options_.memory)) {
      keeps_predictions_ = true;
      taken += predictions;
    }
    if (kinds_.empty() || every_ > 1 || !PlainBlock::takes_traces(network_.device(), network_.compute())) return;
    const uint64_t one = static_cast<uint64_t>(tokens_ * BlockTrace::floats_per_row(network_.hyper())) * sizeof(float) * windows_.size();
    for (uint64_t bytes = taken + one; first_traced_ > lowest_ && (options_.memory == 0 || bytes <= options_.memory); bytes += one)
      --first_traced_;
  }

  // Windows in batches that fill a product.
  template <class F>
  Status for_batches(const F& body) const {
    const auto most = static_cast<size_t>(std::max<int64_t>(1, kBatchRows / tokens_));
    for (size_t first = 0; first < windows_.size(); first += most) ASSAY_TRY(body(first, std::min(most, windows_.size() - first)));
    return {};
  }
  at::Tensor rows_of(const at::Tensor& all, size_t first, size_t count, int64_t tokens) const {
    return all.narrow(0, static_cast<int64_t>(first) * tokens, static_cast<int64_t>(count) * tokens);
  }

  // Returns the last block's output at the scored positions, [windows * scored, d].
  Result<at::Tensor> forward() {
    const Stopwatch watch(losses_.forward_seconds);
    ASSAY_ASSIGN(at::Tensor h, network_.embed(token_matrix(windows_)));
    for (int layer = 0; layer + 1 < layers_; ++layer) {
      if (layer % every_ == 0) inputs_[layer] = h;
      ASSAY_ASSIGN(h, through(layer, h, layer >= first_traced_ ? &traces_[layer] : nullptr));
    }
    inputs_[layers_ - 1] = h;
    at::Tensor hidden = at::empty({static_cast<int64_t>(windows_.size()) * scored_, h.size(1)}, h.options());
    const int64_t begin = windows_[0].score_begin, end = windows_[0].score_end;
    if (first_traced_ < layers_) {
      ASSAY_ASSIGN(h, through(layers_ - 1, h, &traces_[layers_ - 1]));
      return h.view({-1, tokens_, h.size(1)}).narrow(1, begin, scored_).reshape({-1, h.size(1)});
    }
    ASSAY_ASSIGN(const std::shared_ptr<const Block> last, network_.block(layers_ - 1));
    ASSAY_TRY(for_batches([&](size_t first, size_t n) -> Status {
      rows_of(hidden, first, n, scored_)
          .copy_(last->forward_scored(rows_of(h, first, n, tokens_), static_cast<int64_t>(n), tokens_, begin, end));
      return {};
    }));
    return hidden;
  }

  // traces: one per batch is added; may be null.
  Result<at::Tensor> through(int layer, const at::Tensor& h, std::vector<BlockTrace>* traces = nullptr) const {
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(layer));
    at::Tensor next = at::empty_like(h);
    ASSAY_TRY(for_batches([&](size_t first, size_t n) -> Status {
      const at::Tensor rows = rows_of(h, first, n, tokens_);
      const auto sequences = static_cast<int64_t>(n);
      rows_of(next, first, n, tokens_)
          .copy_(traces == nullptr ? block->forward(rows, sequences, tokens_)
                                   : block->forward_traced(rows, sequences, tokens_, traces->emplace_back()));
      return {};
    }));
    if (at::isfinite(next.sum()).item<bool>()) return next;
    return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                       "finite activations are needed", "broken weights in this block"});
  }

  // The input of a block; those of the blocks after it are not needed any more.
  Result<at::Tensor> input_of(int layer) {
    inputs_.erase(inputs_.upper_bound(layer), inputs_.end());
    while (inputs_.rbegin()->first < layer) {
      const int from = inputs_.rbegin()->first;
      ASSAY_ASSIGN(inputs_[from + 1], through(from, inputs_[from]));
    }
    return inputs_[layer];
  }

  // Losses, and every kind's gradient at the last block's output.
  Status head(const at::Tensor& hidden) {
    ASSAY_ASSIGN(const at::Tensor weight, network_.plain_weight(network_.head_tensor()));
    const int64_t begin = windows_[0].score_begin;
    for (Kind& kind : kinds_) kind.g = at::zeros({static_cast<int64_t>(windows_.size()) * tokens_, hidden.size(1)}, hidden.options());
    CompensatedSum all;
    for (size_t w = 0; w < windows_.size(); ++w) {
      CompensatedSum nll;
      for (int64_t first = 0; first < scored_; first += LossHead::kRows) {
        const int64_t n = std::min(LossHead::kRows, scored_ - first);
        const at::Tensor rows = hidden.narrow(0, static_cast<int64_t>(w) * scored_ + first, n);
        const at::Tensor p = predictions(w, first, rows, nll);
        for (Kind& kind : kinds_) {
          const Stopwatch watch(seconds_of(kind));
          const at::Tensor g_normed = multiply_stored(loss_head_.residual(kind.labels, w, first, p), weight).to(rows.device());
          kind.g.narrow(0, static_cast<int64_t>(w) * tokens_ + begin + first, n).copy_(network_.final_norm_gradient(rows, g_normed));
        }
      }
      losses_.windows.push_back(nll.value() / static_cast<double>(scored_));
      all.add(losses_.windows.back());
    }
    losses_.mean = all.value() / static_cast<double>(windows_.size());
    if (std::isfinite(losses_.mean)) return {};
    return fail(ErrorCode::kBadInput, {"model: logits", "are NaN or infinite", "finite logits are needed", "broken weights"});
  }

  // Probabilities of some scored positions of a window; their losses are added to `nll`.
  at::Tensor predictions(size_t window, int64_t first, const at::Tensor& rows, CompensatedSum& nll) {
    const Stopwatch watch(losses_.forward_seconds);
    at::Tensor log_p = loss_head_.log_predictions(network_.final_norm(rows));
    const std::span<const int32_t> text = loss_head_.text_labels(window, first, rows.size(0));
    for (size_t r = 0; r < text.size(); ++r)
      nll.add(-static_cast<double>(log_p.const_data_ptr<float>()[static_cast<int64_t>(r) * log_p.size(1) + text[r]]));
    if (kinds_.empty()) return log_p;
    log_p.exp_();
    if (keeps_predictions_) predictions_.push_back(log_p);
    return log_p;
  }
  double& seconds_of(const Kind& kind) { return losses_.backward_seconds[static_cast<size_t>(kind.labels)]; }

  Status block(int layer) {
    ASSAY_ASSIGN(const std::shared_ptr<const PlainBlock> plain, network_.plain_block(layer));
    ASSAY_ASSIGN(const at::Tensor h, input_of(layer));
    std::map<Site, Collected> matrices;
    for (const Site site : kSites)
      if (plain->has(site)) matrices[site].place = {layer, plain->tensor(site)};
    for (Kind& kind : kinds_)
      if (layer >= kind.lowest) ASSAY_TRY(backward(layer, *plain, h, kind, matrices));
    traces_.erase(layer);
    for (auto& [site, matrix] : matrices)
      if (readers_.wanted(matrix.place)) ASSAY_TRY(readers_.finish(matrix.place, matrix.gradients));
    return {};
  }

  Status backward(int layer, const PlainBlock& plain, const at::Tensor& h, Kind& kind, std::map<Site, Collected>& matrices) {
    const Stopwatch watch(seconds_of(kind));
    const double read_before = readers_.seconds;
    at::Tensor g_in = at::empty_like(kind.g);  // rows kept for readers look into the old one
    const auto found = traces_.find(layer);
    auto trace = found == traces_.end() ? nullptr : found->second.data();
    const auto one_batch = [&](size_t first, size_t n) -> Status {
      const BlockGradient gradient =
          plain.backward(rows_of(h, first, n, tokens_), rows_of(kind.g, first, n, tokens_), static_cast<int64_t>(n), tokens_, trace);
      if (trace != nullptr) ++trace;
      rows_of(g_in, first, n, tokens_).copy_(gradient.input);
      return collect(gradient, kind.labels, matrices, first, n);
    };
    ASSAY_TRY(for_batches(one_batch));
    kind.g = g_in;
    seconds_of(kind) -= readers_.seconds - read_before;
    return {};
  }

  // Adds windows [first, first + n) to the matrices of a block.
  Status collect(const BlockGradient& gradient, GradientLabels labels, std::map<Site, Collected>& matrices, size_t first, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      for (const SiteGradient& site : gradient.sites) {
        Collected& matrix = matrices.at(site.site);
        const GradientNeeds needs = readers_.needs(matrix.place, labels);
        const GradientRows rows{rows_of(site.x, i, 1, tokens_), rows_of(site.g, i, 1, tokens_)};
        if (needs.rows) matrix.gradients[labels].rows.push_back(rows);
        if (!needs.mean && !needs.squares && !needs.windows) continue;
        ASSAY_TRY(readers_.add_window(matrix.place, labels, first + i, outer_product(rows.g, rows.x), matrix.gradients));
      }
    }
    return {};
  }

  // Head and embedding, where someone wants them: last, because a tied one has gradients from both ends.
  Status ends(const at::Tensor& hidden) {
    std::vector<GradientLabels> labels;
    std::vector<at::Tensor> g;
    for (const Kind& kind : kinds_) {
      labels.push_back(kind.labels);
      g.push_back(kind.g);
    }
    const double read_before = readers_.seconds;
    double seconds = 0;
    {
      const Stopwatch watch(seconds);
      ASSAY_TRY(end_gradients(network_, windows_, loss_head_, hidden, labels, g, predictions_, readers_));
    }
    for (const Kind& kind : kinds_) seconds_of(kind) += (seconds - (readers_.seconds - read_before)) / static_cast<double>(kinds_.size());
    return {};
  }

  const Network& network_;
  std::span<const Window> windows_;
  GradientReaders readers_;
  const GradientPassOptions& options_;
  Progress& progress_;
  LossHead loss_head_;
  int layers_;
  int64_t tokens_, scored_;
  std::vector<Kind> kinds_;  // none: losses alone
  int lowest_, every_ = 1;
  int first_traced_ = 0;  // blocks from here on leave traces
  bool ends_ = false, head_wanted_ = false, keeps_predictions_ = false;
  std::map<int, at::Tensor> inputs_;               // of blocks, [windows * tokens, d]
  std::map<int, std::vector<BlockTrace>> traces_;  // of blocks, by batch
  std::vector<at::Tensor> predictions_;            // by window and piece of it
  GradientLosses losses_;
};

}  // namespace

Result<GradientLosses> gradient_pass(const Network& network, std::span<const Window> windows, std::span<GradientReader* const> readers,
                                     const GradientPassOptions& options, Progress& progress) {
  if (windows.empty()) return fail(ErrorCode::kUsage, "gradients: no windows");
  return GradientPass(network, windows, readers, options, progress).run();
}

}  // namespace assay
