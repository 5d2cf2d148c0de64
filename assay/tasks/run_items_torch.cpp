#include "assay/base/text.h"
#include "assay/probe/head.h"
#include "assay/tasks/pack_items.h"
#include "assay/tasks/run_items.h"

namespace assay {
namespace {

struct Batch {
  size_t first_item = 0, items = 0;
  PackedItems packed;
  at::Tensor h;
};

at::Tensor int_tensor(const std::vector<int32_t>& values) { return at::tensor(values, at::kInt); }

class ItemRun {
 public:
  ItemRun(const Network& network, std::span<const EncodedItem> items, const RunItemsOptions& options, Progress& progress)
      : network_(network), items_(items), options_(options), progress_(progress) {
    if (options.variant != nullptr && options.variant->steps) {
      steps_ = *options.variant->steps;
    } else {
      for (int layer = 0; layer < network.hyper().layers; ++layer) steps_.push_back({layer});
    }
  }

  Result<std::vector<std::vector<double>>> run() {
    at::NoGradGuard no_grad;
    if (options_.variant != nullptr && (!options_.variant->attention.empty() || !options_.variant->patches.empty()))
      return fail(ErrorCode::kUnsupported, "tasks: a variant with attention rules or residual patches cannot run on items");
    ASSAY_TRY(open_head());
    const auto stream_rows = static_cast<uint64_t>(options_.memory / (sizeof(float) * static_cast<uint64_t>(network_.hyper().d_model)));
    for (size_t next = 0; next < items_.size();) {
      std::vector<Batch> pass;
      for (uint64_t rows = 0; next < items_.size() && (pass.empty() || rows < stream_rows);) {
        pass.push_back(next_batch(next));
        rows += pass.back().packed.tokens.size();
        next += pass.back().items;
      }
      ASSAY_TRY(run_pass(pass));
      progress_.update(next);
    }
    return std::move(values_);
  }

 private:
  Batch next_batch(size_t first) const {
    Batch batch;
    batch.first_item = first;
    for (int64_t rows = 0; first + batch.items < items_.size(); ++batch.items) {
      rows += static_cast<int64_t>(packed_rows(items_[first + batch.items]));
      if (batch.items > 0 && rows > options_.rows_per_batch) break;
    }
    batch.packed = pack_items(items_.subspan(first, batch.items));
    return batch;
  }

  const ResolvedEdit* edit_at(int layer) const {
    if (options_.variant == nullptr) return nullptr;
    for (const ResolvedEdit& edit : options_.variant->edits)
      if (edit.layer == layer) return &edit;
    return nullptr;
  }

  Status open_head() {
    const ResolvedEdit* const edit = edit_at(ResolvedEdit::kHead);
    if (edit == nullptr) return {};
    ASSAY_ASSIGN(const WeightChange change, edit->make());
    head_ = std::make_shared<const PackedChange>(PackedChange::pack(change, compute_of_changes(network_.compute()), network_.device()));
    return {};
  }

  Status run_pass(std::vector<Batch>& pass) {
    std::optional<WeightChange> embedding;
    if (const ResolvedEdit* const edit = edit_at(ResolvedEdit::kEmbedding)) {
      ASSAY_ASSIGN(embedding, edit->make());
    }
    for (Batch& batch : pass) {
      const at::Tensor tokens = int_tensor(batch.packed.tokens);
      ASSAY_ASSIGN(batch.h, network_.embed_rows(tokens, int_tensor(positions_of(batch.packed.trees, false))));
      if (embedding) batch.h.add_(embedding->rows(tokens, network_.hyper().d_model).to(batch.h.device()));
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_.block(steps_[i].block));
      BlockEdit edit;
      if (options_.variant != nullptr) {
        ASSAY_ASSIGN(edit, block_edit(network_, *options_.variant, steps_[i].block));
      }
      for (Batch& batch : pass) {
        if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "tasks: interrupted");
        batch.h = step(*block, edit, steps_[i], batch, i + 1 == steps_.size());
      }
    }
    for (Batch& batch : pass) ASSAY_TRY(reduce(batch));
    return {};
  }

  static at::Tensor wanted(const at::Tensor& x, const Batch& batch) {
    return x.index_select(0, at::tensor(wanted_rows_of(batch.packed.trees), at::kLong).to(x.device()));
  }

  // One step of the schedule; after the last one only the wanted rows are left.
  static at::Tensor step(const Block& block, const BlockEdit& edit, const ResolvedStep& step, const Batch& batch, bool last) {
    const auto product = [&](Site site, const at::Tensor& x) {
      at::Tensor y = block.linear(site, x);
      if (const PackedChange* const change = edit.deltas[static_cast<size_t>(site)].get()) change->multiply_add(x.contiguous(), y);
      return y;
    };
    const std::vector<TokenTree>& trees = batch.packed.trees;
    const at::Tensor in = last ? wanted(batch.h, batch) : batch.h;
    at::Tensor out = in;
    if (step.part != BlockPart::kFfn) {
      const at::Tensor x = block.attention_input(batch.h);
      at::Tensor context;
      if (block.has(Site::kQkv)) {
        context = block.attention_trees_fused(product(Site::kQkv, x), trees, last);
      } else {
        const at::Tensor q = product(Site::kQ, last ? wanted(x, batch) : x);
        context = block.attention_trees(q, product(Site::kK, x), product(Site::kV, x), trees, last);
      }
      out = out + product(Site::kO, context);
    }
    if (step.part != BlockPart::kAttention) {
      const at::Tensor x = block.ffn_input(out);
      const auto changed = [&](Site site) { return edit.deltas[static_cast<size_t>(site)] != nullptr; };
      if (changed(Site::kGate) || changed(Site::kUp) || changed(Site::kDown)) {
        const at::Tensor gate = block.has(Site::kGate) ? product(Site::kGate, x) : at::Tensor();
        out = out + product(Site::kDown, block.activate(gate, product(Site::kUp, x)));
      } else {
        out = out + block.mlp(x);
      }
    }
    return step.gamma == 1 ? out : in + (out - in) * step.gamma;
  }

  Status reduce(Batch& batch) {
    const PackedItems& packed = batch.packed;
    const at::Tensor hidden = steps_.empty() ? wanted(batch.h, batch) : batch.h;
    std::vector<LabelAt> labels;
    for (const PackedItems::Target& target : packed.targets) labels.push_back({target.row, target.label});
    std::vector<double> nll(labels.size());
    ASSAY_TRY(head_nll(network_, hidden, labels, head_.get(), HeadOptions{}, nll));
    std::vector<double> sums(packed.options);
    for (size_t i = 0; i < nll.size(); ++i) sums[packed.targets[i].option] -= nll[i];  // by position: rows ascend
    size_t option = 0;
    for (size_t i = 0; i < batch.items; ++i) {
      const size_t count = items_[batch.first_item + i].options.size();
      values_.emplace_back(sums.begin() + static_cast<ptrdiff_t>(option), sums.begin() + static_cast<ptrdiff_t>(option + count));
      option += count;
    }
    batch.h.reset();
    return {};
  }

  const Network& network_;
  std::span<const EncodedItem> items_;
  const RunItemsOptions& options_;
  Progress& progress_;
  std::vector<ResolvedStep> steps_;
  std::shared_ptr<const PackedChange> head_;
  std::vector<std::vector<double>> values_;
};

}  // namespace

Result<std::vector<std::vector<double>>> run_items(const Network& network, std::span<const EncodedItem> items,
                                                   const RunItemsOptions& options, Progress& progress) {
  return ItemRun(network, items, options, progress).run();
}

}  // namespace assay
