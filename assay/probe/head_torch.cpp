#include <algorithm>
#include <atomic>

#include "assay/base/text.h"
#include "assay/probe/head.h"

namespace assay {
namespace {

constexpr int64_t kTileRows = 64;    // rows compared together; more only buys memory traffic
constexpr int64_t kMinimumTile = 8;  // the rule of rows needs no fewer
constexpr int64_t kRowsPerTask = 4;  // rows of one parallel task

struct BaseTile {
  at::Tensor normed;                 // [rows, d]
  at::Tensor logits, probabilities;  // [rows, vocab]
  std::vector<RowBase> rows;
};

at::Tensor on_cpu(const at::Tensor& logits) { return logits.to(at::kCPU).contiguous(); }

BaseTile make_base_tile(const Network& network, const at::Tensor& normed) {
  BaseTile tile;
  tile.normed = normed;
  tile.logits = on_cpu(network.head().multiply(normed));
  tile.probabilities = at::empty_like(tile.logits);
  const int64_t rows = tile.logits.size(0), vocab = tile.logits.size(1);
  tile.rows.resize(static_cast<size_t>(rows));
  const float* logits = tile.logits.const_data_ptr<float>();
  float* p = tile.probabilities.mutable_data_ptr<float>();
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      prepare_base({logits + r * vocab, static_cast<size_t>(vocab)}, tile.rows[static_cast<size_t>(r)], p + r * vocab);
    }
  });
  return tile;
}

// Logits of n streams [n * rows, d]; in compute mode deviations from their distance to the base, which has the same head.
at::Tensor stream_logits(const Network& network, const at::Tensor& normed, const BaseTile& tile, bool near) {
  return near ? network.head().add_deviation(round_deviation(normed, tile.normed), tile.logits) : network.head().multiply(normed);
}

Error not_finite(std::string_view whose, int64_t row) {
  return make_error(ErrorCode::kBadInput,
                    Complaint{"model: logits of " + std::string(whose), "are NaN or infinite at scored position " + group_digits(row),
                              "finite logits are needed", "broken weights, or a change too large to survive"});
}

}  // namespace

Status compare_heads(const Network& base_network, const at::Tensor& base, const Network& network, std::span<const HeadStream> streams,
                     std::span<const int32_t> labels, const HeadOptions& options, const HeadSink& sink) {
  const int64_t rows = base.size(0), vocab = base_network.head().out();
  const uint64_t row_bytes = static_cast<uint64_t>(vocab) * sizeof(float);
  const int64_t budget_rows = std::max<int64_t>(4 * kMinimumTile, static_cast<int64_t>(options.memory / row_bytes));
  const int64_t tile_rows = std::clamp<int64_t>(budget_rows / 8, kMinimumTile, kTileRows);
  const auto batch = static_cast<size_t>(std::max<int64_t>(1, (budget_rows - 2 * tile_rows) / tile_rows));

  const at::Tensor base_normed = base_network.final_norm(base);
  std::vector<at::Tensor> normed;
  for (const HeadStream& stream : streams) normed.push_back(network.final_norm(stream.hidden));
  std::vector<std::vector<PositionObservation>> observed(streams.size(), std::vector<PositionObservation>(static_cast<size_t>(rows)));
  const bool near = &base_network == &network && network.compute() == Compute::kDeviations;
  std::atomic<int64_t> broken_stream{-1};
  const std::vector<float> uniform(static_cast<size_t>(vocab));

  for (int64_t first = 0; first < rows; first += tile_rows) {
    const int64_t count = std::min(tile_rows, rows - first);
    const BaseTile tile = make_base_tile(base_network, base_normed.narrow(0, first, count));
    for (int64_t r = 0; r < count; ++r)
      if (!tile.rows[static_cast<size_t>(r)].finite) return fail(not_finite("the base model", first + r));
    for (size_t begin = 0; begin < streams.size(); begin += batch) {
      const size_t size = std::min(batch, streams.size() - begin);
      std::vector<at::Tensor> parts;
      for (size_t i = 0; i < size; ++i) parts.push_back(normed[begin + i].narrow(0, first, count));
      at::Tensor logits = stream_logits(network, size == 1 ? parts[0] : at::cat(parts), tile, near);
      for (size_t i = 0; i < size; ++i) {
        if (!streams[begin + i].delta) continue;
        at::Tensor own = logits.narrow(0, static_cast<int64_t>(i) * count, count);
        streams[begin + i].delta->multiply_add(parts[i], own);
      }
      logits = on_cpu(logits);
      const float* variant = logits.const_data_ptr<float>();
      const float* reference = tile.logits.const_data_ptr<float>();
      const float* p = tile.probabilities.const_data_ptr<float>();
      at::parallel_for(0, static_cast<int64_t>(size) * count, kRowsPerTask, [&](int64_t from, int64_t to) {
        for (int64_t task = from; task < to; ++task) {
          const int64_t r = task % count;
          const auto row = static_cast<size_t>(first + r);
          PositionObservation& out = observed[begin + static_cast<size_t>(task / count)][row];
          out = compare(tile.rows[static_cast<size_t>(r)], reference + r * vocab, p + r * vocab, variant + task * vocab,
                        static_cast<size_t>(vocab), labels[row]);
          if (out.finite) continue;
          if (!options.allow_non_finite) broken_stream.store(first + r);
          out = compare(tile.rows[static_cast<size_t>(r)], reference + r * vocab, p + r * vocab, uniform.data(), static_cast<size_t>(vocab),
                        labels[row]);
          out.finite = false;
        }
      });
      if (broken_stream.load() >= 0) return fail(not_finite("a variant", broken_stream.load()));
    }
  }
  for (size_t i = 0; i < streams.size(); ++i) sink(i, observed[i]);
  return {};
}

Status head_nll(const Network& network, const at::Tensor& hidden, std::span<const int32_t> labels, const HeadOptions& options,
                std::span<double> nll) {
  std::vector<LabelAt> all;
  for (size_t r = 0; r < labels.size(); ++r) all.push_back({static_cast<int64_t>(r), labels[r]});
  return head_nll(network, hidden, all, nullptr, options, nll);
}

Status head_nll(const Network& network, const at::Tensor& hidden, std::span<const LabelAt> labels, const PackedChange* delta,
                const HeadOptions& options, std::span<double> nll) {
  const at::Tensor normed = network.final_norm(hidden);
  const int64_t rows = hidden.size(0), vocab = network.head().out();
  const int64_t tile_rows = std::max<int64_t>(kMinimumTile, static_cast<int64_t>(options.memory / (static_cast<uint64_t>(vocab) * 4)));
  size_t next = 0;
  for (int64_t first = 0; first < rows; first += tile_rows) {
    const int64_t count = std::min(tile_rows, rows - first);
    const size_t begin_label = next;
    while (next < labels.size() && labels[next].row < first + count) ++next;
    const at::Tensor x = normed.narrow(0, first, count);
    at::Tensor logits = network.head().multiply(x);
    if (delta != nullptr) delta->multiply_add(x, logits);
    logits = on_cpu(logits);
    const float* values = logits.const_data_ptr<float>();
    at::parallel_for(static_cast<int64_t>(begin_label), static_cast<int64_t>(next), kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        nll[i] = log_softmax_nll({values + (labels[i].row - first) * vocab, static_cast<size_t>(vocab)}, labels[i].label);
    });
    for (size_t i = begin_label; i < next; ++i)
      if (!std::isfinite(nll[i])) return fail(not_finite("the model", labels[i].row));
  }
  return {};
}

}  // namespace assay
