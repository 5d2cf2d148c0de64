#include "assay/score/curvature.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int64_t kBatchRows = 2048;  // tokens of one forward or backward
constexpr uint64_t kLabelStream = 1, kTokenStream = 2;

// Inputs x and output gradients g of one matrix, at the kept tokens of all windows.
struct SiteRecord {
  std::vector<at::Tensor> x, g;
};

// The tokens kept for the per-type products: per window, `keep` of `tokens` positions, one per stratum.
std::vector<int64_t> kept_tokens(uint64_t seed, size_t window, int64_t tokens, int64_t keep) {
  CounterRandom random(seed, kTokenStream, window);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < keep; ++i) {
    const int64_t begin = i * tokens / keep, end = (i + 1) * tokens / keep;
    positions.push_back(begin + static_cast<int64_t>(random.next_below(static_cast<uint64_t>(end - begin))));
  }
  return positions;
}

class Curvature {
 public:
  Curvature(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests, const ChangeMaker& change_of,
            const CurvatureOptions& options, Progress& progress)
      : network_(network), windows_(windows), change_of_(change_of), options_(options), progress_(progress) {
    for (const CurvatureRequest& request : requests) {
      CurvatureRow row{request.tensor, {}};
      for (const GgmlType type : request.types) row.cells.push_back(CurvatureCell{type, 0, 0, {}});
      index_[request.tensor] = table_.rows.size();
      table_.rows.push_back(std::move(row));
    }
    tokens_ = static_cast<int64_t>(windows[0].tokens.size());
    keep_ = options.form == CurvatureForm::kPerToken
                ? std::clamp<int64_t>(static_cast<int64_t>(std::llround(options.token_fraction * static_cast<double>(tokens_))), 1, tokens_)
                : tokens_;
    labels_ = windows.size() * windows[0].scored() * options.samples;
    per_window_.resize(table_.rows.size());
    for (size_t r = 0; r < table_.rows.size(); ++r)
      per_window_[r].assign(table_.rows[r].cells.size(), std::vector<double>(windows.size(), 0.0));
  }

  Result<CurvatureTable> run() {
    const auto& hyper = network_.hyper();
    const int64_t window_bytes = int64_t{hyper.layers + 2} * tokens_ * hyper.d_model * 4;
    const auto group = static_cast<size_t>(std::max<int64_t>(1, static_cast<int64_t>(options_.memory / 2) / window_bytes));
    progress_.stage("curvature", (windows_.size() + group - 1) / group * static_cast<size_t>(hyper.layers + 1) * options_.samples);
    for (uint32_t sample = 0; sample < options_.samples; ++sample)
      for (size_t begin = 0; begin < windows_.size(); begin += group)
        ASSAY_TRY(run_group(begin, std::min(group, windows_.size() - begin), sample));
    finish();
    return std::move(table_);
  }

 private:
  // Windows [begin, begin + count) in batches that fill a product.
  template <class F>
  Status for_batches(size_t count, const F& body) const {
    const auto step = static_cast<size_t>(std::max<int64_t>(1, kBatchRows / tokens_));
    for (size_t first = 0; first < count; first += step) ASSAY_TRY(body(first, std::min(step, count - first)));
    return {};
  }

  at::Tensor rows_of(const at::Tensor& all, size_t first, size_t count) const {
    return all.narrow(0, static_cast<int64_t>(first) * tokens_, static_cast<int64_t>(count) * tokens_);
  }

  Status run_group(size_t begin, size_t count, uint32_t sample) {
    const auto group = windows_.subspan(begin, count);
    const auto clock = Clock::now();
    std::vector<at::Tensor> inputs;  // of each block, [count * tokens, d]
    at::Tensor hidden;
    ASSAY_TRY(forward(group, inputs, hidden));
    table_.forward_seconds += seconds_since(clock);
    ASSAY_ASSIGN(at::Tensor g, head(group, begin, sample, hidden));
    progress_.update(++done_);
    for (int layer = network_.hyper().layers - 1; layer >= 0; --layer) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "curvature: interrupted between blocks");
      ASSAY_ASSIGN(g, block(layer, begin, count, inputs[static_cast<size_t>(layer)], g));
      inputs.pop_back();
      progress_.update(++done_);
    }
    return embedding(group, begin, g);
  }

  Status forward(std::span<const Window> group, std::vector<at::Tensor>& inputs, at::Tensor& hidden) const {
    at::NoGradGuard no_grad;
    ASSAY_ASSIGN(at::Tensor h, network_.embed(token_matrix(group)));
    for (int layer = 0; layer < network_.hyper().layers; ++layer) {
      inputs.push_back(h);
      ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(layer));
      at::Tensor next = at::empty_like(h);
      ASSAY_TRY(for_batches(group.size(), [&](size_t first, size_t n) -> Status {
        rows_of(next, first, n).copy_(block->forward(rows_of(h, first, n), static_cast<int64_t>(n), tokens_));
        return {};
      }));
      h = next;
      if (!at::isfinite(h.sum()).item<bool>()) {
        return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                           "finite activations are needed", "broken weights in this block"});
      }
    }
    hidden = h;
    return {};
  }

  // Draws y ~ p at every scored position; returns the gradient of sum log p(y) at the last block's output, and does the head's own row.
  Result<at::Tensor> head(std::span<const Window> group, size_t begin, uint32_t sample, const at::Tensor& hidden) {
    const auto clock = Clock::now();
    at::Tensor gradient = at::zeros_like(hidden);
    ASSAY_ASSIGN(const at::Tensor weight, network_.plain_weight(network_.head_tensor()));
    const int64_t scored = group[0].scored(), score_begin = group[0].score_begin;
    const auto head_row = index_.find(network_.head_tensor());
    std::vector<at::Tensor> head_inputs;
    for (size_t w = 0; w < group.size(); ++w) {
      at::Tensor rows = rows_of(hidden, w, 1).narrow(0, score_begin, scored).detach().clone();
      rows.requires_grad_(true);
      at::Tensor normed;
      {
        at::AutoGradMode grad(true);
        normed = network_.final_norm_plain(rows);
      }
      at::Tensor g_normed = at::empty_like(normed);
      {
        at::NoGradGuard no_grad;
        const int64_t tile = std::max<int64_t>(8, (int64_t{64} << 20) / (4 * weight.size(0)));
        for (int64_t first = 0; first < scored; first += tile) {
          const int64_t n = std::min(tile, scored - first);
          at::Tensor p = at::softmax(network_.head().multiply(normed.narrow(0, first, n)), -1);
          at::Tensor residual = p.neg();
          float* r = residual.mutable_data_ptr<float>();
          const float* probabilities = p.const_data_ptr<float>();
          const int64_t vocab = p.size(1);
          at::parallel_for(0, n, 1, [&](int64_t from, int64_t to) {
            for (int64_t i = from; i < to; ++i) {
              CounterRandom random(options_.seed + sample, kLabelStream + ((begin + w) << 20), static_cast<uint64_t>(first + i));
              double left = random.next_uniform();
              int64_t label = vocab - 1;
              for (int64_t v = 0; v < vocab; ++v) {
                left -= static_cast<double>(probabilities[i * vocab + v]);
                if (left < 0) {
                  label = v;
                  break;
                }
              }
              r[i * vocab + label] += 1.0f;
            }
          });
          g_normed.narrow(0, first, n).copy_(at::mm(residual, weight));
        }
      }
      gradient.narrow(0, static_cast<int64_t>(w) * tokens_ + score_begin, scored)
          .copy_(torch::autograd::grad({normed}, {rows}, {g_normed})[0]);
      if (head_row != index_.end()) head_inputs.push_back(normed.detach());
    }
    table_.forward_seconds += seconds_since(clock);
    if (head_row != index_.end()) ASSAY_TRY(head_cells(head_row->second, begin, head_inputs));
    return gradient;
  }

  // Exact second order of the head, on a fraction of the scored rows: 1/2 sum_v p_v (e_v - mean)^2 with e = x dW^T.
  Status head_cells(size_t row, size_t begin, const std::vector<at::Tensor>& normed) {
    at::NoGradGuard no_grad;
    const int64_t scored = normed[0].size(0);
    const auto keep = std::clamp<int64_t>(static_cast<int64_t>(std::llround(options_.token_fraction * static_cast<double>(scored))), 1, scored);
    std::vector<at::Tensor> chosen;
    for (size_t w = 0; w < normed.size(); ++w)
      chosen.push_back(normed[w].index_select(0, at::tensor(kept_tokens(options_.seed, begin + w, scored, keep))));
    const at::Tensor x = at::cat(chosen);
    const int64_t vocab = network_.head().out();
    const int64_t tile = std::max<int64_t>(keep, (int64_t{128} << 20) / (4 * vocab) / keep * keep);  // whole windows
    for (CurvatureCell& cell : table_.rows[row].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(table_.rows[row].tensor, cell.type));
      const Matrix delta = Matrix::pack(change, options_.product_compute, network_.device());
      table_.change_seconds += seconds_since(change_clock);
      const auto clock = Clock::now();
      for (int64_t first = 0; first < x.size(0); first += tile) {
        const at::Tensor some = x.narrow(0, first, std::min(tile, x.size(0) - first));
        const at::Tensor p = at::softmax(network_.head().multiply(some), -1);
        const at::Tensor e = delta.multiply(some);
        const at::Tensor mean = (p * e).sum(-1, true);
        const at::Tensor variance = (p * (e - mean).square()).sum(-1).to(at::kCPU, at::kDouble);
        const at::Tensor sums = 0.5 * variance.view({-1, keep}).sum(-1) * (static_cast<double>(scored) / static_cast<double>(keep));
        for (int64_t i = 0; i < sums.size(0); ++i) add(row, cell, begin + static_cast<size_t>(first / keep + i), sums[i].item<double>());
      }
      table_.product_seconds += seconds_since(clock);
    }
    return {};
  }

  void add(size_t row, const CurvatureCell& cell, size_t window, double sum) {
    per_window_[row][static_cast<size_t>(&cell - table_.rows[row].cells.data())][window] += sum;
  }

  // Backward through one block for all windows of the group; the cells of its matrices. Returns the gradient at its input.
  Result<at::Tensor> block(int layer, size_t begin, size_t count, const at::Tensor& inputs, const at::Tensor& g_out) {
    const auto clock = Clock::now();
    ASSAY_ASSIGN(const std::shared_ptr<const PlainBlock> plain, network_.plain_block(layer));
    at::Tensor g_in = at::empty_like(inputs);
    std::map<Site, SiteRecord> records;
    ASSAY_TRY(for_batches(count, [&](size_t first, size_t n) -> Status {
      at::AutoGradMode grad(true);
      at::Tensor x_in = rows_of(inputs, first, n).detach().clone();
      x_in.requires_grad_(true);
      std::vector<Site> sites;
      std::vector<at::Tensor> xs, wanted{x_in};
      const at::Tensor out = plain->forward(x_in, static_cast<int64_t>(n), tokens_, [&](Site site, const at::Tensor& x) {
        at::Tensor y = plain->linear(site, x);
        sites.push_back(site);
        xs.push_back(x.detach());
        wanted.push_back(y);
        return y;
      });
      const auto gradients = torch::autograd::grad({out}, wanted, {rows_of(g_out, first, n)});
      at::NoGradGuard no_grad;
      rows_of(g_in, first, n).copy_(gradients[0]);
      const at::Tensor kept = kept_rows(begin + first, n);
      for (size_t i = 0; i < sites.size(); ++i) {
        if (!index_.contains(plain->tensor(sites[i]))) continue;
        SiteRecord& record = records[sites[i]];
        record.x.push_back(xs[i].index_select(0, kept));
        record.g.push_back(gradients[i + 1].index_select(0, kept));
      }
      return {};
    }));
    table_.forward_seconds += seconds_since(clock);
    for (auto& [site, record] : records)
      ASSAY_TRY(cells(index_.at(plain->tensor(site)), begin, at::cat(record.x), at::cat(record.g)));
    return g_in;
  }

  at::Tensor kept_rows(size_t window, size_t count) const {
    std::vector<int64_t> rows;
    for (size_t w = 0; w < count; ++w)
      for (const int64_t t : kept_tokens(options_.seed, window + w, tokens_, keep_)) rows.push_back(static_cast<int64_t>(w) * tokens_ + t);
    return at::tensor(rows);
  }

  // x [windows * keep, in], g [windows * keep, out].
  Status cells(size_t row, size_t begin, const at::Tensor& x, const at::Tensor& g) {
    at::NoGradGuard no_grad;
    const int64_t segment = options_.form == CurvatureForm::kSegment ? options_.segment : tokens_;
    std::vector<at::Tensor> outer;  // g^T x per segment
    if (options_.form != CurvatureForm::kPerToken) {
      const auto clock = Clock::now();
      for (int64_t window = 0; window < x.size(0) / tokens_; ++window)
        for (int64_t first = 0; first < tokens_; first += segment) {
          const int64_t n = std::min(segment, tokens_ - first);
          outer.push_back(at::mm(g.narrow(0, window * tokens_ + first, n).t(), x.narrow(0, window * tokens_ + first, n)).flatten());
        }
      table_.product_seconds += seconds_since(clock);
    }
    for (CurvatureCell& cell : table_.rows[row].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(table_.rows[row].tensor, cell.type));
      table_.change_seconds += seconds_since(change_clock);
      const auto clock = Clock::now();
      if (options_.form == CurvatureForm::kPerToken) {
        const at::Tensor e = Matrix::pack(change, options_.product_compute, network_.device()).multiply(x);
        add_terms(row, cell, begin, (e * g).sum(-1).to(at::kCPU));
      } else {
        const at::Tensor flat = change.flatten();
        std::vector<float> terms;
        for (const at::Tensor& one : outer) terms.push_back(at::dot(one, flat).item<float>());
        add_terms(row, cell, begin, at::tensor(terms));
      }
      table_.product_seconds += seconds_since(clock);
    }
    return {};
  }

  // terms: [windows of the group * terms per window], unscaled s = g . dW x.
  void add_terms(size_t row, CurvatureCell& cell, size_t begin, const at::Tensor& terms) {
    const double weight = static_cast<double>(tokens_) / static_cast<double>(keep_);
    const double scale = std::sqrt(weight / static_cast<double>(labels_));
    const int64_t windows = x_windows(terms.numel());
    const int64_t per_window = terms.numel() / windows;
    const float* s = terms.const_data_ptr<float>();
    for (int64_t w = 0; w < windows; ++w) {
      CompensatedSum sum;
      for (int64_t t = 0; t < per_window; ++t) {
        const double value = s[w * per_window + t];
        sum.add(value * value);
        cell.terms.push_back(static_cast<float>(value * scale));
      }
      add(row, cell, begin + static_cast<size_t>(w), 0.5 * weight * sum.value());
    }
  }

  int64_t x_windows(int64_t terms) const {
    if (options_.form == CurvatureForm::kPerToken) return terms / keep_;
    const int64_t segment = options_.form == CurvatureForm::kSegment ? options_.segment : tokens_;
    return terms / ((tokens_ + segment - 1) / segment);
  }

  // The embedding's use at the input: s_t = g_t . dE[token_t]; exact rows, no product needed.
  Status embedding(std::span<const Window> group, size_t begin, const at::Tensor& g) {
    at::NoGradGuard no_grad;
    const auto found = index_.find(network_.embedding_tensor());
    if (found == index_.end()) return {};
    const at::Tensor tokens = token_matrix(group).flatten();
    for (CurvatureCell& cell : table_.rows[found->second].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(network_.embedding_tensor(), cell.type));
      table_.change_seconds += seconds_since(change_clock);
      const at::Tensor s = (change.index_select(0, tokens) * g.to(at::kCPU)).sum(-1).to(at::kDouble);
      const at::Tensor sums = 0.5 * s.square().view({static_cast<int64_t>(group.size()), tokens_}).sum(-1);
      for (size_t w = 0; w < group.size(); ++w) add(found->second, cell, begin + w, sums[static_cast<int64_t>(w)].item<double>());
    }
    return {};
  }

  void finish() {
    const double per_label = 1.0 / static_cast<double>(labels_);
    const auto n = static_cast<double>(windows_.size());
    for (size_t r = 0; r < table_.rows.size(); ++r) {
      for (size_t c = 0; c < table_.rows[r].cells.size(); ++c) {
        const std::vector<double>& windows = per_window_[r][c];
        Moments moments;
        for (const double value : windows) moments.add(value * per_label * n);
        table_.rows[r].cells[c].damage = moments.mean();
        table_.rows[r].cells[c].standard_error = moments.iid_standard_error();
      }
    }
    table_.labels = labels_;
  }

  const Network& network_;
  std::span<const Window> windows_;
  const ChangeMaker& change_of_;
  const CurvatureOptions& options_;
  Progress& progress_;
  CurvatureTable table_;
  std::map<std::string, size_t> index_;
  std::vector<std::vector<std::vector<double>>> per_window_;  // [row][cell][window]: damage sums over the window's labels
  int64_t tokens_ = 0, keep_ = 0;
  uint64_t labels_ = 0, done_ = 0;
};

}  // namespace

Result<CurvatureTable> curvature_table(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests,
                                       const ChangeMaker& change_of, const CurvatureOptions& options, Progress& progress) {
  if (windows.empty()) return fail(ErrorCode::kUsage, "curvature: no windows");
  return Curvature(network, windows, requests, change_of, options, progress).run();
}

}  // namespace assay
