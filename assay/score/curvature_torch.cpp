#include <algorithm>
#include <chrono>
#include <map>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/model/row_math.h"
#include "assay/model/stored_product.h"
#include "assay/probe/sweep.h"
#include "assay/score/curvature.h"
#include "assay/score/curvature_kernels.h"
#include "assay/score/curvature_pass.h"
#include "assay/score/site_rows.h"

namespace assay {
namespace {

// a . b in a fixed order: at::dot shares long vectors among threads, whose number then shows in the last bits.
float fixed_dot(const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_cpu()) return at::dot(a, b).item<float>();
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return row::dot(x.const_data_ptr<float>(), y.const_data_ptr<float>(), static_cast<size_t>(x.numel()));
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int64_t kBatchRows = 2048;               // tokens of one forward or backward
constexpr int64_t kTileBytes = int64_t{64} << 20;  // of logits at a time
constexpr uint64_t kResidualStream = 1, kTokenStream = 2, kHeadStream = 3;

class Curvature {
 public:
  Curvature(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests,
            const ChangeMaker& change_of, const CurvatureOptions& options, Progress& progress, UnitCache& units)
      : network_(network), windows_(windows), change_of_(change_of), options_(options), progress_(progress), units_(units) {
    for (const CurvatureRequest& request : requests) {
      CurvatureRow row{request.tensor, {}};
      for (const GgmlType type : request.types) row.cells.push_back(CurvatureCell{type, 0, 0, {}});
      index_[request.tensor] = table_.rows.size();
      table_.rows.push_back(std::move(row));
    }
    tokens_ = static_cast<int64_t>(windows[0].tokens.size());
    scored_ = windows[0].scored();
    keep_ = by_token() ? fraction_of(tokens_) : tokens_;
    table_.labels = windows.size() * windows[0].scored() * options.samples;
    scale_ = 1 / std::sqrt(static_cast<double>(table_.labels));
    per_window_.resize(table_.rows.size());
    for (size_t r = 0; r < table_.rows.size(); ++r)
      per_window_[r].assign(table_.rows[r].cells.size(), std::vector<double>(windows.size(), 0.0));
    if (const auto row = index_.find(network_.embedding_tensor()); row != index_.end())
      ends_.assign(table_.rows[row->second].cells.size(), std::vector<double>(windows.size(), 0.0));
  }

  Result<CurvatureTable> run() {
    const auto& hyper = network_.hyper();
    const int64_t window_bytes = int64_t{hyper.layers + 2} * tokens_ * hyper.d_model * 4;
    // Whole batches, so that memory does not decide which windows share one.
    const auto group = std::max<size_t>(1, options_.memory / 2 / static_cast<uint64_t>(window_bytes) / batch()) * batch();
    progress_.stage("curvature", (windows_.size() + group - 1) / group * static_cast<size_t>(hyper.layers + 1) * options_.samples);
    units_.plan((windows_.size() + group - 1) / group * options_.samples * units_of({}).size());
    for (uint32_t sample = 0; sample < options_.samples; ++sample)
      for (size_t begin = 0; begin < windows_.size(); begin += group) {
        const size_t count = std::min(group, windows_.size() - begin);
        ASSAY_TRY(run_pass(Pass{begin, count, sample, windows_.subspan(begin, count), {}, {}}));
      }
    finish();
    return std::move(table_);
  }

 private:
  bool centred() const { return options_.form == CurvatureForm::kCentred; }
  bool by_token() const { return centred() || options_.form == CurvatureForm::kToken; }
  RowRule row_rule() const { return {by_token(), centred(), tokens_, keep_, scale_}; }
  int64_t segment() const { return options_.form == CurvatureForm::kSegment ? options_.segment : tokens_; }
  size_t batch() const { return static_cast<size_t>(std::max<int64_t>(1, kBatchRows / tokens_)); }
  int64_t fraction_of(int64_t count) const {
    return std::clamp<int64_t>(static_cast<int64_t>(std::llround(options_.token_fraction * static_cast<double>(count))), 1, count);
  }
  uint64_t stream(uint64_t kind, const Pass& pass, size_t window) const { return kind + ((pass.begin + window) << 20); }
  uint64_t seed(const Pass& pass) const { return options_.seed + pass.sample; }

  // Windows [begin, begin + count) in batches that fill a product.
  template <class F>
  Status for_batches(size_t count, const F& body) const {
    for (size_t first = 0; first < count; first += batch()) ASSAY_TRY(body(first, std::min(batch(), count - first)));
    return {};
  }

  at::Tensor rows_of(const at::Tensor& all, size_t first, size_t count) const {
    return all.narrow(0, static_cast<int64_t>(first) * tokens_, static_cast<int64_t>(count) * tokens_);
  }

  // The units of a pass, in the order in which their parts are added: the head, the matrices of the blocks, the embedding.
  std::vector<std::pair<std::string, size_t>> units_of(const Pass& pass) const {
    std::vector<std::pair<std::string, size_t>> units;
    const auto head = index_.find(network_.head_tensor()), embedding = index_.find(network_.embedding_tensor());
    if (head != index_.end()) units.emplace_back(unit("head " + head->first, pass), head->second);
    for (const auto& [tensor, row] : index_)
      if ((head == index_.end() || row != head->second) && (embedding == index_.end() || row != embedding->second))
        units.emplace_back(unit(tensor, pass), row);
    if (embedding != index_.end()) units.emplace_back(unit("embedding " + embedding->first, pass), embedding->second);
    return units;
  }
  static std::string unit(std::string_view matrix, const Pass& pass) { return curvature_unit(matrix, pass.begin, pass.count, pass.sample); }

  // Looks the units of the pass up. True: all of them are there.
  Result<bool> find_units(Pass& pass) {
    const auto units = units_of(pass);
    for (const auto& [name, row] : units) {
      ASSAY_ASSIGN(const auto payload, units_.find(name));
      if (!payload) continue;
      ASSAY_ASSIGN(pass.found[name], curvature_parts_from_payload(*payload, table_.rows[row].cells.size(), pass.count));
    }
    return pass.found.size() == units.size();
  }

  // The parts of a unit: found, or made by `work` and kept.
  template <class F>
  Result<CurvatureParts> parts_of(const Pass& pass, const std::string& name, const F& work) {
    if (const auto found = pass.found.find(name); found != pass.found.end()) return found->second;
    const auto clock = Clock::now();
    ASSAY_ASSIGN(CurvatureParts parts, work());
    ASSAY_ASSIGN(std::string payload, to_payload(parts));
    ASSAY_TRY(units_.keep(name, std::move(payload), seconds_since(clock)));
    return parts;
  }

  Status run_pass(Pass pass) {
    ASSAY_ASSIGN(const bool complete, find_units(pass));
    if (complete) {
      for (const auto& [name, row] : units_of(pass)) add_parts(row, pass, pass.found.at(name), name.starts_with("embedding "));
      done_ += static_cast<uint64_t>(network_.hyper().layers) + 1;
      progress_.update(done_);
      return {};
    }
    if (units_.only_finished()) return fail(ErrorCode::kNotFound, "curvature: a unit of this work is not finished");
    auto clock = Clock::now();
    std::vector<at::Tensor> inputs;  // of each block, [count * tokens, d]
    at::Tensor hidden;
    ASSAY_TRY(forward(pass.windows, inputs, hidden));
    std::vector<HeadWindow> heads;
    ASSAY_ASSIGN(at::Tensor g, backward_head(pass, hidden, heads));
    draw_tokens(pass, g);
    table_.forward_seconds += seconds_since(clock);
    if (const auto row = index_.find(network_.head_tensor()); row != index_.end()) ASSAY_TRY(head_cells(row->second, pass, heads));
    heads.clear();
    progress_.update(++done_);
    for (int layer = network_.hyper().layers - 1; layer >= 0; --layer) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "curvature: interrupted between blocks");
      ASSAY_ASSIGN(g, block(layer, pass, inputs[static_cast<size_t>(layer)], g));
      inputs.pop_back();
      progress_.update(++done_);
    }
    return embedding(pass, g);
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

  // On the CPU.
  at::Tensor logits(const at::Tensor& normed) const { return network_.head().multiply(normed).to(at::kCPU); }

  // Probabilities -> the random residual of the window's scored position `position`.
  void draw_residual(const Pass& pass, size_t window, int64_t position, std::span<float> row) const {
    CounterRandom random(seed(pass), stream(kResidualStream, pass, window), static_cast<uint64_t>(position));
    options_.noise == CurvatureNoise::kLabels ? label_residual(random, row) : sign_residual(random, row);
  }

  // Draws a residual at every scored position; returns the gradient it sends to the last block's output.
  Result<at::Tensor> backward_head(const Pass& pass, const at::Tensor& hidden, std::vector<HeadWindow>& heads) const {
    at::NoGradGuard no_grad;
    at::Tensor gradient = at::zeros_like(hidden);
    ASSAY_ASSIGN(const at::Tensor weight, network_.plain_weight(network_.head_tensor()));
    const int64_t score_begin = windows_[0].score_begin;
    const bool wanted = index_.contains(network_.head_tensor());
    for (size_t w = 0; w < pass.count; ++w) {
      const at::Tensor rows = rows_of(hidden, w, 1).narrow(0, score_begin, scored_);
      HeadWindow head;
      head.normed = network_.final_norm(rows);
      at::Tensor g_normed = at::empty_like(head.normed);
      if (wanted) head.residual = at::zeros({weight.size(0)});
      const int64_t tile = std::max<int64_t>(8, kTileBytes / (4 * weight.size(0)));
      for (int64_t first = 0; first < scored_; first += tile) {
        const int64_t n = std::min(tile, scored_ - first);
        at::Tensor residual = logits(head.normed.narrow(0, first, n));
        at::parallel_for(0, n, 1, [&](int64_t from, int64_t to) {
          for (int64_t i = from; i < to; ++i) {
            softmax(row_of(residual, i));
            draw_residual(pass, w, first + i, row_of(residual, i));
          }
        });
        if (wanted && centred()) head.residual += residual.sum(0);
        g_normed.narrow(0, first, n).copy_(multiply_stored(residual, weight));
      }
      gradient.narrow(0, static_cast<int64_t>(w) * tokens_ + score_begin, scored_).copy_(network_.final_norm_gradient(rows, g_normed));
      if (wanted) heads.push_back(std::move(head));
    }
    return gradient;
  }

  // The tokens that enter the products, by the gradient at the last block's output.
  void draw_tokens(Pass& pass, const at::Tensor& gradient) const {
    at::NoGradGuard no_grad;
    const at::Tensor importance = gradient.square().sum(-1).to(at::kCPU, at::kDouble);
    const double* values = importance.const_data_ptr<double>();
    const std::vector<double> even(static_cast<size_t>(tokens_), 1.0);
    for (size_t w = 0; w < pass.count; ++w) {
      CounterRandom random(seed(pass), stream(kTokenStream, pass, w));
      const std::span<const double> window(values + static_cast<int64_t>(w) * tokens_, static_cast<size_t>(tokens_));
      pass.drawn.push_back(sample_tokens(options_.draw == TokenDraw::kImportance ? window : even, static_cast<size_t>(keep_), random));
    }
  }

  // The window's drawn tokens that are scored, thinned evenly to a fraction of the scored ones: places in `drawn` and their factor.
  std::pair<std::vector<size_t>, double> head_places(const Pass& pass, size_t window) const {
    std::vector<size_t> scored;
    const std::vector<int64_t>& positions = pass.drawn[window].positions;
    for (size_t i = 0; i < positions.size(); ++i)
      if (positions[i] >= windows_[0].score_begin && positions[i] < windows_[0].score_end) scored.push_back(i);
    const auto keep = std::min(scored.size(), static_cast<size_t>(fraction_of(scored_)));
    CounterRandom random(seed(pass), stream(kHeadStream, pass, window));
    std::vector<size_t> places;
    const double start = random.next_uniform(), step = static_cast<double>(scored.size()) / static_cast<double>(keep);
    for (size_t i = 0; i < keep; ++i) places.push_back(scored[static_cast<size_t>((start + static_cast<double>(i)) * step)]);
    return {places, step};
  }

  HeadRows head_rows(const Pass& pass, size_t w, const HeadWindow& head) const {
    HeadRows rows;
    std::tie(rows.places, rows.factor) = head_places(pass, w);
    std::vector<int64_t> positions;
    for (const size_t place : rows.places) positions.push_back(pass.drawn[w].positions[place] - windows_[0].score_begin);
    rows.x = head.normed.index_select(0, at::tensor(positions).to(head.normed.device()));
    rows.p = logits(rows.x);
    rows.r = at::empty_like(rows.p);
    at::parallel_for(0, rows.r.size(0), 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        softmax(row_of(rows.p, i));
        std::ranges::copy(row_of(std::as_const(rows.p), i), row_of(rows.r, i).begin());
        draw_residual(pass, w, positions[static_cast<size_t>(i)], row_of(rows.r, i));
      }
    });
    if (centred()) rows.x = at::cat({rows.x, head.normed.mean(0, true)});
    return rows;
  }

  Status head_cells(size_t row, const Pass& pass, const std::vector<HeadWindow>& heads) {
    const std::string name = unit("head " + table_.rows[row].tensor, pass);
    ASSAY_ASSIGN(const CurvatureParts parts, parts_of(pass, name, [&] { return make_head(row, pass, heads); }));
    add_parts(row, pass, parts, false);
    return {};
  }

  // Exact second order of the head on some of the drawn tokens; their first-order terms and the mean row's for the interactions.
  Result<CurvatureParts> make_head(size_t row, const Pass& pass, const std::vector<HeadWindow>& heads) {
    at::NoGradGuard no_grad;
    CurvatureParts parts;
    const auto vocab = static_cast<uint64_t>(network_.head().out());
    const bool keep = pass.count * static_cast<uint64_t>(fraction_of(scored_)) * vocab * 8 <= options_.memory / 2;
    std::vector<HeadRows> kept(pass.count);
    for (const CurvatureCell& cell : table_.rows[row].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(table_.rows[row].tensor, cell.type));
      const Matrix delta = Matrix::pack(change, options_.product_compute, network_.device());
      table_.change_seconds += seconds_since(change_clock);
      const auto clock = Clock::now();
      CurvaturePart& part = parts.emplace_back();
      for (size_t w = 0; w < pass.count; ++w) {
        if (!kept[w].x.defined()) kept[w] = head_rows(pass, w, heads[w]);
        head_window(part, pass, w, heads[w], kept[w], delta);
        if (!keep) kept[w] = {};
      }
      table_.product_seconds += seconds_since(clock);
    }
    return parts;
  }

  void head_window(CurvaturePart& part, const Pass& pass, size_t w, const HeadWindow& head, const HeadRows& rows,
                   const Matrix& delta) const {
    const TokenSample& drawn = pass.drawn[w];
    const auto n = static_cast<int64_t>(rows.places.size());
    const at::Tensor e = delta.multiply(rows.x).to(at::kCPU);
    const at::Tensor common = centred() ? e.narrow(0, n, 1) : at::zeros({1, e.size(1)});
    std::vector<LogitChange> changes(rows.places.size());
    at::parallel_for(0, n, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        changes[static_cast<size_t>(i)] = logit_change(row_of(e, i), row_of(rows.p, i), row_of(rows.r, i), row_of(common, 0));
    });
    CompensatedSum damage;
    std::vector<float> terms(drawn.positions.size());
    for (size_t i = 0; i < rows.places.size(); ++i) {
      const double weight = drawn.weights[rows.places[i]];
      damage.add(0.5 * rows.factor * weight * changes[i].variance);
      terms[rows.places[i]] = static_cast<float>(scale_ * rows.factor * std::sqrt(weight) * changes[i].term);
    }
    part.damage.push_back(damage.value() * scale_ * scale_);
    if (!by_token()) return;
    part.terms.insert(part.terms.end(), terms.begin(), terms.end());
    if (centred()) part.terms.push_back(static_cast<float>(scale_ * static_cast<double>(fixed_dot(head.residual, common[0]))));
  }

  // Adds a unit's parts to its row. `embedding`: of the input end; a tied embedding's cell then holds the head's terms already, and both
  // ends' terms meet at their positions.
  void add_parts(size_t row, const Pass& pass, const CurvatureParts& parts, bool embedding) {
    const bool second_end = embedding && network_.embedding_tensor() == network_.head_tensor();
    for (size_t c = 0; c < parts.size(); ++c) {
      for (size_t w = 0; w < pass.count; ++w) per_window_[row][c][pass.begin + w] += parts[c].damage[w];
      std::vector<float>& terms = table_.rows[row].cells[c].terms;
      const std::vector<float>& own = parts[c].terms;
      if (!second_end) {
        terms.insert(terms.end(), own.begin(), own.end());
        continue;
      }
      const size_t at = terms.size() - own.size(), per_window = own.size() / pass.count;
      for (size_t w = 0; w < pass.count && per_window > 0; ++w) {
        CompensatedSum both;
        for (size_t t = w * per_window; t < (w + 1) * per_window; ++t) {
          both.add(static_cast<double>(terms[at + t]) * static_cast<double>(own[t]));
          terms[at + t] += own[t];
        }
        ends_[c][pass.begin + w] += both.value();
      }
    }
  }

  // Backward through one block for all windows of the pass; the cells of its matrices. Returns the gradient at its input.
  Result<at::Tensor> block(int layer, const Pass& pass, const at::Tensor& inputs, const at::Tensor& g_out) {
    const auto clock = Clock::now();
    ASSAY_ASSIGN(const std::shared_ptr<const PlainBlock> plain, network_.plain_block(layer));
    at::Tensor g_in = at::empty_like(inputs);
    std::map<Site, SiteRows> rows;
    ASSAY_TRY(for_batches(pass.count, [&](size_t first, size_t n) -> Status {
      const BlockGradient g = plain->backward(rows_of(inputs, first, n), rows_of(g_out, first, n), static_cast<int64_t>(n), tokens_);
      rows_of(g_in, first, n).copy_(g.input);
      std::vector<SiteWork> work;
      for (const SiteGradient& site : g.sites)
        if (is_wanted(plain->tensor(site.site), pass)) work.push_back({&site, &rows[site.site]});
      record_rows(row_rule(), work, pass.drawn, first, n);
      return {};
    }));
    table_.forward_seconds += seconds_since(clock);
    for (const Site site : kSites) {
      const auto row = plain->has(site) ? index_.find(plain->tensor(site)) : index_.end();
      if (row == index_.end()) continue;
      const auto work = [&] { return make_cells(row->second, pass, rows[site]); };
      ASSAY_ASSIGN(const CurvatureParts parts, parts_of(pass, unit(row->first, pass), work));
      add_parts(row->second, pass, parts, false);
    }
    return g_in;
  }

  bool is_wanted(const std::string& tensor, const Pass& pass) const {
    return index_.contains(tensor) && !pass.found.contains(unit(tensor, pass));
  }

  // One matrix at every type.
  Result<CurvatureParts> make_cells(size_t row, const Pass& pass, const SiteRows& rows) {
    at::NoGradGuard no_grad;
    CurvatureParts parts;
    const auto outer_clock = Clock::now();
    std::vector<at::Tensor> outer;  // g^T x per segment
    if (!by_token()) {
      for (int64_t window = 0; window < static_cast<int64_t>(pass.count); ++window)
        for (int64_t first = 0; first < tokens_; first += segment()) {
          const int64_t n = std::min(segment(), tokens_ - first);
          outer.push_back(at::mm(rows.g.narrow(0, window * tokens_ + first, n).t(), rows.x.narrow(0, window * tokens_ + first, n))
                              .mul_(scale_)
                              .flatten());
        }
    }
    table_.product_seconds += seconds_since(outer_clock);
    for (const CurvatureCell& cell : table_.rows[row].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(table_.rows[row].tensor, cell.type));
      table_.change_seconds += seconds_since(change_clock);
      const auto clock = Clock::now();
      std::vector<float> terms;
      if (by_token()) {
        terms = terms_of(rows, change, options_.product_compute, network_.device());
      } else {
        const at::Tensor flat = change.flatten();
        for (const at::Tensor& one : outer) terms.push_back(fixed_dot(one, flat));
      }
      parts.push_back(part_of(pass, std::move(terms)));
      table_.product_seconds += seconds_since(clock);
    }
    return parts;
  }

  // Scaled terms, equally many per window.
  CurvaturePart part_of(const Pass& pass, std::vector<float> terms) const {
    CurvaturePart part;
    const size_t per_window = terms.size() / pass.count;
    for (size_t w = 0; w < pass.count; ++w) {
      CompensatedSum sum;
      for (size_t t = 0; t < per_window; ++t) {
        const auto term = static_cast<double>(terms[w * per_window + t]);
        sum.add(0.5 * term * term);
      }
      part.damage.push_back(sum.value());
    }
    if (by_token()) part.terms = std::move(terms);
    return part;
  }

  Status embedding(const Pass& pass, const at::Tensor& g) {
    const auto row = index_.find(network_.embedding_tensor());
    if (row == index_.end()) return {};
    ASSAY_ASSIGN(const CurvatureParts parts,
                 parts_of(pass, unit("embedding " + row->first, pass), [&] { return make_embedding(row->second, pass, g); }));
    add_parts(row->second, pass, parts, true);
    return {};
  }

  // The embedding's use at the input: rows of dE, no product needed, so that every token is used.
  Result<CurvatureParts> make_embedding(size_t row, const Pass& pass, const at::Tensor& g) {
    at::NoGradGuard no_grad;
    CurvatureParts parts;
    const at::Tensor tokens = token_matrix(pass.windows).flatten();
    const at::Tensor gradient = g.to(at::kCPU);
    for (const CurvatureCell& cell : table_.rows[row].cells) {
      const auto change_clock = Clock::now();
      ASSAY_ASSIGN(const at::Tensor change, change_of_(network_.embedding_tensor(), cell.type));
      table_.change_seconds += seconds_since(change_clock);
      const auto clock = Clock::now();
      CurvaturePart& part = parts.emplace_back();
      for (size_t w = 0; w < pass.count; ++w) {
        const at::Tensor e = change.index_select(0, tokens.narrow(0, static_cast<int64_t>(w) * tokens_, tokens_));
        embedding_window(part, pass, w, e, rows_of(gradient, w, 1));
      }
      table_.product_seconds += seconds_since(clock);
    }
    return parts;
  }

  // The damage of all of the window's tokens, and the scaled terms of the drawn ones (and of the mean).
  void embedding_window(CurvaturePart& part, const Pass& pass, size_t w, const at::Tensor& e, const at::Tensor& g) const {
    const auto [mean, sum] = centred() ? mean_and_sum(e, g) : std::pair{at::zeros({1, e.size(1)}), at::zeros({1, e.size(1)})};
    const at::Tensor all = ((e - mean) * g).sum(-1).mul_(scale_);
    const float* a = all.const_data_ptr<float>();
    CompensatedSum damage;
    for (size_t i = 0; by_token() && i < pass.drawn[w].positions.size(); ++i)
      part.terms.push_back(static_cast<float>(std::sqrt(pass.drawn[w].weights[i])) * a[pass.drawn[w].positions[i]]);
    const double common = scale_ * (sum * mean).sum().item<double>();
    if (by_token()) {
      for (int64_t t = 0; t < tokens_; ++t) damage.add(0.5 * static_cast<double>(a[t]) * static_cast<double>(a[t]));
    } else {
      for (int64_t first = 0; first < tokens_; first += segment()) {
        CompensatedSum term;
        for (int64_t t = first; t < std::min(first + segment(), tokens_); ++t) term.add(static_cast<double>(a[t]));
        damage.add(0.5 * term.value() * term.value());
      }
    }
    damage.add(0.5 * common * common);
    part.damage.push_back(damage.value());
    if (centred()) part.terms.push_back(static_cast<float>(common));
  }

  // The covariance of a tied embedding's two ends is small in trained models and its estimate is not: it counts as far as it stands out
  // of its own standard error (positive-part shrinkage).
  void add_ends(size_t row) {
    for (size_t c = 0; c < ends_.size(); ++c) {
      Moments moments;
      for (const double value : ends_[c]) moments.add(value);
      const double noise = moments.iid_standard_error() / moments.mean();
      const double share = windows_.size() > 1 && noise * noise < 1 ? 1 - noise * noise : 0;
      for (size_t w = 0; w < windows_.size(); ++w) per_window_[row][c][w] += share * ends_[c][w];
    }
  }

  void finish() {
    const auto n = static_cast<double>(windows_.size());
    if (const auto row = index_.find(network_.embedding_tensor()); row != index_.end()) add_ends(row->second);
    for (size_t r = 0; r < table_.rows.size(); ++r) {
      for (size_t c = 0; c < table_.rows[r].cells.size(); ++c) {
        Moments moments;
        for (const double value : per_window_[r][c]) moments.add(value * n);
        table_.rows[r].cells[c].damage = moments.mean();
        table_.rows[r].cells[c].standard_error = moments.iid_standard_error();
      }
    }
  }

  const Network& network_;
  std::span<const Window> windows_;
  const ChangeMaker& change_of_;
  const CurvatureOptions& options_;
  Progress& progress_;
  UnitCache& units_;
  CurvatureTable table_;
  std::map<std::string, size_t> index_;
  std::vector<std::vector<std::vector<double>>> per_window_;  // [row][cell][window]: its part of the damage
  std::vector<std::vector<double>> ends_;                     // of a tied embedding: [cell][window], the product of its ends' terms
  int64_t tokens_ = 0, scored_ = 0, keep_ = 0;
  double scale_ = 1;  // 1 / sqrt(labels)
  uint64_t done_ = 0;
};

}  // namespace

Result<CurvatureTable> curvature_table(const Network& network, std::span<const Window> windows, std::span<const CurvatureRequest> requests,
                                       const ChangeMaker& change_of, const CurvatureOptions& options, Progress& progress,
                                       UnitCache& units) {
  if (windows.empty()) return fail(ErrorCode::kUsage, "curvature: no windows");
  return Curvature(network, windows, requests, change_of, options, progress, units).run();
}

}  // namespace assay
